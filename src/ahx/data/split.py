"""The split into training and validation: a property of each string or program, so that no draw leaks into training."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Codes, Ints, codes_of, offsets_of, positions_of

Hashes = npt.NDArray[np.uint64]

# Strings and programs whose hash falls in the lowest share are kept for validation; see `held_out`.
VALIDATION_FRACTION = 0.1

# splitmix64's finaliser: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_TABLE_POSITIONS = 256
_CODE_BITS = np.uint64(21)  # a code point is below 2^21

P = TypeVar("P", bound=Any)  # a NamedTuple of arrays over N programs, with a method `select`


def mix(values: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that leaves no visible pattern."""
    values = values + _INCREMENT
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        values ^= values >> np.uint64(shift)
        values *= factor
    return values ^ (values >> np.uint64(31))


def hash_strings(codes: Codes, lengths: Ints) -> Hashes:
    """A 64-bit hash of each of the strings that are laid end to end in `codes`.

    It is the same on every machine and in every version, because data splits depend on it: the sum of one pseudo-random
    number per (position, code point), as in Zobrist hashing.
    """
    # Distinct (position, code point) pairs give distinct keys, so a sum of mixed keys identifies the string.
    positions = positions_of(lengths)
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    if len(codes) and codes.itemsize == 1 and int(lengths.max()) <= _TABLE_POSITIONS:
        np.cumsum(_table()[(positions << 8) + codes], out=sums[1:])
    else:
        keys = (positions.astype(np.uint64) << _CODE_BITS) + codes.astype(np.uint64)
        np.cumsum(mix(keys), out=sums[1:])
    offsets = offsets_of(lengths)
    return mix(sums[offsets[1:]] - sums[offsets[:-1]] + lengths.astype(np.uint64))


@cache
def _table() -> Hashes:
    """The mixed keys of the first positions and all bytes: looking them up is faster than mixing."""
    positions, codes = np.meshgrid(np.arange(_TABLE_POSITIONS), np.arange(256), indexing="ij")
    return mix(((positions.astype(np.uint64) << _CODE_BITS) + codes.astype(np.uint64)).ravel())


def hash_texts(texts: Sequence[str]) -> Hashes:
    """`hash_strings` of a list of strings."""
    lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    return hash_strings(codes_of("".join(texts)), lengths)


def held_out(hashes: Hashes, fraction: float = VALIDATION_FRACTION) -> npt.NDArray[np.bool_]:
    """Which hashes belong to validation."""
    return hashes < np.uint64(int(fraction * 2**64))


def draw_from_split(draw: Callable[[int], P], hash_of: Callable[[P], Hashes], n: int, testing: bool) -> P:
    """`n` random programs of the training split, or of the one that is held out for testing.

    Programs with the same hash are in the same split.
    """
    found: list[P] = []
    missing, share = n, VALIDATION_FRACTION if testing else 1 - VALIDATION_FRACTION
    while missing > 0:
        drawn = draw(int(missing / share * 1.1) + 8)
        found.append(drawn.select(held_out(hash_of(drawn)) == testing))
        missing -= len(found[-1][0])
    whole: P = type(found[0])._make(np.concatenate(parts)[:n] for parts in zip(*found, strict=True))
    return whole
