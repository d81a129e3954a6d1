"""Markov algorithms in the prompt: a step applies the first rule that fits, at its leftmost place.

    interpreter: markov      BA->AB,CC->.D,|CBACC  ->  CABCC       the first rule fits
                             BA->AB,CC->.D,|CABCC  ->  CABD.       the second, which is final

After a final rule (`->.`) a dot is put behind the string, and a string with a dot stays as it is.
"""

from dataclasses import dataclass

from ahx.rules.families.markov import Production
from ahx.rules.interpreters.interpreter import Piece
from ahx.rules.interpreters.string_interpreter import END, PLACES, Program, StringInterpreter, spelled, written_letters
from ahx.rules.transducer import SILENT, Step


@dataclass(frozen=True)
class MarkovInterpreter(StringInterpreter):
    """Any Markov algorithm with short rules.

    As in `families.markov`, the machine first walks silently from the right to the left, to learn which rule applies:
      "s-"  none so far         "s2"   the best so far is rule 2     "s."  none does: there is a dot
    Then it copies up to the leftmost place of that rule, writes its right side, and copies the rest:
      "f2"  looking for it      "w2b"  its second letter comes next  ""    done        "."   done, and a dot will follow
    """

    kind, programs = "markov", "Markov algorithms"
    shown = ("BA->AB,CC->.D,|CBA", "BA->AB,CC->.D,|CCA", "BA->AB,CC->.D,|CAB")
    start = "program right"
    reads = (0, 1)
    lookups = 3  # a rule for one letter, a rule for two, and what the best rule writes
    longest_left = 2
    has_final = True
    usual = (5, 5)

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

    def pieces(self, number: int, production: Production) -> list[Piece]:
        """One for the left side, and one for each letter that is written.

        The last one also tells how far the cursor then moves, and whether the rule is final.
        """
        left, right, final = production
        pieces: list[Piece] = [(f"{left}->", None, f"k{number}{left:-<{self.longest_left}}")]
        for k, letter, last in written_letters(right):
            text = END * (final and k == 0) + letter + "," * last
            mark, move = END if final else "-", len(left) if last else "-"
            pieces.append((text, None, f"v{number}{PLACES[k]}{move}{mark}{letter or '-'}{END if last else '-'}"))
        return pieces
