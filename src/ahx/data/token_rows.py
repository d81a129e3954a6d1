"""Samples as rows of tokens, and many rows in one array."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Ints, offsets_of, positions_of
from ahx.data.teacher import Teacher
from ahx.data.tokenizer import Tokenizer

Row = Sequence[int] | npt.NDArray[np.uint16]


def row_of(teacher: Teacher, tokenizer: Tokenizer, text: str, output: str) -> list[int]:
    """The row of one sample, whose strings have one code point for each token.

    Raises InputError for what the vocabulary or the teacher cannot express.
    """
    return tokenizer.encode_input(list(teacher.prompt(text))) + tokenizer.encode_steps(teacher.steps(text, output))


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
            self.tokens[np.repeat(offsets_of(self.lengths)[numbers], lengths) + positions_of(lengths)], lengths
        )
