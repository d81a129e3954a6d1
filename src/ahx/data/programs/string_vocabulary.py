"""The vocabularies of the interpreters of strings."""

from collections.abc import Iterator
from itertools import product

from ahx.data.programs.program_writer import MARKS
from ahx.data.tokenizer import Token, Tokenizer
from ahx.rules.families.markov import Production
from ahx.rules.interpreters.markov_interpreter import MarkovInterpreter
from ahx.rules.interpreters.string_interpreter import END, MOST_WRITTEN, PLACES, StringInterpreter
from ahx.rules.transducer import NEXT, SILENT, Step


def string_vocabulary(rule: StringInterpreter) -> Tokenizer:
    """The tokens of all programs and strings of `rule`."""
    pieces = (Token(*piece) for number, production in _rules(rule) for piece in rule.pieces(number, production))
    steps = _markov_steps(rule) if isinstance(rule, MarkovInterpreter) else _substitution_steps(rule)
    every = [*MARKS, *pieces, *(Token(*step) for step in [*steps, Step(NEXT)])]
    return Tokenizer(list(dict.fromkeys(every)), rule.start)


def _words(letters: str, least: int, most: int) -> list[str]:
    return ["".join(word) for n in range(least, most + 1) for word in product(letters, repeat=n)]


def _rules(rule: StringInterpreter) -> Iterator[tuple[int, Production]]:
    """Numbered rules in which every token of a rule occurs."""
    lefts, rights = (_words(rule.letters, *span) for span in ((1, rule.longest_left), (0, MOST_WRITTEN)))
    # The tokens of a right side know its left side by number and length, or by itself if rules have no order.
    some = [rule.letters[0] * n for n in range(1, rule.longest_left + 1)] if rule.has_final else lefts
    for number in range(1, rule.n_rules + 1):
        yield from ((number, Production(left, "")) for left in lefts)
        for left, right, final in product(some, rights, {False, rule.has_final}):
            yield number, Production(left, right, final)


def _substitution_steps(rule: StringInterpreter) -> list[Step]:
    waits = [Step(letter, 0, k) for letter in rule.letters for k in PLACES[1:]]
    return [*(Step(letter, 1) for letter in rule.letters), *waits, Step(SILENT, 1)]


def _markov_steps(rule: StringInterpreter) -> list[Step]:
    numbers = range(1, rule.n_rules + 1)
    steps = [*(Step(letter, 1) for letter in rule.letters + END), Step(END, 0)]
    steps += [Step(SILENT, -1, f"s{best}") for best in (*numbers, "-", END)]
    steps += [Step(SILENT, 1), *(Step(SILENT, 1, f"f{best}") for best in numbers)]
    steps += [Step(letter, 1, f"f{best}") for best in numbers for letter in rule.letters]
    steps += [Step(letter, 0, f"w{best}{k}") for best in numbers for k in PLACES[1:] for letter in rule.letters]
    moves, written = range(1, rule.longest_left + 1), [*rule.letters, SILENT]
    return steps + [Step(letter, move, after) for after in ("", END) for move in moves for letter in written]
