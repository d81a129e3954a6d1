"""Which inputs a model was trained on, in at most 512 KiB: the least hashes of their texts (a bottom-k sketch).

Up to 65,536 different inputs all hashes are kept. Of more, the least ones are: they are those of a random sample of the
inputs, so the share of other inputs that were trained on can be estimated from those whose hashes are as small.
Beyer et al., "On synopses for distinct-value estimation under multiset operations", SIGMOD 2007.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Self

import numpy as np

from ahx.data.split import Hashes, mix

MOST = 1 << 16


def _none() -> Hashes:
    return np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Seen:
    """The least hashes of the inputs that were trained on, in ascending order; all of them below `MOST`.

    These are the hashes of `ahx.data.split`, mixed again: by the plain ones inputs are held out for validation.
    """

    hashes: Hashes = field(default_factory=_none)

    @property
    def whole(self) -> bool:
        """Whether all hashes are kept."""
        return len(self.hashes) < MOST

    @property
    def count(self) -> int:
        """The number of different inputs; an estimate where not all are kept."""
        return len(self.hashes) if self.whole else int((MOST - 1) / (float(self.hashes[-1]) + 1) * 2**64)

    def __or__(self, other: "Seen") -> "Seen":
        return self._with(other.hashes)

    def add(self, hashes: Hashes) -> "Seen":
        """With further inputs."""
        return self._with(mix(hashes))

    def _with(self, keys: Hashes) -> "Seen":
        if not self.whole:
            keys = keys[keys < self.hashes[-1]]
        return Seen(np.union1d(self.hashes, keys)[:MOST]) if len(keys) else self

    def known(self, hashes: Hashes) -> tuple[int, int]:
        """Of how many of these inputs it is known whether they were trained on, and how many were."""
        return self._known(mix(hashes))

    def shared(self, other: "Seen") -> tuple[int, int]:
        """The same of the inputs of `other`."""
        return self._known(other.hashes)

    def _known(self, keys: Hashes) -> tuple[int, int]:
        if not len(self.hashes):
            return len(keys), 0
        asked = keys if self.whole else keys[keys <= self.hashes[-1]]
        at = np.minimum(np.searchsorted(self.hashes, asked), len(self.hashes) - 1)
        return len(asked), int((self.hashes[at] == asked).sum())

    def to_bytes(self) -> bytes:
        return self.hashes.astype("<u8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ValueError for anything that `to_bytes` does not write."""
        if len(data) % 8 or len(data) > 8 * MOST:
            raise ValueError(f"it has {len(data):,} bytes, not a multiple of 8 up to {8 * MOST:,}")
        hashes = np.frombuffer(data, dtype="<u8").astype(np.uint64)
        if (hashes[1:] <= hashes[:-1]).any():
            raise ValueError("its numbers are not in ascending order")
        return cls(hashes)


def joined(sketches: Iterable[Seen]) -> Seen:
    """One sketch of the inputs of several."""
    return reduce(Seen.__or__, sketches, Seen())
