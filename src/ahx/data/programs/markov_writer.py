"""Markov algorithms as tokens, and what each of their steps writes; whole batches at once."""

from typing import NamedTuple

import numpy as np

from ahx.data.programs.program_writer import Bools, Runs
from ahx.data.programs.string_programs import Programs, Strings, joined
from ahx.data.programs.string_writer import StringWriter, Written
from ahx.data.ragged import Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.markov_interpreter import MarkovInterpreter
from ahx.rules.interpreters.string_interpreter import END, LETTER_NAMES, MOST_WRITTEN, StringInterpreter
from ahx.rules.transducer import SILENT, Step


class MarkovWriter(StringWriter):
    """A step moves to the left, to find the rule, and then writes."""

    def __init__(self, rule: MarkovInterpreter, tokenizer: Tokenizer) -> None:
        super().__init__(rule, tokenizer)
        A, R, L, letters, number = rule.n_letters, rule.n_rules, rule.longest_left, rule.letters, tokenizer.number
        self.key = np.zeros((R, *[A + 1] * L), np.int64)
        # value[rule, position, letters of the left side (0 before the last letter), final, letter, last]
        self.value = np.zeros((R, MOST_WRITTEN, L + 1, 2, A + 1, 2), np.int64)
        for token in tokenizer.tokens:
            if token.state[:1] == "k":
                self.key[(int(token.state[1]) - 1, *map(letters.find, token.state[2:]))] = number(*token)
            elif token.state[:1] == "v":
                _, r, k, long, dot, letter, last = list(token.state)
                at = int(r) - 1, LETTER_NAMES.index(k), int(long.replace("-", "0")), int(dot == END)
                self.value[(*at, letters.find(letter), int(last == END))] = number(*token)
        numbers, later = range(1, R + 1), LETTER_NAMES[1:]
        self.scan_B = np.array([number(SILENT, -1, f"s{b or '-'}") for b in range(R + 1)])  # 0 is no rule
        self.scan_ended = number(SILENT, -1, f"s{END}")
        self.turn_B = np.array([number(SILENT, 1), *(number(SILENT, 1, f"f{r}") for r in numbers)])
        states = ["", *(f"f{r}" for r in numbers)]  # of the rule 0, everything is copied
        self.find_BA = np.array([[number(x, 1, s * (x != END)) for x in letters + END] for s in states])
        # After a final rule no dot is copied, so its entry in the second row is unused.
        self.rest_FA = np.array([[number(x, 1, a * (x != END)) for x in letters + END] for a in ("", END)])
        self.wait_RKA = np.array([[[number(x, 0, f"w{r}{k}") for x in letters] for k in later] for r in numbers])
        self.last_LFA = np.array(
            [[[number(x, n, after) for x in [*letters, SILENT]] for after in ("", END)] for n in range(1, L + 1)]
        )
        self.end = number(END, 0)

    @staticmethod
    def steps_of(rule: StringInterpreter) -> list[Step]:
        numbers, later = range(1, rule.n_rules + 1), LETTER_NAMES[1:]
        steps = [*(Step(letter, 1) for letter in rule.letters + END), Step(END, 0)]
        steps += [Step(SILENT, -1, f"s{best}") for best in (*numbers, "-", END)]
        steps += [Step(SILENT, 1), *(Step(SILENT, 1, f"f{best}") for best in numbers)]
        steps += [Step(letter, 1, f"f{best}") for best in numbers for letter in rule.letters]
        steps += [Step(letter, 0, f"w{best}{k}") for best in numbers for k in later for letter in rule.letters]
        moves, written = range(1, rule.longest_left + 1), [*rule.letters, SILENT]
        return steps + [Step(letter, move, after) for after in ("", END) for move in moves for letter in written]

    def rule_tokens(self, programs: Programs) -> tuple[Ints, Bools]:
        """The tokens of the rules, in order: (N, R, 1 + K), and which of them exist."""
        left_NRL, right_NRK, has_NR = programs.left_NRL, programs.right_NRK, programs.has_rule_NR
        R, L = left_NRL.shape[1:]
        number_R, at_K = np.arange(R), np.arange(MOST_WRITTEN)
        key_NR = self.key[(number_R, *(left_NRL[..., position] for position in range(L)))]
        long_NR1 = (right_NRK >= 0).sum(2, keepdims=True)
        last_NRK = at_K >= long_NR1 - 1
        left_long_NRK = np.where(last_NRK, (left_NRL >= 0).sum(2, keepdims=True), 0)
        final_NR1 = programs.final_NR[..., None].astype(np.int64)
        values_NRK = self.value[number_R[:, None], at_K, left_long_NRK, final_NR1, right_NRK, last_NRK.astype(np.int64)]
        tokens = np.concatenate([key_NR[..., None], values_NRK], 2)
        shown = has_NR[..., None] & (np.arange(1 + MOST_WRITTEN) < 1 + np.maximum(long_NR1, 1))
        return tokens, shown

    def step(self, programs: Programs, strings: Strings) -> Written:
        M, W = strings.cells_MW.shape
        at_W, at_K = np.arange(W), np.arange(MOST_WRITTEN)
        inside_MW, column = at_W < strings.length_M[:, None], np.ones((M, 1), bool)
        found = _find(programs, strings)
        # The rule that applies; without one nothing is written and nothing left out.
        applies_M, rows, number_M = found.rule_M > 0, np.arange(M), np.maximum(found.rule_M - 1, 0)
        left_long_M = np.where(applies_M, (programs.left_NRL[rows, number_M] >= 0).sum(1), 0)
        final_M = (programs.final_NR[rows, number_M] & applies_M).astype(np.int64)
        right_MK = np.where(applies_M[:, None], programs.right_NRK[rows, number_M], -1)
        right_long_M1 = (right_MK >= 0).sum(1, keepdims=True)
        # To the left, then up to the rule's position, its right side, and what is behind its left side.
        scan_MW = np.where(strings.ended_M[:, None], self.scan_ended, self.scan_B[found.best_MW])
        wait_MK = self.wait_RKA[number_M[:, None], np.minimum(at_K, MOST_WRITTEN - 2), right_MK]
        last_MK = self.last_LFA[left_long_M[:, None] - 1, final_M[:, None], right_MK]
        tokens = [
            scan_MW[:, ::-1],
            self.turn_B[found.rule_M, None],
            self.find_BA[found.rule_M[:, None], strings.cells_MW],
            np.where(at_K >= right_long_M1 - 1, last_MK, wait_MK),
            self.rest_FA[final_M[:, None], strings.cells_MW],
            np.full((M, 1), self.end),
        ]
        before_MW = inside_MW & (at_W < found.place_M[:, None])
        after_MW = inside_MW & (at_W >= (found.place_M + left_long_M)[:, None])
        spelled_MK = applies_M[:, None] & (at_K < np.maximum(right_long_M1, 1))
        ends_M1 = final_M[:, None] > 0
        shown = [inside_MW[:, ::-1], column, before_MW, spelled_MK, after_MW, ends_M1]
        cells_MX = np.concatenate([strings.cells_MW, right_MK, strings.cells_MW, ends_M1 * self.rule.n_letters], 1)
        kept_MX = np.concatenate([before_MW, right_MK >= 0, after_MW, ends_M1], 1)
        ended_M = strings.ended_M | ends_M1[:, 0]
        return Written(np.concatenate(tokens, 1), np.concatenate(shown, 1), joined(cells_MX, kept_MX, ended_M))

    def longest_row(self, shape: Runs) -> int:
        runs, steps, (_, longest) = shape
        grown = MOST_WRITTEN - 1
        text = sum(2 * (longest + k * grown) + 3 for k in range(steps + 1))
        return 1 + self.rule.n_rules * (1 + MOST_WRITTEN) + runs * (1 + text)


