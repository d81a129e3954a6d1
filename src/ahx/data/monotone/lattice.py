"""All ways to cut outputs into one chunk for each input symbol, and the probability of each, as arrays.

A path through the lattice of a pair reads the input from left to right: each symbol writes a chunk of 0 to `longest`
output symbols, and the end mark writes what is left. The probability of a chunk depends on the symbol and on its two
neighbours (`Table`). This is the many-to-many alignment of Jiampojamarn, Kondrak & Sherif (NAACL 2007), with a
sum over paths for expectation maximisation and a maximum for the alignment that is taken.

Shapes: N pairs, I input symbols, J output symbols, L = 1 + `longest` lengths of a chunk,
R rows and C columns of a table.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Codes, Ints, offsets_of
from ahx.data.split import Hashes, mix

Floats = npt.NDArray[np.float64]

PAD = 0  # the number of the symbol behind the end of a shorter input; it writes nothing
_LEAST = 1e-300
_TIE = 1 + 1e-9


class Pairs(NamedTuple):
    """Pairs of strings, padded on the right. Input symbols are numbers from 1 on, output symbols code points."""

    symbols_NI: Ints
    outputs_NJ: Ints
    lengths_N: Ints  # of the outputs


def padded(values: Ints | Codes, lengths: Ints) -> Ints:
    """Rows that lie end to end, side by side, with zeros on the right."""
    rows = np.zeros((len(lengths), int(lengths.max(initial=0))), np.int64)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = values
    return rows


def joined(hashes: Hashes, symbols: Ints | Codes | Hashes) -> Hashes:
    """The hashes of strings that are longer by one symbol each."""
    return mix(hashes * np.uint64(31) + symbols.astype(np.uint64) + np.uint64(1))


def hash_chunks(codes: Codes, lengths: Ints) -> Hashes:
    """The hashes of chunks that lie end to end."""
    first, hashes = offsets_of(lengths)[:-1], np.zeros(len(lengths), np.uint64)
    for at in range(int(lengths.max(initial=0))):
        longer = lengths > at
        hashes[longer] = joined(hashes[longer], codes[first[longer] + at])
    return hashes


def chunk_hashes(outputs_NJ: Ints, longest: int) -> Hashes:
    """A hash of every chunk, by its length and its place: (L, N, J + 1). It is 0 for the empty chunk."""
    N, J = outputs_NJ.shape
    hashes = np.zeros((longest + 1, N, J + 1), np.uint64)
    for length in range(1, min(longest, J) + 1):
        before = hashes[length - 1, :, : J + 1 - length]
        hashes[length, :, : J + 1 - length] = joined(before, outputs_NJ[:, length - 1 :])
    return hashes


class Table(NamedTuple):
    """Probabilities of chunks.

    Row s is of symbol s alone, the rows after those are of symbols with one neighbour. The last column is for all
    chunks that are not in `known`, the hashes of the chunks of the other columns, in ascending order.
    """

    known: Hashes
    values_RC: Floats
    after: Ints  # keys of the rows of symbols after a neighbour, ascending: neighbour * `symbols` + symbol
    before: Ints  # keys of the rows of symbols before a neighbour, ascending: neighbour * `symbols` + symbol
    unseen_L: Floats  # added to the probability of every chunk, by its length

    @property
    def longest(self) -> int:
        return len(self.unseen_L) - 1

    @property
    def symbols(self) -> int:
        """How many symbols there are: padding, those of the inputs, and last the end mark."""
        return len(self.values_RC) - len(self.after) - len(self.before)


class Lattice:
    """The lattice of some pairs, as it is for the chunks and rows of a table."""

    def __init__(self, pairs: Pairs, table: Table) -> None:
        self.pairs, symbols_NI = pairs, pairs.symbols_NI
        N, J = pairs.outputs_NJ.shape
        hashes = chunk_hashes(pairs.outputs_NJ, table.longest)
        unknown = len(table.known)
        found = np.searchsorted(table.known, hashes)
        found[table.known[np.minimum(found, unknown - 1)] != hashes] = unknown
        self.columns_LNJ = found
        # What the end mark writes from each place on: how much, and its column.
        self.left_NJ = pairs.lengths_N[:, None] - np.arange(J + 1)
        rest_NJ = np.take_along_axis(found, self.left_NJ.clip(0, table.longest)[None], 0)[0]
        self.rest_NJ = np.where(self.left_NJ > table.longest, unknown, rest_NJ)
        end = table.symbols - 1
        edge_N1 = np.full((N, 1), end)
        self.read_NI = symbols_NI > PAD
        left_NI = np.concatenate((edge_N1, symbols_NI), 1)
        right_NI = np.concatenate((symbols_NI[:, 1:], edge_N1 * 0), 1)[:, : symbols_NI.shape[1]]
        right_NI = np.where(right_NI == PAD, end, right_NI)
        # Keys of symbols with a neighbour, as in a table, and the rows of these keys.
        self.after_keys_NI = (left_NI[:, :-1] * table.symbols + symbols_NI) * self.read_NI
        self.before_keys_NI = (right_NI * table.symbols + symbols_NI) * self.read_NI
        self.end_keys_N = left_NI[np.arange(N), self.read_NI.sum(1)] * table.symbols + end
        self.after_NI = _rows(table, table.after, self.after_keys_NI, table.symbols)
        self.before_NI = _rows(table, table.before, self.before_keys_NI, table.symbols + len(table.after))
        self.end_N = _rows(table, table.after, self.end_keys_N, table.symbols)

    def cells(self, rows_N: Ints, width: int) -> Ints:
        """Places of the chunks in a flattened table of `width` columns, for symbols in these rows: (L, N, J + 1)."""
        cells: Ints = self.columns_LNJ + (rows_N * width)[:, None]
        return cells

    def end_cells(self, width: int) -> Ints:
        """The same for the end mark: (N, J + 1)."""
        cells: Ints = self.rest_NJ + (self.end_N * width)[:, None]
        return cells

    def chances(self, table: Table, i: int) -> Floats:
        """The probability of every chunk as what symbol number i writes: (L, N, J + 1)."""
        flat, width = table.values_RC.ravel(), table.values_RC.shape[1]
        chance_LNJ: Floats = flat[self.cells(self.after_NI[:, i], width)]
        if len(table.after):
            chance_LNJ += flat[self.cells(self.before_NI[:, i], width)]
            chance_LNJ *= 0.5
        chance_LNJ += table.unseen_L[:, None, None]
        ended_N = ~self.read_NI[:, i]
        if ended_N.any():
            chance_LNJ[0, ended_N], chance_LNJ[1:, ended_N] = 1.0, 0.0
        return chance_LNJ

    def end_chances(self, table: Table) -> Floats:
        """The probability that the end mark writes what is left at each place: (N, J + 1)."""
        seen_NJ = table.values_RC.ravel()[self.end_cells(table.values_RC.shape[1])]
        factor = table.unseen_L[1] / table.unseen_L[0]
        chance_NJ: Floats = np.where(
            self.left_NJ < 0, 0.0, seen_NJ + table.unseen_L[0] * factor ** np.maximum(self.left_NJ, 0)
        )
        return chance_NJ

    def counts(self, table: Table) -> tuple[float, Floats]:
        """The likelihood of all pairs in bits, and how often each entry of the table is expected to be used: (R, C)."""
        (N, J1), width, size = self.left_NJ.shape, table.values_RC.shape[1], table.values_RC.size
        forward_NJ = np.zeros((N, J1))
        forward_NJ[:, 0] = 1.0
        forwards, chances, bits = [], [], 0.0
        for i in range(self.read_NI.shape[1]):
            chance_LNJ = self.chances(table, i)
            forwards.append(forward_NJ)
            chances.append(chance_LNJ)
            after_NJ = chance_LNJ[0] * forward_NJ
            for length in range(1, min(len(chance_LNJ), J1)):
                after_NJ[:, length:] += (chance_LNJ[length] * forward_NJ)[:, :-length]
            scale_N = after_NJ.sum(1) + _LEAST
            bits += float(np.log2(scale_N).sum())
            forward_NJ = after_NJ / scale_N[:, None]
        backward_NJ = self.end_chances(table)
        end_NJ = forward_NJ * backward_NJ
        scale_N = end_NJ.sum(1) + _LEAST
        bits += float(np.log2(scale_N).sum())
        counts = np.zeros(size) + np.bincount(self.end_cells(width).ravel(), (end_NJ / scale_N[:, None]).ravel(), size)
        for i in reversed(range(self.read_NI.shape[1])):
            chance_LNJ = chances.pop()
            # What follows a chunk: the backward probability at its end.
            for length in range(min(len(chance_LNJ), J1)):
                chance_LNJ[length, :, : J1 - length] *= backward_NJ[:, length:]
                chance_LNJ[length, :, J1 - length :] = 0.0
            chance_LNJ[J1:] = 0.0
            backward_NJ = chance_LNJ.sum(0)
            backward_NJ /= backward_NJ.max(1, keepdims=True) + _LEAST
            chance_LNJ *= forwards.pop()
            chance_LNJ *= (self.read_NI[:, i] / (chance_LNJ.sum((0, 2)) + _LEAST))[:, None]
            used = chance_LNJ.ravel()
            counts = counts + np.bincount(self.cells(self.after_NI[:, i], width).ravel(), used, size)
            if len(table.after):
                counts = counts + np.bincount(self.cells(self.before_NI[:, i], width).ravel(), used, size)
        return bits, counts.reshape(table.values_RC.shape)

    def best(self, table: Table) -> Ints:
        """The most probable alignment: how many symbols each input symbol writes, and the end mark: (N, I + 1)."""
        N, J1 = self.left_NJ.shape
        best_NJ = np.zeros((N, J1))
        best_NJ[:, 0] = 1.0
        taken = []
        for i in range(self.read_NI.shape[1]):
            chance_LNJ = self.chances(table, i)
            after_NJ, taken_NJ = chance_LNJ[0] * best_NJ, np.zeros((N, J1), np.int8)
            for length in range(1, min(len(chance_LNJ), J1)):
                found = (chance_LNJ[length] * best_NJ)[:, :-length]
                better = found > after_NJ[:, length:] * _TIE
                after_NJ[:, length:][better], taken_NJ[:, length:][better] = found[better], length
            best_NJ = after_NJ / (after_NJ.max(1, keepdims=True) + _LEAST)
            taken.append(taken_NJ)
        place_N, all_N = (best_NJ * self.end_chances(table)).argmax(1), np.arange(N)
        written_NI = np.zeros((N, len(taken) + 1), np.int64)
        written_NI[:, -1] = self.pairs.lengths_N - place_N
        for i in reversed(range(len(taken))):
            written_NI[:, i] = taken[i][all_N, place_N]
            place_N = place_N - written_NI[:, i]
        return written_NI


def _rows(table: Table, keys: Ints, wanted: Ints, first: int) -> Ints:
    """The rows of symbols with a neighbour; those of the symbols alone where there are no such rows."""
    alone = wanted % table.symbols
    if not len(keys):
        return alone
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    rows: Ints = np.where(keys[found] == wanted, first + found, alone)
    return rows
