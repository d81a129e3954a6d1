"""Ragged arrays: many strings, or rows of tokens, laid end to end in one array, with the length of each.

Python takes about a microsecond per line, numpy a few nanoseconds per character: a file of 10^8 lines needs the latter.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint32]  # code points; bytes where all are ASCII

_COUNTABLE = 1 << 22


def codes_of(text: str) -> npt.NDArray[np.uint32]:
    """The code points of `text` (lone surrogates included)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def text_of(codes: npt.NDArray[np.uint32]) -> str:
    """The string that `codes` spell."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def offsets_of(lengths: Ints) -> Ints:
    """Where each row begins when they are laid end to end; one entry more than rows, the last being the total."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def positions_of(lengths: Ints) -> Ints:
    """0, 1, ... for every row, laid end to end: each element's position in its row."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


def inside(starts: Ints, ends: Ints, size: int) -> npt.NDArray[np.bool_]:
    """Which of `size` elements lie in a row from a start to before its end; rows ascend and do not overlap."""
    # A run of False up to each start, a run of True up to each end: far cheaper than an index for every element.
    bounds = np.empty(2 * len(starts) + 2, dtype=np.int64)
    bounds[0], bounds[1:-1:2], bounds[2:-1:2], bounds[-1] = 0, starts, ends, size
    return np.repeat(np.arange(len(bounds) - 1) % 2 == 1, np.diff(bounds))


def totals_of(values: Ints, lengths: Ints) -> Ints:
    """The sum of each row's values."""
    return np.diff(offsets_of(values)[offsets_of(lengths)])


def distinct(values: Codes | Ints) -> list[int]:
    """The distinct ones of non-negative `values`, in ascending order."""
    if values.max(initial=0) < _COUNTABLE:  # counting is faster than sorting
        return [int(value) for value in np.flatnonzero(np.bincount(values))]
    return [int(value) for value in np.unique(values)]
