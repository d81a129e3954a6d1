"""Edit distances (Levenshtein 1966) of many pairs of strings at once, with the kinds of edits and the symbols confused.

A pair is what was expected and what the model wrote. Shapes: N pairs, I symbols expected, J symbols written.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
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

    def add(self, pairs: Sequence[tuple[Strings, Strings]]) -> None:
        """Count the edits of pairs (expected, written)."""
        self.symbols += sum(len(expected) for expected, _ in pairs)
        for counts, confusions in align([pair for pair in pairs if pair[0] != pair[1]]):
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
    results: list[tuple[Counts, list[Confusion]]] = [(Counts(), [])] * len(pairs)
    different = [_trimmed(*pair) for pair in pairs]
    cells = [(len(expected) + 1) * (len(written) + 1) for expected, written in different]
    group: list[int] = []
    most_I = most_J = 0
    for n in sorted(range(len(pairs)), key=lambda n: (len(different[n][0]), len(different[n][1]))):
        expected, written = different[n]
        if cells[n] > _CELLS or not expected or not written:
            results[n] = _by_position(expected, written)
            continue
        I, J = max(most_I, len(expected)), max(most_J, len(written))
        if group and (len(group) + 1) * (I + 1) * (J + 1) > _CELLS:
            _align_group(group, different, results)
            group, I, J = [], len(expected), len(written)
        group.append(n)
        most_I, most_J = I, J
    if group:
        _align_group(group, different, results)
    return results


def _trimmed(expected: Strings, written: Strings) -> tuple[Strings, Strings]:
    same = len(os.path.commonprefix([expected, written]))  # type: ignore[type-var]
    expected, written = expected[same:], written[same:]
    same = len(os.path.commonprefix([expected[::-1], written[::-1]]))  # type: ignore[type-var]
    return expected[: len(expected) - same], written[: len(written) - same]


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
    expected_NI, i_N = _numbers([pairs[n][0] for n in group], number)
    written_NJ, j_N = _numbers([pairs[n][1] for n in group], number)
    (N, I), J = expected_NI.shape, written_NJ.shape[1]
    at_J = np.arange(J + 1, dtype=np.int32)
    table = np.empty((I + 1, N, J + 1), np.int32)  # [i, n, j]: edits between the first i and the first j symbols
    table[0] = at_J
    for i in range(1, I + 1):
        row, before = table[i], table[i - 1]
        row[:, 0] = i
        np.minimum(before[:, 1:] + 1, before[:, :-1] + (expected_NI[:, i - 1, None] != written_NJ), out=row[:, 1:])
        row -= at_J  # an insertion costs one for each column, so the least of those on the left is a running minimum
        np.minimum.accumulate(row, axis=1, out=row)
        row += at_J
    for n, counts, confusions in _paths(table, expected_NI, written_NJ, i_N, j_N, symbols):
        results[group[n]] = counts, confusions


def _numbers(strings: Sequence[Strings], number: dict[str, int]) -> tuple[Ints, Ints]:
    lengths = np.array([len(string) for string in strings], np.int64)
    padded = np.full((len(strings), int(lengths.max())), -1, np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = [number[s] for string in strings for s in string]
    return padded, lengths


def _paths(
    table: np.ndarray, expected_NI: Ints, written_NJ: Ints, i_N: Ints, j_N: Ints, symbols: Sequence[str]
) -> Iterator[tuple[int, Counts, list[Confusion]]]:
    """For each pair one path of least edits; substitutions before deletions before insertions."""
    N = len(i_N)
    found: list[list[Confusion]] = [[] for _ in range(N)]
    counts_N3 = np.zeros((N, 3), np.int64)
    going = np.arange(N)
    while len(going):
        i, j = i_N[going], j_N[going]
        here = table[i, going, j]
        a, b = expected_NI[going, i - 1], written_NJ[going, j - 1]  # at 0 the last ones, which are not used
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
