"""What each input symbol writes, as it is stored with a model, and the alignments of pairs that follow from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ahx.data.monotone.lattice import PAD, Floats, Lattice, Pairs, Table, hash_chunks, padded
from ahx.data.ragged import Codes, Ints, codes_of, offsets_of, positions_of
from ahx.errors import InputError

EDGE = "\0"  # the neighbour of the first and of the last symbol, and the name of the end mark; no line has one
MOST_ENTRIES = 1 << 22  # of a table: rows times columns
_UNSEEN = 1e-4  # the probability that a symbol writes a chunk that it did not write in training
_CELLS_AT_ONCE = 1 << 19
_MOST_CELLS = 1 << 28  # of one pair

Chances = Mapping[str, Mapping[str, float]]  # a symbol, or a neighbour and a symbol: what it writes: the probability


def unseen(longest: int, outputs: int) -> Floats:
    """The probability of a chunk that was not seen, by its length."""
    return _UNSEEN * (0.5 / max(outputs, 1)) ** np.arange(longest + 1.0)


@dataclass(frozen=True)
class Chunks:
    """The probability of a chunk is the mean of two: of what its symbol writes after the left neighbour, and before the
    right one. Where these are not listed, it is that of the symbol alone. Left is where reading begins."""

    longest: int  # symbols in a chunk
    outputs: int  # distinct output symbols
    alone: Chances
    after: Chances
    before: Chances

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each symbol. Those of other symbols and, last, of the end mark follow."""
        symbols = sorted(self.alone.keys() - {EDGE})
        return {**{symbol: n for n, symbol in enumerate(symbols, PAD + 1)}, EDGE: len(symbols) + PAD + 2}

    @cached_property
    def table(self) -> Table:
        """All of it as arrays. Raises InputError when they are too large, LookupError for a key of unlisted symbols."""
        numbers, symbols = self.numbers, self.numbers[EDGE] + 1

        def key(name: str) -> int:
            return numbers[name[:1]] * symbols + numbers[name[1:]]

        after, before = sorted(self.after, key=key), sorted(self.before, key=key)
        listed = {
            **{numbers[name]: self.alone[name] for name in self.alone},
            **{symbols + n: self.after[name] for n, name in enumerate(after)},
            **{symbols + len(after) + n: self.before[name] for n, name in enumerate(before)},
        }
        chunks = sorted({"", *(chunk for written in listed.values() for chunk in written)})
        rows = symbols + len(after) + len(before)
        if rows * (len(chunks) + 1) > MOST_ENTRIES:
            raise InputError(f"an alignment of {rows:,} rows and {len(chunks):,} columns is too large")
        hashes = hash_chunks(codes_of("".join(chunks)), np.array([len(chunk) for chunk in chunks]))
        known, first = np.unique(hashes, return_index=True)
        column = {chunks[at]: n for n, at in enumerate(first.tolist())}
        values = np.zeros((rows, len(known) + 1))
        values[PAD, 0] = 1.0
        for row, written in listed.items():
            for chunk, chance in written.items():
                values[row, column[chunk]] = chance
        keys = [np.array([key(name) for name in names], np.int64) for names in (after, before)]
        return Table(known, values, keys[0], keys[1], unseen(self.longest, self.outputs))

    def check(self, most: int) -> None:
        """Raises InputError, LookupError or ValueError where this is no table of chunks of up to `most` symbols."""
        written = [chunk for chances in (self.alone, self.after, self.before) for w in chances.values() for chunk in w]
        if not 1 <= self.longest <= most or any(len(chunk) > self.longest for chunk in written):
            raise ValueError("longest")
        if self.outputs < 0 or any(len(symbol) != 1 for symbol in self.alone):
            raise ValueError("alone")
        self.table.values_RC.sum()

    def symbols(self, codes: Codes) -> Ints:
        """The numbers of the symbols with these code points."""
        known = np.array([ord(symbol) for symbol in self.numbers if symbol != EDGE], np.int64)
        if not len(known):
            return np.full(len(codes), PAD + 1)
        found = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        return np.where(known[found] == codes, found + PAD + 1, len(known) + PAD + 1)

    def places(self, pairs: Sequence[tuple[str, str]]) -> tuple[Ints, Ints]:
        """The number of each input symbol and of the end mark, and how much each of them writes, for all pairs."""
        inputs, outputs = (codes_of("".join(pair[at] for pair in pairs)) for at in (0, 1))
        input_lengths, output_lengths = (np.array([len(pair[at]) for pair in pairs], np.int64) for at in (0, 1))
        written = self.align(inputs, input_lengths, outputs, output_lengths)
        symbols = np.full(len(written), self.numbers[EDGE])
        symbols[np.arange(len(inputs)) + np.repeat(np.arange(len(pairs)), input_lengths)] = self.symbols(inputs)
        return symbols, written

    def align(self, inputs: Codes, input_lengths: Ints, outputs: Codes, output_lengths: Ints) -> Ints:
        """How many symbols each input symbol writes, and then the end mark, for pairs that lie end to end.

        Raises InputError for a pair that is too long.
        """
        cells = input_lengths * (output_lengths + 1) * (self.longest + 1)
        if len(cells) and cells.max() > _MOST_CELLS:
            at = int(cells.argmax())
            raise InputError(
                f"{input_lengths[at]:,} and {output_lengths[at]:,} symbols are too many to align; leave the line out"
            )
        symbols, table = self.symbols(inputs), self.table
        starts, ends = offsets_of(input_lengths + 1), offsets_of(output_lengths)
        written = np.zeros(starts[-1], np.int64)
        for group in _groups(input_lengths, output_lengths, cells):
            i, j = input_lengths[group], output_lengths[group]
            own = np.repeat(starts[group] - group, i) + positions_of(i)  # places in `inputs`, which has no end marks
            outs = outputs[np.repeat(ends[group], j) + positions_of(j)]
            best = Lattice(Pairs(padded(symbols[own], i), padded(outs, j), j), table).best(table)
            written[own + np.repeat(group, i)] = best[:, :-1][np.arange(best.shape[1] - 1) < i[:, None]]
            written[starts[group] + i] = best[:, -1]
        return written


def _groups(input_lengths: Ints, output_lengths: Ints, cells: Ints) -> Iterator[Ints]:
    """Numbers of pairs of nearly the same size, so many that they are aligned at once."""
    order = np.lexsort((output_lengths, input_lengths))
    begin = 0
    while begin < len(order):
        end = begin + max(1, int(np.searchsorted(np.cumsum(cells[order[begin : begin + 4096]]), _CELLS_AT_ONCE)))
        yield order[begin:end]
        begin = end