class _Found(NamedTuple):
    """Which rule of each program applies, and where. Rules are numbered from 1; 0 means none."""

    best_MW: Ints  # the first rule that fits at a position or to the right of it
    rule_M: Ints
    place_M: Ints  # the end of the string without a rule


def _find(programs: Programs, strings: Strings) -> _Found:
    cells_MW, length_M, ended_M = strings
    (M, W), (R, L) = cells_MW.shape, programs.left_NRL.shape[1:]
    padded_MX = np.concatenate([cells_MW, np.full((M, L), -1)], 1)
    fits_MRW = programs.has_rule_NR[..., None] & (np.arange(W) < length_M[:, None])[:, None]
    for position in range(L):
        wanted_MR1 = programs.left_NRL[..., position, None]
        fits_MRW = fits_MRW & ((wanted_MR1 < 0) | (padded_MX[:, None, position : position + W] == wanted_MR1))
    none = R + 1
    least_MW = np.where(fits_MRW, np.arange(1, none)[:, None], none).min(1, initial=none)
    best_MW = np.minimum.accumulate(least_MW[:, ::-1], 1)[:, ::-1] % none
    rule_M = least_MW.min(1, initial=none) % none * ~ended_M
    fits_MX = np.concatenate([fits_MRW[np.arange(M), np.maximum(rule_M - 1, 0)], np.ones((M, 1), bool)], 1)
    return _Found(best_MW, rule_M, np.where(rule_M > 0, fits_MX.argmax(1), length_M))
