"""Lists all strings of a sampler, where they are few enough, and splits them into training and validation."""

from collections import defaultdict
from itertools import zip_longest

import numpy as np

from ahx.data.samples.sampler import Sampler
from ahx.data.split import VALIDATION_FRACTION, hash_texts, held_out

# Up to this size, listing all strings is faster than drawing some and discarding others.
_LISTABLE_STRINGS, _LISTABLE_SYMBOLS = 1 << 17, 1 << 22


def listable(sampler: Sampler) -> bool:
    """Whether all strings of `sampler` fit comfortably in memory."""
    count = sampler.count()
    return count <= _LISTABLE_STRINGS and count * sampler.max_len <= _LISTABLE_SYMBOLS


def split_all(sampler: Sampler, fraction: float = VALIDATION_FRACTION) -> tuple[list[str], list[str]]:
    """Every string of `sampler`, as (training, validation); see `held_out`.

    Each part has at least one string.
    """
    strings = list(sampler.every())
    hashes = hash_texts(strings)
    kept = held_out(hashes, fraction)
    kept[hashes.argmin()], kept[hashes.argmax()] = True, False
    training = [text for text, out in zip(strings, kept, strict=True) if not out]
    validation = [text for text, out in zip(strings, kept, strict=True) if out]
    return training, validation


def spread(rng: np.random.Generator, strings: list[str], n: int) -> list[str]:
    """Up to `n` of the distinct `strings`, in random order, as even over their lengths as possible."""
    by_length: defaultdict[int, list[str]] = defaultdict(list)
    for at in rng.permutation(len(strings)).tolist():
        by_length[len(strings[at])].append(strings[at])
    # One of each length, then a second of each, and so on, for as long as that length has any.
    rounds = zip_longest(*(by_length[length] for length in sorted(by_length, reverse=True)))
    chosen = [text for one_round in rounds for text in one_round if text is not None][:n]
    return [chosen[at] for at in rng.permutation(len(chosen)).tolist()]


def repeat(rng: np.random.Generator, strings: list[str], n: int) -> list[str]:
    """`n` of `strings` with repetitions, every length that occurs equally likely."""
    ordered = sorted(strings, key=lambda text: (len(text), text))
    lengths, first, count = np.unique([len(text) for text in ordered], return_index=True, return_counts=True)
    which = rng.integers(0, len(lengths), n)
    return [ordered[at] for at in (first[which] + rng.integers(0, count[which])).tolist()]
