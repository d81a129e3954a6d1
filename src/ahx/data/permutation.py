"""A pseudo-random order of n rows that takes no memory: a Feistel cipher on row numbers.

A cipher is a bijection, so every row comes exactly once per epoch; numbers that fall outside 0..n-1 are enciphered
again until they fall inside ("cycle walking"). Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
"""

import numpy as np

from ahx.data.spans import Ints, mix

_ROUNDS = 6


def permuted(index: Ints, n: int, key: tuple[int, ...]) -> Ints:
    """Where a permutation of 0..n-1, chosen by `key` (non-negative numbers), sends each of `index`."""
    half = max(1, ((n - 1).bit_length() + 1) // 2)  # bits in each half of a number; at most 4n numbers in all
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    round_keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64)
    numbers = index.astype(np.uint64)
    outside = np.ones(len(numbers), dtype=np.bool_)
    while outside.any():
        left, right = numbers[outside] >> shift, numbers[outside] & mask
        for round_key in round_keys:
            left, right = right, left ^ (mix(right ^ round_key) & mask)
        numbers[outside] = (left << shift) | right
        outside = numbers >= np.uint64(n)
    return numbers.astype(np.int64)
