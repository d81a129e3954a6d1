"""Random programs that rewrite strings, in batches: their rules, their hashes up to renaming, and strings.

A batch of N programs is a few arrays over (program, rule, position in a word). Letters are numbered in alphabetical
order: 0 is A; -1 is padding.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Ints
from ahx.data.split import Hashes, draw_from_split, mix
from ahx.rules.interpreters.string_interpreter import MOST_WRITTEN, StringInterpreter

Bools = npt.NDArray[np.bool_]

_FINAL_SHARE = 0.15  # of the rules of Markov algorithms
_PLANTED_SHARE = 0.5
_ROUNDS = 4


class Sizes(NamedTuple):
    """Which programs to draw: ranges of the numbers of letters and rules."""

    letters: tuple[int, int] = (2, 9)
    rules: tuple[int, int] = (1, 9)


class Programs(NamedTuple):
    """N programs of at most R rules. Words are filled up with -1."""

    left_NRL: Ints
    right_NRK: Ints
    final_NR: Bools
    n_rules_N: Ints
    letters_NA: Ints  # a program's letters come first, then all others
    n_letters_N: Ints

    def select(self, which: Ints | Bools) -> "Programs":
        """Some of the programs, by number or by mask."""
        return Programs._make(part[which] for part in self)

    @property
    def has_rule_NR(self) -> Bools:
        return np.arange(self.left_NRL.shape[1]) < self.n_rules_N[:, None]


def draw_split(rng: np.random.Generator, n: int, sizes: Sizes, rule: StringInterpreter, testing: bool) -> Programs:
    """`n` programs of the training split, or of the one that is held out for testing."""
    return draw_from_split(
        lambda m: draw_programs(rng, m, sizes, rule),
        lambda programs: canonical_hash(programs, rule.has_final),
        n,
        testing,
    )


def draw_programs(rng: np.random.Generator, n: int, sizes: Sizes, rule: StringInterpreter) -> Programs:
    """`n` random programs in which no two rules have the same left side."""
    A, R, L, K = rule.n_letters, rule.n_rules, rule.longest_left, MOST_WRITTEN
    letters_NA = rng.permuted(np.tile(np.arange(A), (n, 1)), axis=1)
    n_letters_N = rng.integers(sizes.letters[0], min(sizes.letters[1], A) + 1, n)
    n_rules_N = rng.integers(sizes.rules[0], min(sizes.rules[1], R) + 1, n)
    if L == 1:
        n_rules_N = np.minimum(n_rules_N, n_letters_N)

    def words(longest: int, length_NR: Ints) -> Ints:
        picked = (rng.random((n, R, longest)) * n_letters_N[:, None, None]).astype(np.int64)
        word = letters_NA[np.arange(n)[:, None, None], picked]
        word[np.arange(longest) >= length_NR[..., None]] = -1
        return word

    long_NR = rng.integers(1, L + 1, (n, R))
    if L > 1:  # single letters match nearly everywhere: the fewer, the more often a later rule applies
        long_NR = np.where(rng.random((n, R)) < 0.75, np.maximum(long_NR, 2), long_NR)
    left_NRL = words(L, long_NR) if L > 1 else letters_NA[:, np.arange(R) % A, None]
    # Of rules with the same left side the first one stays.
    same_NRR = (left_NRL[:, :, None] == left_NRL[:, None]).all(3)
    kept_NR = ~(same_NRR & np.tri(R, k=-1, dtype=bool)).any(2) & (np.arange(R) < n_rules_N[:, None])
    order_NR = np.argsort(~kept_NR, 1, kind="stable")
    left_NRL = np.take_along_axis(left_NRL, order_NR[..., None], 1)
    right_NRK = words(K, rng.integers(0, K + 1, (n, R)))
    final_NR = (rng.random((n, R)) < _FINAL_SHARE) & rule.has_final
    n_rules_N = kept_NR.sum(1)
    unused_NR = np.arange(R) >= n_rules_N[:, None]
    left_NRL[unused_NR], right_NRK[unused_NR], final_NR[unused_NR] = -1, -1, False
    return Programs(left_NRL, right_NRK, final_NR, n_rules_N, letters_NA, n_letters_N)


def canonical_hash(programs: Programs, ordered: bool) -> Hashes:
    """A hash of each program that does not depend on the names of its letters, nor, unless `ordered`, on the order of
    its rules; see `turing_machines.canonical_hash`."""
    N, R, _ = programs.left_NRL.shape
    A = programs.letters_NA.shape[1]
    word_NRP = np.concatenate([programs.left_NRL, programs.right_NRK], 2)
    P = word_NRP.shape[2]
    place_P = mix(np.arange(1, P + 1, dtype=np.uint64))
    number_R = mix(np.arange(1, R + 1, dtype=np.uint64) + np.uint64(P)) * np.uint64(ordered)
    color_NA = np.ones((N, A + 1), np.uint64)
    color_NA[:, A] = 0  # of no letter, which -1 finds
    for _ in range(_ROUNDS):
        color_NRP = np.take_along_axis(color_NA, (word_NRP % (A + 1)).reshape(N, -1), 1).reshape(word_NRP.shape)
        rule_NR = mix(mix(color_NRP + place_P).sum(2, dtype=np.uint64) + number_R + programs.final_NR.astype(np.uint64))
        rule_NR = np.where(programs.has_rule_NR, rule_NR, np.uint64(0))
        # Each letter sums over the rules in which it occurs, and its positions there.
        seen_NRP = mix(rule_NR[..., None] + place_P)
        gathered_NA = np.zeros((N, A + 1), np.uint64)
        rows = np.repeat(np.arange(N), R * P)
        np.add.at(gathered_NA, (rows, (word_NRP % (A + 1)).reshape(-1)), seen_NRP.reshape(-1))
        color_NA[:, :A] = mix(color_NA[:, :A] + gathered_NA[:, :A])
    return mix(rule_NR.sum(1, dtype=np.uint64))


class Strings(NamedTuple):
    """M strings of width W, filled up with -1."""

    cells_MW: Ints
    length_M: Ints
    ended_M: Bools  # a final rule was applied


def draw_strings(rng: np.random.Generator, programs: Programs, lengths: tuple[int, int]) -> Strings:
    """A random string for each program, mostly of its own letters."""
    M, A = programs.letters_NA.shape
    length_M = rng.integers(lengths[0], lengths[1] + 1, (M,))
    among_M = np.where(rng.random(M) < 0.8, programs.n_letters_N, A)
    picked = (rng.random((M, lengths[1])) * among_M[:, None]).astype(np.int64)
    cells_MW = np.take_along_axis(programs.letters_NA, picked, 1)
    cells_MW[np.arange(lengths[1]) >= length_M[:, None]] = -1
    _plant(rng, programs, cells_MW, length_M)
    return Strings(cells_MW, length_M, np.zeros(M, bool))


def _plant(rng: np.random.Generator, programs: Programs, cells_MW: Ints, length_M: Ints) -> None:
    """Write a left side into some of the strings, where there is room: long ones would hardly ever occur by chance."""
    M = len(length_M)
    which = (rng.random(M) * programs.n_rules_N).astype(np.int64)
    left_ML = programs.left_NRL[np.arange(M), which]
    long_M = (left_ML >= 0).sum(1)
    begin_M = (rng.random(M) * (length_M - long_M + 1)).astype(np.int64)
    m, position = np.nonzero((left_ML >= 0) & ((length_M >= long_M) & (rng.random(M) < _PLANTED_SHARE))[:, None])
    cells_MW[m, begin_M[m] + position] = left_ML[m, position]


def joined(cells_MX: Ints, kept_MX: Bools, ended_M: Bools) -> Strings:
    """The kept cells of each row, without gaps."""
    length_M = kept_MX.sum(1)
    order = np.argsort(~kept_MX, 1, kind="stable")[:, : length_M.max(initial=0)]
    cells_MW = np.take_along_axis(cells_MX, order, 1)
    cells_MW[np.arange(cells_MW.shape[1]) >= length_M[:, None]] = -1
    return Strings(cells_MW, length_M, ended_M)
