"""Substitutions in the prompt: a step rewrites every letter that has a rule, and copies the others.

    interpreter: substitution      A->BC,B->,|ABA  ->  BCBC

The rules may be in any order. A state names the letter of the right side that comes next: "" the first, "b" the
second, "c" the third.
"""

from dataclasses import dataclass
from typing import ClassVar

from ahx.rules.families.markov import Production
from ahx.rules.interpreters.interpreter import PromptToken
from ahx.rules.interpreters.string_interpreter import LETTER_NAMES, Program, StringInterpreter, spelled, written_letters
from ahx.rules.transducer import Step


@dataclass(frozen=True)
class SubstitutionInterpreter(StringInterpreter):
    """One step of the substitution whose rules stand before the bar: any rules for letters, with words of up to three.

    >>> substitution_interpreter("B->,A->BC,|ABBAD")
    'BCBCD'
    """

    kind, programs = "substitution", "substitutions"
    shown = ("B->,A->BAA,|AB", "B->,A->BAA,|BCA", "|AB")
    reads = (0, 0)
    longest_left = 1
    has_final = False
    limits: ClassVar = {"letters": (2, 6, 9), "rules": (1, 6, 9)}

    def rewrite(self, program: Program, string: str) -> list[Step]:
        rights = {production.left: production.right for production in program}
        return [step for letter in string for step in spelled(rights.get(letter, letter), 1)]

    def rule_tokens(self, number: int, production: Production) -> list[PromptToken]:
        """A token for each letter that is written: left side, position, letter, and whether it is the last."""
        left, right, _ = production
        return [
            (
                ("" if k else f"{left}->") + letter + "," * last,
                None,
                f"{left}{LETTER_NAMES[k]}{letter or '-'}{'.' if last else '-'}",
            )
            for k, letter, last in written_letters(right)
        ]
