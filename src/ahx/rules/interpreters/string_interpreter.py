"""Interpreters of rules that rewrite strings: any substitution, any Markov algorithm.

    interpreter: substitution      A->BC,B->,|ABA          ->  BCBC
    interpreter: markov            BA->AB,CC->.D,|CBACC    ->  CABCC

A rule is a left side, an arrow, a right side and a comma.
"""

import re
from abc import abstractmethod
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

from ahx.errors import InputError
from ahx.rules.families.markov import Production
from ahx.rules.interpreters.interpreter import BAR, Interpreter, PromptToken
from ahx.rules.language import LETTERS
from ahx.rules.transducer import Step

END = "."  # behind a string to which a final rule was applied
MOST_WRITTEN = 3  # letters of a right side
LETTER_NAMES = "abc"  # their names in states
_RULE = re.compile(r"([A-Z]+)->(\.?)([A-Z]*),")

Program = tuple[Production, ...]


@dataclass(frozen=True)
class StringInterpreter(Interpreter):
    """Programs over the letters A, B, ... with up to `n_rules` rules."""

    longest_left: ClassVar[int]  # letters of a left side
    has_final: ClassVar[bool]  # whether there are final rules, and so strings with a dot

    n_letters: int
    n_rules: int
    alphabet: str = ""

    @property
    def letters(self) -> str:
        return LETTERS[: self.n_letters]

    def prompt(self, text: str) -> list[PromptToken]:
        program, string = self.parse(text)
        rules = [self.rule_tokens(number, production) for number, production in enumerate(program, 1)]
        return [*chain(*rules), (BAR, None, ""), *((symbol, 1, "") for symbol in string)]

    def taken(self, text: str) -> list[Step]:
        return self.rewrite(*self.parse(text))

    def parse(self, text: str) -> tuple[Program, str]:
        """Program and string. Raises InputError where `text` does not have both, or exceeds the sizes."""
        rules, bar, string = text.partition(BAR)
        wrong = _RULE.sub("", rules) if bar else text
        if wrong:
            raise InputError(f"{wrong[:40]!r} is not a program; write rules, a bar and a string: AB->C,C->,|ABAC")
        program = tuple(Production(left, right, bool(dot)) for left, dot, right in _RULE.findall(rules))
        if len(program) > self.n_rules:
            raise InputError(f"the interpreter knows programs of up to {self.n_rules} rules, not {len(program)}")
        for number, (left, right, final) in enumerate(program):
            if left in (earlier.left for earlier in program[:number]):
                raise InputError(f"{left!r} has a rule already, so a second one would never apply; leave it out")
            if final and not self.has_final:
                raise InputError(f"{left}->. is a final rule, which only Markov algorithms have; leave out the dot")
            self._known(left, self.longest_left)
            self._known(right, MOST_WRITTEN)
        self._known(string.removesuffix(END) if self.has_final else string)
        return program, string

    def _known(self, word: str, most: int | None = None) -> None:
        if odd := set(word) - set(self.letters):
            raise InputError(f"the interpreter knows the letters {self.letters}, not {min(odd)!r}")
        if most is not None and len(word) > most:
            raise InputError(f"the interpreter knows words of up to {most} letters on this side of ->, not {word!r}")

    @abstractmethod
    def rewrite(self, program: Program, string: str) -> list[Step]:
        """The steps that write the string one step later."""

    @abstractmethod
    def rule_tokens(self, number: int, production: Production) -> list[PromptToken]:
        """The tokens of a program's rule with this number, from 1. Their states describe the rule completely."""


def written_letters(right: str) -> list[tuple[int, str, bool]]:
    """The number of each letter, itself, and whether it is the last; an empty word is one empty letter."""
    return [(k, letter, k == len(right) - 1) for k, letter in enumerate(right)] or [(0, "", True)]


def spelled(right: str, move: int, state: str = "", after: str = "") -> list[Step]:
    """The steps that write `right`: the cursor waits until the last one, and then moves by `move`."""
    return [
        Step(letter, move, after) if last else Step(letter, 0, state + LETTER_NAMES[k + 1])
        for k, letter, last in written_letters(right)
    ]
