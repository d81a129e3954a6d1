"""Substitutions as tokens, and what each of their steps writes; whole batches at once."""

import numpy as np

from ahx.data.programs.program_writer import Bools, Runs
from ahx.data.programs.string_programs import Programs, Strings, joined
from ahx.data.programs.string_writer import StringWriter, Written
from ahx.data.ragged import Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.string_interpreter import END, LETTER_NAMES, MOST_WRITTEN, StringInterpreter
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter
from ahx.rules.transducer import SILENT, Step


class SubstitutionWriter(StringWriter):
    """A step writes the right side of each letter."""

    def __init__(self, rule: SubstitutionInterpreter, tokenizer: Tokenizer) -> None:
        super().__init__(rule, tokenizer)
        A, letters, number = rule.n_letters, rule.letters, tokenizer.number
        self.token_AKBZ = np.zeros((A, MOST_WRITTEN, A + 1, 2), np.int64)  # letter -1, the last, is padding
        for token in tokenizer.tokens:
            if token.move is None and token.state:
                left, k, letter, last = list(token.state)
                at = letters.index(left), LETTER_NAMES.index(k), letters.find(letter), int(last == END)
                self.token_AKBZ[at] = number(*token)
        self.last_A = np.array([number(letter, 1) for letter in (*letters, SILENT)])
        self.waits_KA = np.array([[number(letter, 0, k) for letter in letters] for k in LETTER_NAMES[1:]])

    @staticmethod
    def steps_of(rule: StringInterpreter) -> list[Step]:
        waits = [Step(letter, 0, k) for letter in rule.letters for k in LETTER_NAMES[1:]]
        return [*(Step(letter, 1) for letter in rule.letters), *waits, Step(SILENT, 1)]

    def rule_tokens(self, programs: Programs) -> tuple[Ints, Bools]:
        left_NR1, right_NRK = programs.left_NRL[:, :, :1], programs.right_NRK
        at_K = np.arange(MOST_WRITTEN)
        long_NR1 = (right_NRK >= 0).sum(2, keepdims=True)
        has_NRK = programs.has_rule_NR[..., None] & (at_K < np.maximum(long_NR1, 1))
        tokens_NRK = self.token_AKBZ[left_NR1, at_K, right_NRK, (at_K >= long_NR1 - 1).astype(np.int64)]
        return tokens_NRK, has_NRK

    def step(self, programs: Programs, strings: Strings) -> Written:
        cells_MW, length_M, ended_M = strings
        M, W = cells_MW.shape
        A = self.rule.n_letters
        right_MAK = np.full((M, A + 1, MOST_WRITTEN), -1)
        right_MAK[:, :A, 0] = np.arange(A)
        rows = np.arange(M)[:, None]
        left_MR = programs.left_NRL[:, :, 0]
        right_MAK[rows, left_MR] = programs.right_NRK  # a missing rule has left -1, the spare last letter
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
