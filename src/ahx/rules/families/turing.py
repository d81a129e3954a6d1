"""One-tape Turing machines in the standard text format, such as `1RB1LB_1LA0LC_1RZ1LD_1RD0RA`.

Rows, separated by `_`, are the states A, B, C ...; the columns of a row are the symbols 0, 1, 2 ...; each cell says
what to write, where to move (L or R) and which state comes next. Z or H (a letter without a row) is the halting state.
A cell `---` halts at once, without a step.

A string is a configuration: the tape, with the state's letter just before the scanned cell, as in `01B1`. An input
without a letter is a tape: the head is on its first cell, in the start state. The tape grows by blanks.
Format: https://bbchallenge.org
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import NamedTuple

from ahx.errors import InputError
from ahx.rules.families.turing_queue import TuringQueue
from ahx.rules.families.turing_table import HALTING_LETTERS, Table, action, read_table, symbols_of
from ahx.rules.families.turing_transducer import TuringTransducer
from ahx.rules.language import LETTERS, Source, written_spec
from ahx.rules.queue_machine import QueueMachine
from ahx.rules.rule import Rule, endless, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, Transducer, repeated
from ahx.text.plural import counted


class Configuration(NamedTuple):
    cells: list[str]
    head: int
    state: str

    def __str__(self) -> str:
        return "".join(self.cells[: self.head]) + self.state + "".join(self.cells[self.head :])


@dataclass(frozen=True)
class TuringMachine(Rule):
    """A machine run for `max_steps` steps or to its halt (None)."""

    family = "turing"

    table: Table
    alphabet: str
    blank: str = "0"
    start: str = "A"
    max_steps: int | None = None

    @classmethod
    def read(cls, source: Source) -> "TuringMachine":
        source.no_entries("turing:")
        source.check_options("alphabet", "steps", "blank", "start")
        if len(source.words) != 1:
            at = source.words[1].at if source.words else len(source.text)
            source.fail(at, "expected one table, and options after a semicolon, as in 1RB1LB_1LA1RZ; steps=5")
        table = read_table(source, source.words[0])
        symbols = symbols_of(table)
        alphabet = source.alphabet(symbols)
        if not set(alphabet) <= set(symbols):
            source.fail(source.options["alphabet"].at, f"the symbols of this machine's tape are {symbols}")
        blank = source.choice("blank", symbols)
        return cls(table, alphabet, blank, source.choice("start", LETTERS[: len(table)]), source.steps(None))

    @property
    def spec(self) -> str:
        rows = ("".join("".join(action) if action else "---" for action in row) for row in self.table)
        return written_spec(
            "turing", ["_".join(rows)], blank=(self.blank, "0"), start=(self.start, "A"),
            steps=(self.max_steps, None), alphabet=(self.alphabet, self._symbols),
        )  # fmt: skip

    @property
    def _symbols(self) -> str:
        return symbols_of(self.table)

    def configuration(self, text: str) -> Configuration:
        """Reads a configuration, or a tape. Raises InputError where it is neither."""
        for symbol in text:
            if symbol not in self._symbols and symbol not in LETTERS[: len(self.table)] + HALTING_LETTERS:
                raise InputError(
                    f"{symbol!r} in {text[:40]!r} is neither a symbol of the tape ({self._symbols}) nor a state "
                    f"({LETTERS[0]} to {LETTERS[len(self.table) - 1]}, or Z); write a tape such as 01 or a "
                    "configuration such as 01B1"
                )
        letters = [at for at, symbol in enumerate(text) if symbol in LETTERS]
        if not letters:
            return Configuration(list(text or self.blank), 0, self.start)
        if len(letters) > 1:
            raise InputError(f"the configuration {text[:40]!r} has {len(letters)} state letters; write one")
        head = letters[0]
        if head == len(text) - 1:
            raise InputError(
                f"the configuration {text[-40:]!r} ends with the state; write the scanned cell after it, "
                f"as in {text[-39:] + self.blank!r}"
            )
        return Configuration(list(text[:head] + text[head + 1 :]), head, text[head])

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        """Every configuration, the first one with its state's letter even where `text` has none."""
        return limited(map(str, self._run(self.configuration(text))), limit)

    def _run(self, configuration: Configuration) -> Iterator[Configuration]:
        yield configuration
        cells, head, state = configuration
        done = 0
        while done != self.max_steps and (todo := action(self.table, state, cells[head])):
            cells[head], move, state = todo
            head += 1 if move == "R" else -1
            if head < 0:
                cells.insert(0, self.blank)
                head = 0
            elif head == len(cells):
                cells.append(self.blank)
            yield Configuration(cells, head, state)
            done += 1

    def apply(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> str:
        """The last configuration, at about ten million steps a second, because no other one is written out."""
        cells, head, state = self.configuration(text)
        columns = len(self._symbols)
        unvisited = columns  # an extra column that acts like the blank, so that the tape can grow in large blocks
        width = columns + 1
        row = LETTERS.index(state) * width
        fast = self._fast_table
        tape = bytearray(map(int, cells))
        allowed = limit if self.max_steps is None else min(limit, self.max_steps)
        for _ in repeat(None, allowed):
            todo = fast[row + tape[head]]
            if todo is None:
                break
            tape[head], move, row = todo
            head += move
            if head < 0:
                head += len(tape)
                tape[:0] = bytes([unvisited]) * len(tape)
            elif head == len(tape):
                tape.extend(bytes([unvisited]) * len(tape))
        else:
            if allowed != self.max_steps and fast[row + tape[head]] is not None:
                raise endless(text, limit)
        if tape[head] == unvisited:
            tape[head] = int(self.blank)
        before, after = tape[:head].lstrip(bytes([unvisited])), tape[head:].rstrip(bytes([unvisited]))
        return str(Configuration([str(cell) for cell in before + after], len(before), LETTERS[row // width]))

    @cached_property
    def _fast_table(self) -> list[tuple[int, int, int] | None]:
        """[letter * width + symbol]: (symbol to write, move, letter * width), for every letter there is."""
        width = len(self._symbols) + 1
        return [
            (int(todo.symbol), 1 if todo.move == "R" else -1, LETTERS.index(todo.state) * width)
            if (todo := action(self.table, letter, symbol))
            else None
            for letter in LETTERS
            for symbol in self._symbols + self.blank
        ]

    def summary(self, output: str) -> str:
        ones = output.count("1")
        return counted(ones, "one")

    @cached_property
    def _transducer(self) -> Transducer | None:
        return repeated(TuringTransducer(self.table, self.blank, self.start), self.max_steps)

    def unlimited(self) -> "TuringMachine":
        return replace(self, max_steps=None)

    def queue(self) -> QueueMachine:
        return TuringQueue(self.table, self.blank, lambda text: str(self.configuration(text)))

    def shown_inputs(self) -> Iterator[str]:
        yield from ("", "1", "01", "11", "101")
        yield from (letter + self.blank for letter in LETTERS[1 : len(self.table)])
