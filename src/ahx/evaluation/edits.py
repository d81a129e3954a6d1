"""Edit distances (Levenshtein 1966) of many pairs of strings at once, with the kinds of edits and the symbols confused.

A pair is what was expected and what the model wrote. Shapes: N pairs, E symbols expected, W symbols written.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ahx.data.ragged import Ints

_CELLS = 4_000_000  # of the tables that are filled at once, 4 bytes each

Strings = Sequence[str]  # the symbols of a string: a str, or a list where symbols have several characters
Confusion = tuple[str, str]  # expected, written; "" stands for nothing


class Counts(NamedTuple):
    """The least edits that turn one string into another."""

    substitutions: int = 0
    insertions: int = 0  # written, not expected
    deletions: int = 0  # expected, not written

    @property
    def distance(self) -> int:
        return sum(self)


NO_EDITS = Counts()


@dataclass
class Edits:
    """Sums over many pairs."""

    symbols: int = 0  # expected
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    confusions: Counter[Confusion] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """The symbol error rate: edits per expected symbol. NaN where no symbol was expected."""
        edits = self.substitutions + self.insertions + self.deletions
        return edits / self.symbols if self.symbols else float("nan")

    def add(self, symbols: int, counts: Counts = NO_EDITS, confusions: Iterable[Confusion] = ()) -> None:
        """One more pair, of so many expected symbols, with what `align` gives."""
        self.symbols += symbols
        self.substitutions += counts.substitutions
        self.insertions += counts.insertions
        self.deletions += counts.deletions
        self.confusions.update(confusions)

    def merge(self, other: "Edits") -> None:
        for name in ("symbols", "substitutions", "insertions", "deletions"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.confusions.update(other.confusions)


def align(pairs: Sequence[tuple[Strings, Strings]]) -> list[tuple[Counts, list[Confusion]]]:
    """The least edits of each pair (expected, written), and the symbols that they concern, from right to left.

    Equal beginnings and ends are left out first. What remains of a very long pair, more than 2,000 symbols each, is
    compared symbol by symbol from the left, which may count more edits than needed.
    """
    results: list[tuple[Counts, list[Confusion]]] = [(NO_EDITS, [])] * len(pairs)
    different = [_trimmed(*pair) for pair in pairs]
    cells = [(len(expected) + 1) * (len(written) + 1) for expected, written in different]
    group: list[int] = []
    most_E = most_W = 0
    for n in sorted(range(len(pairs)), key=lambda n: (len(different[n][0]), len(different[n][1]))):
        expected, written = different[n]
        if cells[n] > _CELLS or not expected or not written:
            results[n] = _by_position(expected, written)
            continue
        E, W = max(most_E, len(expected)), max(most_W, len(written))
        if group and (len(group) + 1) * (E + 1) * (W + 1) > _CELLS:
            _align_group(group, different, results)
            group, E, W = [], len(expected), len(written)
        group.append(n)
        most_E, most_W = E, W
    if group:
        _align_group(group, different, results)
    return results


def _trimmed(expected: Strings, written: Strings) -> tuple[Strings, Strings]:
    same = _same(expected, written)
    expected, written = expected[same:], written[same:]
    same = _same(expected[::-1], written[::-1])
    return expected[: len(expected) - same], written[: len(written) - same]


def _same(a: Strings, b: Strings) -> int:
    """How many symbols at their beginnings are equal."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _by_position(expected: Strings, written: Strings) -> tuple[Counts, list[Confusion]]:
    least = min(len(expected), len(written))
    found = [(a, b) for a, b in zip(expected, written, strict=False) if a != b]
    counts = Counts(len(found), len(written) - least, len(expected) - least)
    return counts, found + [(a, "") for a in expected[least:]] + [("", b) for b in written[least:]]


def _align_group(
    group: Sequence[int],
    pairs: Sequence[tuple[Strings, Strings]],
    results: list[tuple[Counts, list[Confusion]]],
) -> None:
    """Fill one table for each pair of `group`, all at once, and follow the least path back."""
    symbols = sorted({symbol for n in group for side in pairs[n] for symbol in side})
    number = {symbol: i for i, symbol in enumerate(symbols)}
    expected_NE, i_N = _numbers([pairs[n][0] for n in group], number)
    written_NW, j_N = _numbers([pairs[n][1] for n in group], number)
    (N, E), W = expected_NE.shape, written_NW.shape[1]
    at_W = np.arange(W + 1, dtype=np.int32)
    table = np.empty((E + 1, N, W + 1), np.int32)  # [i, n, j]: edits between the first i and the first j symbols
    table[0] = at_W
    for i in range(1, E + 1):
        row, before = table[i], table[i - 1]
        row[:, 0] = i
        np.minimum(before[:, 1:] + 1, before[:, :-1] + (expected_NE[:, i - 1, None] != written_NW), out=row[:, 1:])
        row -= at_W  # an insertion costs one for each column, so the least of those on the left is a running minimum
        np.minimum.accumulate(row, axis=1, out=row)
        row += at_W
    for n, counts, confusions in _paths(table, expected_NE, written_NW, i_N, j_N, symbols):
        results[group[n]] = counts, confusions


def _numbers(strings: Sequence[Strings], number: dict[str, int]) -> tuple[Ints, Ints]:
    lengths = np.array([len(string) for string in strings], np.int64)
    padded = np.full((len(strings), int(lengths.max())), -1, np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = [number[s] for string in strings for s in string]
    return padded, lengths


def _paths(
    table: np.ndarray, expected_NE: Ints, written_NW: Ints, i_N: Ints, j_N: Ints, symbols: Sequence[str]
) -> Iterator[tuple[int, Counts, list[Confusion]]]:
    """For each pair one path of least edits; substitutions before deletions before insertions."""
    N = len(i_N)
    found: list[list[Confusion]] = [[] for _ in range(N)]
    counts_N3 = np.zeros((N, 3), np.int64)
    going = np.arange(N)
    while len(going):
        i, j = i_N[going], j_N[going]
        here = table[i, going, j]
        a, b = expected_NE[going, i - 1], written_NW[going, j - 1]  # at 0 the last ones, which are not used
        both = (i > 0) & (j > 0) & (table[i - 1, going, j - 1] + (a != b) == here)
        deleted = ~both & (i > 0) & (table[i - 1, going, j] + 1 == here)
        inserted = ~both & ~deleted
        for kind, chosen in enumerate((both & (a != b), inserted, deleted)):
            counts_N3[going[chosen], kind] += 1
            for n, x, y in zip(going[chosen].tolist(), a[chosen].tolist(), b[chosen].tolist(), strict=True):
                found[n].append(("" if kind == 1 else symbols[x], "" if kind == 2 else symbols[y]))
        i_N[going] -= both | deleted
        j_N[going] -= both | inserted
        going = going[(i_N[going] > 0) | (j_N[going] > 0)]
    for n in range(N):
        yield n, Counts(*counts_N3[n].tolist()), found[n]
