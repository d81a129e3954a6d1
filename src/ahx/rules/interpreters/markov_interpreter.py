"""Markov algorithms in the prompt: a step applies the first rule that fits, at its leftmost match.

    interpreter: markov      BA->AB,CC->.D,|CBACC  ->  CABCC       the first rule fits
                             BA->AB,CC->.D,|CABCC  ->  CABD.       the second, which is final

After a final rule (`->.`) a dot is put behind the string, and a string with a dot stays as it is. As in
`ahx.rules.families.markov`, the cursor first moves silently from the right to the left, to find the rule that applies:

    "s-"  none so far         "s2"   the best so far is rule 2     "s."  none does: there is a dot

Then the string is copied up to the leftmost match of that rule, its right side is written, and the rest is copied:

    "f2"  looking for it      "w2b"  its second letter comes next  ""    done        "."   done, and a dot will follow
"""

from dataclasses import dataclass
from typing import ClassVar

from ahx.rules.families.markov import Production
from ahx.rules.interpreters.interpreter import PromptToken
from ahx.rules.interpreters.string_interpreter import (
    END,
    LETTER_NAMES,
    Program,
    StringInterpreter,
    spelled,
    written_letters,
)
from ahx.rules.transducer import SILENT, Step


@dataclass(frozen=True)
class MarkovInterpreter(StringInterpreter):
    """One step of the Markov algorithm whose rules stand before the bar: any rules with up to two letters on the left.

    After a final rule (`->.`) a dot is put behind the string.

    >>> markov_interpreter("BA->AB,CC->.D,|CABCC")
    'CABD.'
    """

    kind, programs = "markov", "Markov algorithms"
    shown = ("BA->AB,CC->.D,|CBA", "BA->AB,CC->.D,|CCA", "BA->AB,CC->.D,|CAB")
    start = "program right"
    reads = (0, 1)
    lookups = 3  # a rule for one letter, a rule for two, and the right side of the best rule
    longest_left = 2
    has_final = True
    limits: ClassVar = {"letters": (2, 5, 9), "rules": (1, 5, 9)}

    def rewrite(self, program: Program, string: str) -> list[Step]:
        ended, best, steps = string.endswith(END), 0, []
        for at in reversed(range(len(string))):
            fitting = [number for number, p in enumerate(program, 1) if string.startswith(p.left, at)]
            best = min(number for number in [*fitting, best] if number) if fitting or best else 0
            steps.append(Step(SILENT, -1, "s" + (END if ended else str(best or "-"))))
        if ended or not best:
            return [*steps, Step(SILENT, 1), *(Step(symbol, 1) for symbol in string)]
        left, right, final = program[best - 1]
        found, after = string.index(left), END if final else ""
        steps += [Step(SILENT, 1, f"f{best}"), *(Step(letter, 1, f"f{best}") for letter in string[:found])]
        steps += spelled(right, len(left), f"w{best}", after)
        steps += [Step(letter, 1, after) for letter in string[found + len(left) :]]
        return [*steps, Step(END, 0)] if final else steps

    def rule_tokens(self, number: int, production: Production) -> list[PromptToken]:
        """A token for the left side, and one for each letter that is written.

        The last one also encodes how far the cursor then moves, and whether the rule is final.
        """
        left, right, final = production
        tokens: list[PromptToken] = [(f"{left}->", None, f"k{number}{left:-<{self.longest_left}}")]
        for k, letter, last in written_letters(right):
            text = END * (final and k == 0) + letter + "," * last
            mark, move = END if final else "-", len(left) if last else "-"
            tokens.append((text, None, f"v{number}{LETTER_NAMES[k]}{move}{mark}{letter or '-'}{END if last else '-'}"))
        return tokens
