"""Many strings at once: text as an array of code points, each string a span of it.

Python takes about a microsecond per line, numpy a few nanoseconds per character: a file of 10^8 lines needs the latter.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint32]  # code points; bytes where all are ASCII

# Strings whose hash falls in the lowest share are kept for validation; see `held_out`.
VALIDATION_FRACTION = 0.1

_COUNTABLE = 1 << 22

# splitmix64's finaliser: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_CODE_BITS = np.uint64(21)  # a code point is below 2^21


def codes_of(text: str) -> npt.NDArray[np.uint32]:
    """The code points of `text` (lone surrogates included)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def text_of(codes: npt.NDArray[np.uint32]) -> str:
    """The string that `codes` spell."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def offsets_of(lengths: Ints) -> Ints:
    """Where each span begins when they are laid end to end; one entry more than spans, the last being the total."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_of(lengths: Ints) -> Ints:
    """0, 1, ... for every span, laid end to end: each element's place in its span."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


def inside(starts: Ints, ends: Ints, size: int) -> npt.NDArray[np.bool_]:
    """Which of `size` elements lie in a span from a start to before its end; spans ascend and do not overlap."""
    # A run of False up to each start, a run of True up to each end: far cheaper than an index for every element.
    bounds = np.empty(2 * len(starts) + 2, dtype=np.int64)
    bounds[0], bounds[1:-1:2], bounds[2:-1:2], bounds[-1] = 0, starts, ends, size
    return np.repeat(np.arange(len(bounds) - 1) % 2 == 1, np.diff(bounds))


def totals_of(values: Ints, lengths: Ints) -> Ints:
    """The sum of each span's values."""
    return np.diff(offsets_of(values)[offsets_of(lengths)])


def distinct(values: Codes | Ints) -> list[int]:
    """The different ones of non-negative `values`, in order."""
    if values.max(initial=0) < _COUNTABLE:  # counting beats sorting
        return [int(value) for value in np.flatnonzero(np.bincount(values))]
    return [int(value) for value in np.unique(values)]


def mix(values: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that leaves no visible pattern."""
    values = values + _INCREMENT
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        values ^= values >> np.uint64(shift)
        values *= factor
    return values ^ (values >> np.uint64(31))


def hash_spans(codes: Codes, lengths: Ints) -> Hashes:
    """A 64-bit hash of each of the strings that are laid end to end in `codes`.

    It is the same on every machine and in every version, because data splits depend on it: the sum of one pseudo-random
    number per (place, code point), as in Zobrist hashing.
    """
    # Distinct (place, code point) pairs give distinct keys, so a sum of mixed keys identifies the string.
    keys = (places_of(lengths).astype(np.uint64) << _CODE_BITS) + codes.astype(np.uint64)
    sums = np.zeros(len(keys) + 1, dtype=np.uint64)
    np.cumsum(mix(keys), out=sums[1:])
    offsets = offsets_of(lengths)
    return mix(sums[offsets[1:]] - sums[offsets[:-1]] + lengths.astype(np.uint64))


def hash_texts(texts: Sequence[str]) -> Hashes:
    """`hash_spans` of a list of strings."""
    lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    return hash_spans(codes_of("".join(texts)), lengths)


def held_out(hashes: Hashes, fraction: float = VALIDATION_FRACTION) -> npt.NDArray[np.bool_]:
    """Which strings belong to validation: a property of the string alone, so that no draw can leak into training."""
    return hashes < np.uint64(int(fraction * 2**64))
