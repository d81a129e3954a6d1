"""Two-way transducers that a user writes as a table: what to write, where to move, and which state comes next.

    transducer: start=right; q < -> stop, q * -> * L q          reverse

An entry is `state cell -> word move state`. The cell is a symbol, `*` (any other symbol), `<` or `>` (the left or right
end). The word is a string, `""` for nothing, or `*` for the symbol that is seen. The move is L, R or S (stay). Instead
of the three, `stop` ends the run, and `next q` starts over in state q on what has been written. The first state in the
table is the start state. A quoted mark is a symbol: `"*"`, `"<"`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from ahx.errors import InputError
from ahx.rules.language import ONLY_MARKOV, Entry, Source, Word, default_alphabet, quoted, written_spec
from ahx.rules.rule import Rule
from ahx.rules.transducer import (
    DEFAULT_STEP_LIMIT,
    LEFT_EDGE,
    NEXT,
    RIGHT_EDGE,
    STOP,
    Step,
    Transducer,
    run,
    spelled,
    written,
)

ANY = "<any>"  # any symbol that has no entry; as a word, the symbol that is seen
MARKS = {"<": LEFT_EDGE, ">": RIGHT_EDGE, "*": ANY}
MOVES = {"L": -1, "S": 0, "R": 1}
SMALL_ALPHABET = 4
EXAMPLE = 'q A -> x R q, or q > -> "" L r, or q < -> stop'


class Row(NamedTuple):
    """One entry of the table. `word` may be ANY, STOP or NEXT instead of a string."""

    state: str
    cell: str
    word: str
    move: int = 0
    target: str = ""


@dataclass(frozen=True)
class TransducerRule(Rule):
    """A two-way transducer with a table; it sees only the cell under the cursor."""

    family = "transducer"

    rows: tuple[Row, ...]
    start: Literal["left", "right"]
    alphabet: str

    @classmethod
    def read(cls, source: Source) -> "TransducerRule":
        source.no_words(EXAMPLE)
        source.check_options("alphabet", "start")
        if not source.entries:
            source.fail(len(source.text), f"expected at least one entry, such as {EXAMPLE}")
        rows: dict[tuple[str, str], Row] = {}
        for entry in source.entries:
            row = _read_row(source, entry)
            if (row.state, row.cell) in rows:
                source.fail(entry.left[0].at, "this state and cell have an entry already")
            rows[row.state, row.cell] = row
        states = {row.state for row in rows.values()}
        for entry, row in zip(source.entries, rows.values(), strict=True):
            if row.word != STOP and row.target not in states:
                source.fail(entry.right[-1].at, f"no entry says what to do in the state {row.target}")
        start: Literal["left", "right"] = "right" if source.choice("start", ("left", "right")) == "right" else "left"
        return cls(tuple(rows.values()), start, source.alphabet(_symbols(rows.values())))

    @property
    def spec(self) -> str:
        start, alphabet = (self.start, "left"), (self.alphabet, _symbols(self.rows))
        return written_spec("transducer", map(_written_row, self.rows), start=start, alphabet=alphabet)

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        """`text`, what is written at each `next`, and the output. Here `limit` counts the transducer's steps."""
        yield text
        steps: list[Step] = []
        for step in run(self._transducer, text, limit):
            if step.symbol in (NEXT, STOP):
                yield written(steps)
                steps.clear()
            else:
                steps.append(step)

    @cached_property
    def _transducer(self) -> Transducer:
        return TableTransducer(self.rows, self.start)

    def snippets(self) -> tuple[str, ...]:
        """Runs of one symbol, where there are few: chains such as the carries of `increment` are rare otherwise."""
        return tuple(symbol * 3 for symbol in self.alphabet) if len(self.alphabet) <= SMALL_ALPHABET else ()


@dataclass(frozen=True)
class TableTransducer:
    """The transducer of a table. The first state is called "" in its steps; "q+1" means that one letter is written."""

    rows: tuple[Row, ...]
    start: Literal["left", "right"]
    reads: tuple[int, int] = (0, 0)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], Row]:
        first = self.rows[0].state
        named = {state: "" if state == first else state for state in {row.state for row in self.rows}}
        return {
            (named[row.state], row.cell): row._replace(state=named[row.state], target=named.get(row.target, ""))
            for row in self.rows
        }

    def step(self, state: str, view: Sequence[str]) -> Step:
        (cell,) = view
        name, _, done = state.partition("+")
        row = self._rows.get((name, cell))
        if row is None and cell not in (LEFT_EDGE, RIGHT_EDGE):
            row = self._rows.get((name, ANY))
        if row is None:
            where = {LEFT_EDGE: "at the left end", RIGHT_EDGE: "at the right end"}.get(cell, f"on the symbol {cell!r}")
            raise InputError(
                f"the transducer has no entry for the state {name or self.rows[0].state} {where}; "
                "add one, or change the input"
            )
        if row.word in (STOP, NEXT):
            return Step(row.word, 0, row.target)
        return spelled(cell if row.word == ANY else row.word, int(done or 0), row.move, f"{name}+", row.target)


def _symbols(rows: Iterable[Row]) -> str:
    return default_alphabet(*(row.cell for row in rows if len(row.cell) == 1))


def _read_row(source: Source, entry: Entry) -> Row:
    if entry.final:
        source.fail(entry.at + 2, ONLY_MARKOV)
    if len(entry.left) != 2:
        at = entry.left[2].at if len(entry.left) > 2 else entry.at
        source.fail(at, f"expected a state and a cell before the arrow, as in {EXAMPLE}")
    state, cell = entry.left
    seen = cell.text if cell.quoted else MARKS.get(cell.text, cell.text)
    if len(seen) != 1 and seen not in MARKS.values():
        source.fail(cell.at, "expected one symbol, or <, > or *")
    words = [word.text for word in entry.right]
    if words == ["stop"]:
        return Row(_state(source, state), seen, STOP)
    if len(words) == 2 and words[0] == "next":
        return Row(_state(source, state), seen, NEXT, 0, _state(source, entry.right[1]))
    if len(words) != 3:
        at = entry.right[3].at if len(words) > 3 else entry.right[-1].at if words else entry.at + 2
        source.fail(at, f"expected a word, a move and a state after the arrow, or stop, or next and a state: {EXAMPLE}")
    word, move, target = entry.right
    if move.text not in MOVES:
        source.fail(move.at, "expected a move: L, R or S")
    copied = word.text == "*" and not word.quoted
    if copied and seen in (LEFT_EDGE, RIGHT_EDGE):
        source.fail(word.at, 'there is no symbol at an end to copy; expected a word, or "" for nothing')
    return Row(_state(source, state), seen, ANY if copied else word.text, MOVES[move.text], _state(source, target))


def _state(source: Source, word: Word) -> str:
    if not re.fullmatch(r"\w+", word.text):
        source.fail(word.at, "expected the name of a state, of letters and digits")
    return word.text


def _written_row(row: Row) -> str:
    marks = {mark: text for text, mark in MARKS.items()}
    cell = marks.get(row.cell) or _symbol(row.cell)
    if row.word == STOP:
        return f"{row.state} {cell} -> stop"
    if row.word == NEXT:
        return f"{row.state} {cell} -> next {row.target}"
    move = {move: letter for letter, move in MOVES.items()}[row.move]
    return f"{row.state} {cell} -> {marks.get(row.word) or _symbol(row.word)} {move} {row.target}"


def _symbol(text: str) -> str:
    """`text` as a word, quoted where it would be read as a mark."""
    return f'"{text}"' if text in MARKS else quoted(text)
