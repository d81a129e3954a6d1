"""A pseudo-random order of n rows that takes no memory: a Feistel cipher on row numbers.

A cipher is a bijection, so every row comes exactly once per epoch. Row numbers are written as two digits in mixed base,
a x b >= n, and each round adds a pseudo-random function of one digit to the other. The few results from n on are
enciphered again until they fall below n ("cycle walking"). Black & Rogaway, "Ciphers with arbitrary finite domains",
CT-RSA 2002.
"""

from math import isqrt

import numpy as np

from ahx.data.ragged import Ints
from ahx.data.split import mix

_ROUNDS = 6


def permuted(index: Ints, n: int, key: tuple[int, ...]) -> Ints:
    """Where a permutation of 0..n-1, chosen by `key` (non-negative numbers), sends each of `index`."""
    bases = isqrt(n - 1) + 1, -(-n // (isqrt(n - 1) + 1))
    left_base, right_base = (np.uint64(base) for base in bases)
    round_keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64)
    numbers = index.astype(np.uint64)
    outside = np.ones(len(numbers), dtype=np.bool_)
    while outside.any():
        left, right = np.divmod(numbers[outside], right_base)
        for left_key, right_key in round_keys.reshape(-1, 2):
            left = (left + mix(right ^ left_key) % left_base) % left_base
            right = (right + mix(left ^ right_key) % right_base) % right_base
        numbers[outside] = left * right_base + right
        outside = numbers >= np.uint64(n)
    return numbers.astype(np.int64)
