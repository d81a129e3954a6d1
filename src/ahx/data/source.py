"""The interface of what a run trains on: samples of a rule, files, programs with runs, windows of a queue machine.

A source is a pure function of (seed, step): a run resumes at step n without replaying the steps before it, and the
processes of a data-parallel run take slices of the same batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ahx.data.seen import Seen
from ahx.data.teacher import Teacher
from ahx.data.token_rows import Row
from ahx.data.tokenizer import Tokenizer


class DataFiles(NamedTuple):
    """The files of one data set; more than one where it comes in parts."""

    train: tuple[Path, ...]
    val: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()


class Source(ABC):
    """Rows of tokens to train and validate on, with the teacher and the vocabulary that made them."""

    teacher: Teacher
    tokenizer: Tokenizer
    longest_row: int  # tokens
    validation_lines: int = 0  # of files, all of them; 0 for drawn samples
    notes: Sequence[str] = ()  # sentences for the user, printed before training
    seen: Seen | None = None  # the inputs that are trained on; None for drawn samples
    columns: Sequence[str] = ()  # the names that input and output have in files
    content: str = ""  # identifies the data of files, and how they are read; "" for drawn samples

    @property
    def left_out(self) -> str:
        """A sentence about drawn samples that were not trained on; "" where there were none."""
        return ""

    @abstractmethod
    def batch(self, step: int, batch_size: int) -> Sequence[Row]:
        """Token rows for training step `step` (from 0), unpadded."""

    @abstractmethod
    def validation_rows(self, n: int) -> Sequence[Row]:
        """Up to `n` rows, always the same ones."""

    def fresh_rows(self, n: int, stream: int) -> Sequence[Row] | None:
        """`n` new rows, others for each `stream`; None where no new ones can be drawn."""
        return None
