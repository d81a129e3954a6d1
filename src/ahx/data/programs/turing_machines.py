"""Random Turing machines in batches: their tables, their hashes up to renaming, and their runs.

A batch of N machines is three arrays over (machine, state, symbol). States are numbered in alphabetical order: 0 is A,
and the states of a machine with three states may be B, F and G.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Ints
from ahx.data.split import Hashes, draw_from_split, mix

Bools = npt.NDArray[np.bool_]

_HALTING_SHARE = 0.03  # of the rules lead to Z
_ROUNDS = 4


class Sizes(NamedTuple):
    """Which machines to draw: ranges of the numbers of states and symbols, and of the share of missing rules."""

    states: tuple[int, int] = (2, 16)  # within those of the interpreter
    symbols: tuple[int, int] = (2, 6)
    # A machine halts where it has no rule.
    missing: tuple[float, float] = (0.03, 0.03)


class Machines(NamedTuple):
    """N machines over Q state names and S symbol names. State Q is Z, which halts."""

    write_NQS: Ints
    move_NQS: Ints  # -1 or +1
    target_NQS: Ints
    has_rule_NQS: Bools
    states_NQ: Ints  # a machine's states come first, then all others
    n_states_N: Ints
    symbols_NS: Ints  # likewise; symbol 0, the blank, is always the first
    n_symbols_N: Ints

    def select(self, which: Ints | Bools) -> "Machines":
        """Some of the machines, by number or by mask."""
        return Machines._make(part[which] for part in self)


def draw_machines(rng: np.random.Generator, n: int, sizes: Sizes, n_states: int, n_symbols: int) -> Machines:
    """`n` random machines, named at random out of `n_states` and `n_symbols` names."""
    Q, S = n_states, n_symbols
    states_NQ = rng.permuted(np.tile(np.arange(Q), (n, 1)), axis=1)
    others = rng.permuted(np.tile(np.arange(1, S), (n, 1)), axis=1)
    symbols_NS = np.concatenate([np.zeros((n, 1), np.int64), others], axis=1)
    n_states_N = rng.integers(sizes.states[0], min(sizes.states[1], Q) + 1, n)
    n_symbols_N = rng.integers(sizes.symbols[0], min(sizes.symbols[1], S) + 1, n)
    rows = np.arange(n)[:, None, None]
    has_state_NQ, has_symbol_NS = np.zeros((n, Q), bool), np.zeros((n, S), bool)
    np.put_along_axis(has_state_NQ, states_NQ, np.arange(Q) < n_states_N[:, None], 1)
    np.put_along_axis(has_symbol_NS, symbols_NS, np.arange(S) < n_symbols_N[:, None], 1)
    pick = rng.random((3, n, Q, S))
    write_NQS = symbols_NS[rows, (pick[0] * n_symbols_N[:, None, None]).astype(np.int64)]
    target_NQS = states_NQ[rows, (pick[1] * n_states_N[:, None, None]).astype(np.int64)]
    target_NQS[pick[2] < _HALTING_SHARE] = Q
    least, most = sizes.missing
    missing_N11 = least + (most - least) * rng.random((n, 1, 1)) ** 3  # few rules of most machines, many of some
    has_rule_NQS = has_state_NQ[:, :, None] & has_symbol_NS[:, None] & (pick[2] < 1 - missing_N11)
    move_NQS = rng.integers(0, 2, (n, Q, S)) * 2 - 1
    return Machines(write_NQS, move_NQS, target_NQS, has_rule_NQS, states_NQ, n_states_N, symbols_NS, n_symbols_N)


def canonical_hash(machines: Machines) -> Hashes:
    """A hash of each machine that does not depend on the names of its states and symbols (other than the blank).

    Machines that are equal up to renaming always have the same hash, so a split by it keeps them together; others
    hardly ever do. States and symbols are distinguished by what the rules do with them, more finely in each round: the
    colour refinement of Weisfeiler & Leman (1968).
    """
    N, Q, S = machines.write_NQS.shape
    rows = np.arange(N)[:, None, None]
    state_NQ = np.ones((N, Q + 1), np.uint64)
    state_NQ[:, Q] = 2
    symbol_NS = np.ones((N, S), np.uint64)
    symbol_NS[:, 0] = 2
    rules_NQS = np.zeros((N, Q, S), np.uint64)
    for _ in range(_ROUNDS):
        written, target = symbol_NS[rows, machines.write_NQS], state_NQ[rows, machines.target_NQS]
        rules_NQS = mix(mix(written + mix(target)) + (machines.move_NQS > 0).astype(np.uint64))
        own_NQS = mix(mix(rules_NQS + symbol_NS[:, None]) + mix(state_NQ[:, :Q, None]))
        rules_NQS = np.where(machines.has_rule_NQS, own_NQS, np.uint64(0))
        state_NQ[:, :Q] = mix(state_NQ[:, :Q] + rules_NQS.sum(2, dtype=np.uint64))
        symbol_NS = mix(symbol_NS + mix(rules_NQS).sum(1, dtype=np.uint64))
    size = (machines.n_states_N * S + machines.n_symbols_N).astype(np.uint64)
    return mix(rules_NQS.sum((1, 2), dtype=np.uint64) + size)


def draw_split(
    rng: np.random.Generator, n: int, sizes: Sizes, n_states: int, n_symbols: int, testing: bool
) -> Machines:
    """`n` machines of the training split, or of the one that is held out for testing."""
    return draw_from_split(lambda m: draw_machines(rng, m, sizes, n_states, n_symbols), canonical_hash, n, testing)


class Tapes(NamedTuple):
    """M configurations, each on a tape of width W that is blank beyond `low` and `high`."""

    cells_MW: Ints
    head_M: Ints
    state_M: Ints
    low_M: Ints
    high_M: Ints


def draw_tapes(rng: np.random.Generator, machines: Machines, lengths: tuple[int, int], room: int) -> Tapes:
    """A random configuration for each machine, with `room` blank cells beyond the ends."""
    M, W = len(machines.n_states_N), lengths[1] + 2 * room
    length_M = rng.integers(lengths[0], lengths[1] + 1, M)
    low_M = np.full(M, room)
    picked = (rng.random((M, W)) * machines.n_symbols_N[:, None]).astype(np.int64)
    cells_MW = np.take_along_axis(machines.symbols_NS, picked, 1)
    at_W = np.arange(W)
    cells_MW[(at_W < room) | (at_W >= room + length_M[:, None])] = 0
    head_M = room + (rng.random(M) * length_M).astype(np.int64)
    state_M = machines.states_NQ[np.arange(M), (rng.random(M) * machines.n_states_N).astype(np.int64)]
    return Tapes(cells_MW, head_M, state_M, low_M, low_M + length_M - 1)


def advance(machines: Machines, tapes: Tapes) -> tuple[Tapes, Bools]:
    """One step of each machine: the new tapes, and which of them grew. Changes the cells in place."""
    cells_MW, head_M, state_M, low_M, high_M = tapes
    rows, Q = np.arange(len(head_M)), machines.write_NQS.shape[1]
    symbol_M, state_or_0 = cells_MW[rows, head_M], np.minimum(state_M, Q - 1)
    runs_M = (state_M < Q) & machines.has_rule_NQS[rows, state_or_0, symbol_M]
    cells_MW[rows, head_M] = np.where(runs_M, machines.write_NQS[rows, state_or_0, symbol_M], symbol_M)
    head_M = head_M + np.where(runs_M, machines.move_NQS[rows, state_or_0, symbol_M], 0)
    state_M = np.where(runs_M, machines.target_NQS[rows, state_or_0, symbol_M], state_M)
    grew_M = (head_M < low_M) | (head_M > high_M)
    return Tapes(cells_MW, head_M, state_M, np.minimum(low_M, head_M), np.maximum(high_M, head_M)), grew_M
