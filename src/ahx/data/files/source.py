"""Training on the lines of data files."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ahx.data.files.blocks import Progress
from ahx.data.files.cache import TokenCache, open_cache
from ahx.data.files.content import content_of_all
from ahx.data.files.fit import fit_once
from ahx.data.files.read import resolve_infile
from ahx.data.files.shuffle import permuted
from ahx.data.ragged import Ints
from ahx.data.source import Source
from ahx.data.teacher import AlignmentTeacher, Teacher
from ahx.data.token_rows import Row
from ahx.data.tokenizer import Tokenizer
from ahx.rules.rule import Rule

Pair = tuple[str, str]

_SHOWN_SYMBOLS = 8


class FileSource(Source):
    """The rows of a data file, each once per epoch, in another pseudo-random order every epoch."""

    def __init__(
        self, train: TokenCache, val: TokenCache, teacher: Teacher, tokenizer: Tokenizer, seed: int, note: str = "",
        content: str = "",
    ) -> None:  # fmt: skip
        self.train, self.val, self.teacher, self.tokenizer = train, val, teacher, tokenizer
        self.seed, self.note, self.content = seed, note, content
        self.longest_row = max(train.longest, val.longest)
        self.notes = [sentence for sentence in (note, _about(teacher)) if sentence]
        self.fresh: Source | None = None  # where new rows can be drawn

    def steps_per_epoch(self, batch_size: int) -> int:
        """Steps until every row has come at least once."""
        return -(-len(self.train) // batch_size)

    def batch(self, step: int, batch_size: int) -> list[npt.NDArray[np.uint16]]:
        """Token rows for training step `step`: a function of (seed, step, batch_size).

        Batches are cut from one endless sequence of epochs, so one may hold the end of an epoch and the next's begin.
        """
        position = np.arange(step * batch_size, (step + 1) * batch_size)
        rows = len(self.train)
        index = np.empty(batch_size, dtype=np.int64)
        epochs = position // rows
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            index[here] = permuted(position[here] % rows, rows, (self.seed, epoch))
        return self.train.rows(index)

    def validation_rows(self, n: int) -> list[npt.NDArray[np.uint16]]:
        """Up to `n` validation rows, evenly spaced in their file."""
        return self.val.rows(_evenly(len(self.val), n))

    def fresh_rows(self, n: int, stream: int) -> Sequence[Row] | None:
        return self.fresh.fresh_rows(n, stream) if self.fresh else None

    def validation(self, n: int) -> list[Pair]:
        """Up to `n` validation pairs, evenly spaced in their file."""
        return [self._pair(row) for row in self.validation_rows(n)]

    def _pair(self, row: npt.NDArray[np.uint16]) -> Pair:
        numbers = row.tolist()
        separator = numbers.index(self.tokenizer.separator)
        text = "".join(self.tokenizer.tokens[number].symbol for number in numbers[1:separator])
        return text, self.tokenizer.decode(numbers[separator + 1 :])


def open_files(
    infile: str | os.PathLike[str] | tuple[Path, Path | None],
    *,
    rule: Rule | None = None,
    use_cursor: bool = True,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    on_progress: Progress = lambda what, done, total: None,
    given: Tokenizer | None = None,
) -> FileSource:
    """The samples of `infile` (see `resolve_infile`; or its two files), tokenised into caches on first use.

    Teacher and tokenizer are fitted to the files; a tokenizer that is `given` is used if it has all their tokens.
    Without a validation file, a tenth of the lines is held out. Raises InputError and StorageError.
    """
    train_path, val_path = infile if isinstance(infile, tuple) else resolve_infile(infile)
    paths = [train_path] if val_path is None else [train_path, val_path]
    content = content_of_all(paths, cache_dir)
    teacher, tokenizer = fit_once(paths, rule, use_cursor, cache_dir, on_progress)
    tokenizer = tokenizer.or_wider(given)
    if val_path is not None:
        train, val = (open_cache(path, teacher, tokenizer, "all", cache_dir, on_progress) for path in paths)
        return FileSource(train, val, teacher, tokenizer, seed, content=content)
    train = open_cache(train_path, teacher, tokenizer, "train", cache_dir, on_progress)
    val = open_cache(train_path, teacher, tokenizer, "validation", cache_dir, on_progress)
    if len(train) and len(val):
        note = f"there is no validation file for {train_path}: {len(val):,} of its lines are held out instead"
    else:
        train = val = open_cache(train_path, teacher, tokenizer, "all", cache_dir, on_progress)
        note = f"there is no validation file for {train_path}, and too few lines to hold any out: validation is on all"
    return FileSource(train, val, teacher, tokenizer, seed, note, content)


def _about(teacher: Teacher) -> str:
    """A sentence about what was found in the data."""
    if not isinstance(teacher, AlignmentTeacher):
        return ""
    lengths = [f"{symbol}: {length}" for symbol, length in teacher.alignment.lengths.items()]
    shown = ", ".join(lengths[:_SHOWN_SYMBOLS] + ["..."] * (len(lengths) > _SHOWN_SYMBOLS))
    return f"found in the data: symbols give outputs of fixed length ({shown})"


def _evenly(size: int, n: int) -> Ints:
    """Up to `n` row numbers, evenly spaced over 0..size-1."""
    n = min(size, n)
    return np.arange(n, dtype=np.int64) * size // max(n, 1)
