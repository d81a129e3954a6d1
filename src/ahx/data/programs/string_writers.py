"""Programs of rules that rewrite strings as tokens, and what each step of a substitution writes.

Whole batches at once, as `ahx.rules` has it for one string; tests hold the two together.
"""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np

from ahx.data.programs.program_writer import Bools, ProgramWriter, Runs, Tokens, shown_tokens
from ahx.data.programs.string_programs import Programs, Sizes, Strings, draw_split, draw_strings, joined, likeness
from ahx.data.spans import Hashes, Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.string_interpreter import END, MOST_WRITTEN, PLACES, StringInterpreter
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter
from ahx.rules.transducer import SILENT


class Written(NamedTuple):
    """One step of M runs: its tokens, those that are shown, and the strings that it leaves."""

    tokens_MX: Ints
    shown_MX: Bools
    strings: Strings


class StringWriter(ProgramWriter[Programs]):
    """Programs of rules that rewrite strings, and their runs."""

    usual = training = Sizes()
    small = Sizes((2, 3), (1, 2))
    steps = 2

    def __init__(self, rule: StringInterpreter, tokenizer: Tokenizer) -> None:
        self.rule, self.tokenizer = rule, tokenizer
        self.input_A = np.array([tokenizer.number(letter, 1) for letter in rule.letters])

    @abstractmethod
    def pieces(self, programs: Programs) -> tuple[Ints, Bools]:
        """The tokens of each rule, and which there are: (N, R, X)."""

    @abstractmethod
    def step(self, programs: Programs, strings: Strings) -> Written:
        """The next step of each run. NEXT is not among its tokens."""

    def draw(self, rng: np.random.Generator, n: int, sizes: Sizes, testing: bool) -> Programs:
        return draw_split(rng, n, sizes, self.rule, testing)

    def likeness(self, programs: Programs) -> Hashes:
        return likeness(programs, self.rule.has_final)

    def rules(self, rng: np.random.Generator, programs: Programs) -> list[Tokens]:
        tokens_NRX, shown_NRX = self.pieces(programs)
        N, R, _ = tokens_NRX.shape
        if not self.rule.has_final:  # otherwise the order counts
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


class SubstitutionWriter(StringWriter):
    """A step writes the right side of each letter."""

    def __init__(self, rule: SubstitutionInterpreter, tokenizer: Tokenizer) -> None:
        super().__init__(rule, tokenizer)
        A, letters, number = rule.n_letters, rule.letters, tokenizer.number
        self.piece_AKBZ = np.zeros((A, MOST_WRITTEN, A + 1, 2), np.int64)  # letter -1, the last, is no letter
        for token in tokenizer.tokens:
            if token.move is None and token.state:
                left, k, letter, last = list(token.state)
                at = letters.index(left), PLACES.index(k), letters.find(letter), int(last == END)
                self.piece_AKBZ[at] = number(*token)
        self.last_A = np.array([number(letter, 1) for letter in (*letters, SILENT)])
        self.waits_KA = np.array([[number(letter, 0, k) for letter in letters] for k in PLACES[1:]])

    def pieces(self, programs: Programs) -> tuple[Ints, Bools]:
        left_NR1, right_NRK = programs.left_NRL[:, :, :1], programs.right_NRK
        at_K = np.arange(MOST_WRITTEN)
        long_NR1 = (right_NRK >= 0).sum(2, keepdims=True)
        has_NRK = programs.has_rule_NR[..., None] & (at_K < np.maximum(long_NR1, 1))
        tokens_NRK = self.piece_AKBZ[left_NR1, at_K, right_NRK, (at_K >= long_NR1 - 1).astype(np.int64)]
        return tokens_NRK, has_NRK

    def step(self, programs: Programs, strings: Strings) -> Written:
        cells_MW, length_M, ended_M = strings
        M, W = cells_MW.shape
        A = self.rule.n_letters
        right_MAK = np.full((M, A + 1, MOST_WRITTEN), -1)
        right_MAK[:, :A, 0] = np.arange(A)
        rows = np.arange(M)[:, None]
        left_MR = programs.left_NRL[:, :, 0]
        right_MAK[rows, left_MR] = programs.right_NRK  # what is no rule has left -1, the spare last letter
        right_MWK = right_MAK[rows, cells_MW]
        at_K, long_MW1 = np.arange(MOST_WRITTEN), (right_MWK >= 0).sum(2, keepdims=True)
        last_MWK = at_K >= long_MW1 - 1
        waits_MWK = self.waits_KA[np.minimum(at_K, MOST_WRITTEN - 2), right_MWK]
        tokens_MWK = np.where(last_MWK, self.last_A[right_MWK], waits_MWK)
        shown_MWK = (np.arange(W) < length_M[:, None])[..., None] & (at_K < np.maximum(long_MW1, 1))
        kept_MX = (right_MWK >= 0).reshape(M, -1) & shown_MWK.reshape(M, -1)
        return Written(
            tokens_MWK.reshape(M, -1), shown_MWK.reshape(M, -1), joined(right_MWK.reshape(M, -1), kept_MX, ended_M)
        )

    def longest_row(self, shape: Runs) -> int:
        runs, steps, (_, longest) = shape
        strings = sum(longest * int(MOST_WRITTEN**k) + 1 for k in range(steps + 1))
        return 1 + self.rule.n_rules * MOST_WRITTEN + runs * (1 + strings)
