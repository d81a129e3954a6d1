"""Programs of rules that rewrite strings, and their runs, as tokens; whole batches at once."""

from abc import abstractmethod
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from ahx.data.programs.program_writer import MARKS, Bools, ProgramWriter, Runs, Tokens, shown_tokens
from ahx.data.programs.string_programs import Programs, Sizes, Strings, canonical_hash, draw_split, draw_strings
from ahx.data.ragged import Ints
from ahx.data.split import Hashes
from ahx.data.tokenizer import Token, Tokenizer
from ahx.rules.families.markov import Production
from ahx.rules.interpreters.string_interpreter import MOST_WRITTEN, StringInterpreter
from ahx.rules.transducer import NEXT, Step


class Written(NamedTuple):
    """One step of M runs: its tokens, which of them exist, and the strings after it."""

    tokens_MX: Ints
    shown_MX: Bools
    strings: Strings


class StringWriter(ProgramWriter[Programs]):
    """Programs of rules that rewrite strings, and their runs."""

    usual = training = Sizes()
    small = Sizes((2, 3), (1, 2))
    steps = 2

    def __init__(self, rule: StringInterpreter, tokenizer: Tokenizer) -> None:
        super().__init__(rule, tokenizer)
        self.rule = rule
        self.input_A = np.array([tokenizer.number(letter, 1) for letter in rule.letters])

    @classmethod
    def vocabulary(cls, rule: StringInterpreter) -> Tokenizer:
        rules = (Token(*own) for number, production in _rules(rule) for own in rule.rule_tokens(number, production))
        steps = (Token(*step) for step in [*cls.steps_of(rule), Step(NEXT)])
        return Tokenizer(list(dict.fromkeys([*MARKS, *rules, *steps])), rule.start)

    @staticmethod
    @abstractmethod
    def steps_of(rule: StringInterpreter) -> list[Step]:
        """Every step that a run can take, except NEXT."""

    @abstractmethod
    def rule_tokens(self, programs: Programs) -> tuple[Ints, Bools]:
        """The tokens of each rule, and which of them exist: (N, R, X)."""

    @abstractmethod
    def step(self, programs: Programs, strings: Strings) -> Written:
        """The next step of each run. NEXT is not among its tokens."""

    def draw(self, rng: np.random.Generator, n: int, sizes: Sizes, testing: bool) -> Programs:
        return draw_split(rng, n, sizes, self.rule, testing)

    def canonical_hash(self, programs: Programs) -> Hashes:
        return canonical_hash(programs, self.rule.has_final)

    def rules(self, rng: np.random.Generator, programs: Programs) -> list[Tokens]:
        tokens_NRX, shown_NRX = self.rule_tokens(programs)
        N, R, _ = tokens_NRX.shape
        if not self.rule.has_final:  # otherwise the order matters
            order = rng.random((N, R)).argsort(1)[..., None]
            tokens_NRX, shown_NRX = np.take_along_axis(tokens_NRX, order, 1), np.take_along_axis(shown_NRX, order, 1)
        return shown_tokens(tokens_NRX.reshape(N, -1), shown_NRX.reshape(N, -1))

    def runs(self, rng: np.random.Generator, programs: Programs, shape: Runs) -> list[Tokens]:
        strings = draw_strings(rng, programs, shape.lengths)
        (M, W), marks, shown = strings.cells_MW.shape, self.tokenizer, np.ones((len(strings.length_M), 1), bool)
        parts = [np.full((M, 1), marks.configuration), self.input_A[strings.cells_MW], np.full((M, 1), marks.separator)]
        masks = [shown, np.arange(W) < strings.length_M[:, None], shown]
        for _ in range(shape.steps):
            tokens_MX, shown_MX, strings = self.step(programs, strings)
            parts += [tokens_MX, np.full((M, 1), marks.stop)]
            masks += [shown_MX, shown]
        return shown_tokens(np.concatenate(parts, 1), np.concatenate(masks, 1))


def _words(letters: str, least: int, most: int) -> list[str]:
    return ["".join(word) for n in range(least, most + 1) for word in product(letters, repeat=n)]


def _rules(rule: StringInterpreter) -> Iterator[tuple[int, Production]]:
    """Numbered rules in which every token of a rule occurs."""
    lefts, rights = (_words(rule.letters, *span) for span in ((1, rule.longest_left), (0, MOST_WRITTEN)))
    # The tokens of a right side encode its rule's number and the length of its left side; or, if rules have no order,
    # the left side itself.
    some = [rule.letters[0] * n for n in range(1, rule.longest_left + 1)] if rule.has_final else lefts
    for number in range(1, rule.n_rules + 1):
        yield from ((number, Production(left, "")) for left in lefts)
        for left, right, final in product(some, rights, {False, rule.has_final}):
            yield number, Production(left, right, final)
