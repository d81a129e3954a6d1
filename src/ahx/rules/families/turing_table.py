"""The table of a Turing machine: reading the standard text format, and looking actions up."""

import re
from typing import Literal, NamedTuple

from ahx.rules.language import LETTERS, Source, Word

DIGITS = "0123456789"
HALTING_LETTERS = "HZ"
LIKE_A_TABLE = re.compile(r"(\d[LR][A-Z]|---)[0-9A-Z-]*_[0-9A-Z_-]*")


class Action(NamedTuple):
    """What the machine does in one state on one symbol."""

    symbol: str
    move: Literal["L", "R"]
    state: str


Table = tuple[tuple[Action | None, ...], ...]  # [state][symbol]; None halts


def symbols_of(table: Table) -> str:
    """The symbols of the machine's tape."""
    return DIGITS[: len(table[0])]


def action(table: Table, state: str, symbol: str) -> Action | None:
    """The action in `state` on `symbol`; None when the machine has halted."""
    row = LETTERS.index(state)
    return table[row][int(symbol)] if row < len(table) else None


def read_table(source: Source, word: Word) -> Table:
    """The table that `word` spells. Raises InputError at the first character that does not fit."""
    rows = word.text.split("_")
    if len(rows) > len(LETTERS):
        source.fail(word.at, f"a machine has at most {len(LETTERS)} states, this one has {len(rows)}")
    states = LETTERS[: len(rows)]
    at = word.at + word.quoted
    table: list[tuple[Action | None, ...]] = []
    for row in rows:
        if len(row) % 3 or not 3 <= len(row) <= 30:
            source.fail(at, "expected rows of 1 to 10 cells of three characters, such as 1RB1LC")
        if len(row) != len(rows[0]):
            source.fail(at, f"this row has {len(row) // 3} cells, the first has {len(rows[0]) // 3}; all must be equal")
        symbols = DIGITS[: len(row) // 3]
        cells = range(0, len(row), 3)
        table.append(tuple(_read_action(source, row[i : i + 3], at + i, symbols, states) for i in cells))
        at += len(row) + 1
    return tuple(table)


def _read_action(source: Source, cell: str, at: int, symbols: str, states: str) -> Action | None:
    if cell == "---":
        return None
    symbol, move, state = tuple(cell)
    if symbol not in symbols:
        source.fail(at, f"expected a symbol to write, one of {', '.join(symbols)}")
    if move not in ("L", "R"):
        source.fail(at + 1, "expected a move, L or R")
    if state not in states + HALTING_LETTERS:
        source.fail(at + 2, f"expected the next state, one of {', '.join(states)}, or Z to halt")
    return Action(symbol, "L" if move == "L" else "R", state)
