"""Many rows of tokens in one array: what is done to all of them at once needs no Python for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ahx.data.spans import Ints, offsets_of, places_of

Row = Sequence[int] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class FlatRows:
    """Rows laid end to end, and the length of each."""

    tokens: npt.NDArray[np.uint16] | Ints
    lengths: Ints

    @classmethod
    def of(cls, rows: "Sequence[Row] | FlatRows") -> "FlatRows":
        """`rows`, however they are given."""
        if isinstance(rows, FlatRows):
            return rows
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        tokens = np.concatenate([np.asarray(row, np.int64) for row in rows]) if len(rows) else np.empty(0, np.int64)
        return cls(tokens, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def padded(self, length: int = 0) -> Ints:
        """The rows side by side, with zeros on the right up to the longest, or to `length`: (n, T)."""
        T = max(int(self.lengths.max(initial=0)), length)
        padded = np.zeros((len(self), T), np.int64)
        padded[np.arange(T) < self.lengths[:, None]] = self.tokens
        return padded

    def pick(self, numbers: Ints) -> "FlatRows":
        """The rows of these numbers, in their order."""
        lengths = self.lengths[numbers]
        return FlatRows(
            self.tokens[np.repeat(offsets_of(self.lengths)[numbers], lengths) + places_of(lengths)], lengths
        )
