"""Fits the probabilities of chunks to pairs by expectation maximisation (Dempster, Laird & Rubin 1977).

First those of each symbol alone; then, from there, those of symbols with a neighbour. The latter decide between
alignments that are as good for single symbols: where AB gives X and B gives YY, ABB gives X by A and YY by either B.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ahx.data.monotone.chunks import EDGE, MOST_ENTRIES, Chunks, unseen
from ahx.data.monotone.lattice import PAD, Floats, Lattice, Pairs, Table, chunk_hashes, padded
from ahx.data.ragged import Ints, codes_of
from ahx.data.split import Hashes

_ROUNDS_ALONE, _ROUNDS_WITH_NEIGHBOURS = 8, 4
_PRIOR = 1.0  # how many times a symbol with a neighbour is taken to have been seen writing what the symbol writes
_LEAST_COUNT = 0.5  # chunks that are expected fewer times are dropped
_LEAST = 0.003  # smaller probabilities are dropped
_FEWEST_CHUNKS = 500  # with fewer, there must be all single symbols
_DIGITS = 4


def fit_chunks(pairs: Sequence[tuple[str, str]], longest: int) -> tuple[Chunks, float] | None:
    """What symbols write in `pairs`, read from the left, in chunks of at most `longest` symbols, and how many bits an
    output symbol takes; None where there are too many different symbols and chunks."""
    texts, outputs = [text for text, _ in pairs], [output for _, output in pairs]
    symbols = sorted(set("".join(texts)))
    numbers = {symbol: n for n, symbol in enumerate(symbols, PAD + 1)}
    input_lengths, output_lengths = (np.array([len(text) for text in side], np.int64) for side in (texts, outputs))
    inputs_NI = padded(np.array([numbers[symbol] for text in texts for symbol in text], np.int64), input_lengths)
    batch = Pairs(inputs_NI, padded(codes_of("".join(outputs)), output_lengths), output_lengths)
    n_outputs = len(set("".join(outputs)))
    R = len(symbols) + 3
    known, chunks = _frequent_chunks(batch, outputs, longest, MOST_ENTRIES // R - 1)
    if len(known) < min(n_outputs + 1, _FEWEST_CHUNKS):
        return None
    start_RC = np.zeros((R, len(known) + 1))
    start_RC[:, :-1] = (0.5 / max(n_outputs, 1)) ** np.array([len(chunk) for chunk in chunks])
    none = np.empty(0, np.int64)
    table = Table(known, _normalised(start_RC), none, none, unseen(longest, n_outputs))
    lattice = Lattice(batch, table)
    for _ in range(_ROUNDS_ALONE):
        _, counts_RC = lattice.counts(table)
        table = table._replace(values_RC=_normalised(counts_RC))
    kept_C = counts_RC.sum(0) >= _LEAST_COUNT
    kept_C[0], kept_C[-1] = True, True
    table = _with_neighbours(table, lattice, kept_C)
    chunks = [chunk for chunk, kept in zip(chunks, kept_C, strict=False) if kept]
    lattice = Lattice(batch, table)
    base = np.concatenate((np.arange(R), table.after % R, table.before % R))
    for _ in range(_ROUNDS_WITH_NEIGHBOURS):
        bits, counts_RC = lattice.counts(table)
        alone_RC = np.zeros((R, table.values_RC.shape[1]))
        np.add.at(alone_RC, base, counts_RC)
        alone_RC = _normalised(alone_RC)
        table = table._replace(values_RC=_normalised(counts_RC + _PRIOR * alone_RC[base]))
        table.values_RC[:R] = alone_RC
    names = ["", *symbols, "", EDGE]
    rows = [_written(row, chunks) for row in table.values_RC]
    after, before = (
        [names[key // R] + names[key % R] for key in keys.tolist()] for keys in (table.after, table.before)
    )
    found = Chunks(
        longest,
        n_outputs,
        {name: rows[n] for n, name in enumerate(names) if name},
        dict(zip(after, rows[R:], strict=False)),
        dict(zip(before, rows[R + len(after) :], strict=True)),
    )
    return found, -bits / max(1, int(output_lengths.sum()))


def _frequent_chunks(pairs: Pairs, outputs: Sequence[str], longest: int, most: int) -> tuple[Hashes, list[str]]:
    """The hashes, ascending, and the texts of the chunks that occur twice and of all single symbols; if there are too
    many, of the most frequent ones."""
    hashes_LNJ = chunk_hashes(pairs.outputs_NJ, longest)
    end_LJ = np.arange(longest + 1)[:, None] + np.arange(hashes_LNJ.shape[2])
    inside_LNJ = end_LJ[:, None] <= pairs.lengths_N[:, None]
    known, first, times = np.unique(hashes_LNJ[inside_LNJ], return_index=True, return_counts=True)
    place = np.argwhere(inside_LNJ)[first]
    kept = (times > 1) | (place[:, 0] <= 1)
    kept &= np.argsort(np.argsort(-times * kept, kind="stable")) < most
    return known[kept], [outputs[n][j : j + length] for length, n, j in place[kept].tolist()]


def _with_neighbours(table: Table, lattice: Lattice, kept_C: npt.NDArray[np.bool_]) -> Table:
    """`table` with the columns `kept_C` and rows for symbols with a neighbour, which start as those of the symbols."""
    most = (MOST_ENTRIES // int(kept_C.sum()) - table.symbols) // 2
    after = np.concatenate((lattice.after_keys_NI[lattice.read_NI], lattice.end_keys_N))
    keys = [_frequent(of, most) for of in (after, lattice.before_keys_NI[lattice.read_NI])]
    values_RC = _normalised(table.values_RC[:, kept_C])
    every = np.concatenate((np.arange(table.symbols), *(of % table.symbols for of in keys)))
    return Table(table.known[kept_C[:-1]], values_RC[every], keys[0], keys[1], table.unseen_L)


def _frequent(keys: Ints, most: int) -> Ints:
    """The keys that occur twice, in ascending order; if there are too many, the most frequent ones."""
    different, times = np.unique(keys, return_counts=True)
    kept: Ints = np.sort(different[np.argsort(-times, kind="stable")[: min(most, int((times > 1).sum()))]])
    return kept


def _normalised(counts_RC: Floats) -> Floats:
    """Counts as probabilities. The last column, for chunks that are not known, has none; padding writes nothing."""
    counts_RC[:, -1] = 0.0
    chances_RC: Floats = counts_RC / np.maximum(counts_RC.sum(1, keepdims=True), 1e-300)
    chances_RC[PAD] = 0.0
    chances_RC[PAD, 0] = 1.0
    return chances_RC


def _written(chances_C: Floats, chunks: Sequence[str]) -> dict[str, float]:
    """The chunks that are not too rare, each with its probability."""
    return {chunks[c]: round(float(chances_C[c]), _DIGITS) for c in np.flatnonzero(chances_C[:-1] >= _LEAST).tolist()}
