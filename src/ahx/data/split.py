"""What training must not see: a property of a thing itself, so that no draw can leak into training."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ahx.data.spans import VALIDATION_FRACTION, Hashes, held_out

P = TypeVar("P", bound=Any)  # a NamedTuple of arrays over N things, with a method `some`


def draw_of_split(draw: Callable[[int], P], likeness: Callable[[P], Hashes], n: int, testing: bool) -> P:
    """`n` random things of the training split, or of the one that is held out for testing.

    Things with the same likeness are in the same split.
    """
    found: list[P] = []
    missing, share = n, VALIDATION_FRACTION if testing else 1 - VALIDATION_FRACTION
    while missing > 0:
        drawn = draw(int(missing / share * 1.1) + 8)
        found.append(drawn.some(held_out(likeness(drawn)) == testing))
        missing -= len(found[-1][0])
    whole: P = type(found[0])._make(np.concatenate(parts)[:n] for parts in zip(*found, strict=True))
    return whole
