"""Turing machines in the prompt: their rules stand before the configuration.

    interpreter: turing        A0:1RB,A1:1LB,B0:1LA,B1:1RZ,|A0  ->  1B0

A program is the table of a Turing machine: in state A on 0 write 1, move right, go on in B. Its rules may stand in any
order. A configuration has the state's letter just before the scanned cell, as in `ahx.rules.families.turing`, and the
tape grows by blanks (0) at both ends. Where no rule fits, the machine has halted. Machines of up to 16 states and 6
symbols are read by `interpreter: turing; states=16; symbols=6`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ahx.errors import InputError
from ahx.rules.families.turing_table import DIGITS, Action, Table, read_table
from ahx.rules.interpreters.interpreter import BAR, Interpreter, PromptToken
from ahx.rules.language import LETTERS, Source
from ahx.rules.transducer import Step

BLANK = "0"
HALT = "Z"  # the state for which there are no rules
_RULE = re.compile(r"([A-Z])([0-9]):([0-9])([LR])([A-Z]),")
_CELL = re.compile(r"[A-Z]?[0-9]")
_CONFIGURATION = re.compile(r"[0-9]*[A-Z][0-9]+")

Program = Mapping[tuple[str, str], Action]


@dataclass(frozen=True)
class TuringInterpreter(Interpreter):
    """One step of the Turing machine whose rules stand before the bar: any machine with up to 8 states and 4 symbols.

    >>> turing_interpreter("B1:1RZ,A0:1RB,B0:1LA,A1:1LB,|A0")
    '1B0'
    """

    kind, programs = "turing", "machines"
    reads = (-1, 1)
    limits: ClassVar = {"states": (2, 8, 16), "symbols": (2, 4, 6)}
    shown = tuple("B1:1RZ,A0:1RB,B0:1LA,A1:1LB,|" + tape for tape in ("A0", "1B0", "0B10"))

    n_states: int  # A, B, ...; Z halts
    n_symbols: int  # 0, 1, ...
    alphabet: str = ""

    @property
    def states(self) -> str:
        return LETTERS[: self.n_states]

    @property
    def symbols(self) -> str:
        return DIGITS[: self.n_symbols]

    def prompt(self, text: str) -> list[PromptToken]:
        program, configuration = self.parse(text)
        rules: list[PromptToken] = []
        for state, symbol in program:
            todo = program[state, symbol]
            rules += [(f"{state}{symbol}:", None, ""), (f"{todo.symbol}{todo.move}{todo.state},", None, "")]
        return [*rules, (BAR, None, ""), *((cell, 1, "") for cell in _CELL.findall(configuration))]

    def taken(self, text: str) -> list[Step]:
        return steps(*self.parse(text))

    def parse(self, text: str) -> tuple[Program, str]:
        """Program and configuration. Raises InputError where `text` does not have both, or exceeds the sizes."""
        rules, bar, configuration = text.partition(BAR)
        if not bar or _RULE.sub("", rules):
            wrong = _RULE.sub("", rules)[:40] if bar else text[:40]
            raise InputError(f"{wrong!r} is not a program; write rules, a bar and a configuration: A0:1RB,B0:1LA,|0A0")
        program: dict[tuple[str, str], Action] = {}
        for state, symbol, new, move, target in _RULE.findall(rules):
            if (state, symbol) in program:
                raise InputError(f"the program has two rules for state {state} on {symbol}; leave out one")
            program[state, symbol] = Action(new, move, target)
        self.check(configuration)
        for state, symbol in [*program, *((todo.state, todo.symbol) for todo in program.values())]:
            self._known(state, symbol)
        return program, configuration

    def check(self, configuration: str) -> None:
        """Raises InputError unless `configuration` is valid for these states and symbols."""
        if not _CONFIGURATION.fullmatch(configuration):
            shown = configuration[:40]
            raise InputError(f"{shown!r} is not a configuration; write the state before a cell, as in 01B1")
        for character in configuration:
            self._known(*((character, BLANK) if character in LETTERS else (HALT, character)))

    def _known(self, state: str, symbol: str) -> None:
        if state not in self.states + HALT or symbol not in self.symbols:
            raise InputError(
                f"the interpreter knows the states {self.states} (and Z, to halt) and the symbols {self.symbols}, "
                f"not {symbol if state in self.states + HALT else state!r}"
            )


def program_of(table: Table) -> str:
    """The program of a table in the standard format, in the table's order.

    A cell `---` gives no rule; H becomes Z unless it is a state of the table.
    """
    rules = []
    for letter, row in zip(LETTERS, table, strict=False):
        for digit, todo in zip(DIGITS, row, strict=False):
            if todo is not None:
                target = todo.state if LETTERS.index(todo.state) < len(table) else HALT
                rules.append(f"{letter}{digit}:{todo.symbol}{todo.move}{target},")
    return "".join(rules)


def read_machine(text: str) -> Table:
    """The table that a text such as `1RB1LC_...` spells. Raises InputError with a caret under the first error."""
    source = Source(text)
    if len(source.words) != 1 or source.entries or source.options:
        source.fail(0, "expected one machine in the standard format, such as 1RB1LB_1LA1RZ")
    return read_table(source, source.words[0])


def steps(program: Program, configuration: str) -> list[Step]:
    """The cells of the next configuration, each with the move of the cursor on the previous one.

    A new cell at an end of the tape is the head itself, and the cursor stays on the cell to be copied next.
    """
    at = next(i for i, character in enumerate(configuration) if character in LETTERS)
    before, state, symbol, after = configuration[:at], configuration[at], configuration[at + 1], configuration[at + 2 :]
    todo = program.get((state, symbol))
    if todo is None:
        head = [Step(state + symbol, 1)]
    elif todo.move == "R":
        head = [Step(todo.symbol, 1), Step(todo.state + (after[:1] or BLANK), 1 if after else 0)]
        after = after[1:]
    else:
        head = [Step(todo.state + (before[-1:] or BLANK), 1 if before else 0), Step(todo.symbol, 1)]
        before = before[:-1]
    return [*(Step(cell, 1) for cell in before), *head, *(Step(cell, 1) for cell in after)]
