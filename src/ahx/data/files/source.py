"""Training on the lines of data files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ahx.data.files.blocks import Progress
from ahx.data.files.cache import Part, TokenCache, open_cache
from ahx.data.files.cache_folder import fingerprint
from ahx.data.files.content import content_of
from ahx.data.files.fit import fit_once
from ahx.data.files.names import resolve_infile, shown
from ahx.data.files.reader import Reader
from ahx.data.files.shuffle import permuted
from ahx.data.ragged import Ints, distinct, offsets_of
from ahx.data.seen import Seen, joined
from ahx.data.source import DataFiles, Source
from ahx.data.teacher import Teacher
from ahx.data.token_rows import Row
from ahx.data.tokenizer import Tokenizer
from ahx.rules.rule import Rule
from ahx.text.plural import counted

Pair = tuple[str, str]


class Rows(Protocol):
    """Rows of tokens by number."""

    longest: int  # tokens in the longest row

    def __len__(self) -> int: ...

    def rows(self, index: Ints) -> list[npt.NDArray[np.uint16]]: ...


class JoinedRows:
    """The rows of several caches, one after another."""

    def __init__(self, parts: Sequence[TokenCache]) -> None:
        self._parts, self._offsets = parts, offsets_of(np.array([len(part) for part in parts], dtype=np.int64))
        self.longest = max(part.longest for part in parts)

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def rows(self, index: Ints) -> list[npt.NDArray[np.uint16]]:
        """Copies of the rows with these numbers."""
        of_part = np.searchsorted(self._offsets, index, side="right") - 1
        found = np.empty(len(index), dtype=object)
        for at in distinct(of_part):
            here = np.flatnonzero(of_part == at)
            for place, row in zip(here, self._parts[at].rows(index[here] - self._offsets[at]), strict=True):
                found[place] = row
        return list(found)


class FileSource(Source):
    """The rows of data files, each once per epoch, in another pseudo-random order every epoch."""

    def __init__(
        self, train: Rows, val: Rows, teacher: Teacher, tokenizer: Tokenizer, seed: int, notes: Sequence[str] = (),
        content: str = "", seen: Seen | None = None, columns: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.train, self.val, self.teacher, self.tokenizer = train, val, teacher, tokenizer
        self.seed, self.content, self.seen, self.columns = seed, content, seen or Seen(), columns
        self.longest_row, self.validation_lines = max(train.longest, val.longest), len(val)
        self.notes = [sentence for sentence in (*notes, teacher.note(tokenizer.segmentation.shown)) if sentence]
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
        return self.tokenizer.spell(numbers[:separator]), self.tokenizer.decode(numbers[separator + 1 :])


def open_files(
    infile: str | os.PathLike[str] | DataFiles,
    *,
    rule: Rule | None = None,
    use_cursor: bool = True,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    on_progress: Progress = lambda what, done, total: None,
    given: Tokenizer | None = None,
    reader: Reader | None = None,
) -> FileSource:
    """The samples of `infile` (see `resolve_infile`; or its files), tokenised into caches on first use.

    Teacher and tokenizer are fitted to the files; a tokenizer that is `given` is used if it has all their tokens.
    Without a validation file, a share of the inputs is held out. Raises InputError and StorageError.
    """
    files = infile if isinstance(infile, DataFiles) else resolve_infile(infile)
    paths, reader = [*files.train, *files.val], reader or Reader()
    reader.share = 0.0 if files.val else reader.share
    reader.segmentation.take_words(given.segmentation if given else None)
    teacher, tokenizer = fit_once(paths, rule, use_cursor, cache_dir, on_progress, reader)
    tokenizer = tokenizer.or_wider(given)
    content = fingerprint([[content_of(path, cache_dir), reader.recipe(path)] for path in paths] + [reader.share])

    def cached(paths: Sequence[Path], part: Part) -> Rows:
        parts = [open_cache(path, teacher, tokenizer, part, cache_dir, on_progress, reader) for path in paths]
        return parts[0] if len(parts) == 1 else JoinedRows(parts)

    notes, surveys = reader.notes(), reader.surveys
    seen = joined(surveys[path].seen for path in files.train)
    if files.val:
        train, val = cached(files.train, "all"), cached(files.val, "all")
        held = joined(surveys[path].seen for path in files.val)
        notes += [_overlap(seen, held, files), _repeated(val, held)]
        if files.test:
            notes.append(f"{shown(files.test)} is not read: evaluate on it with `ahx eval --data`")
        return FileSource(train, val, teacher, tokenizer, seed, notes, content, seen, reader.reading.names)
    train, val = cached(files.train, "train"), cached(files.train, "validation")
    held = joined(surveys[path].held for path in files.train)
    if len(train) and len(val):
        notes.append(
            f"there is no validation file for {shown(files.train)}: {len(val):,} of its lines "
            f"{'is' if len(val) == 1 else 'are'} held out instead"
        )
        notes.append(_repeated(val, held))
    else:
        where = "to validate on" if len(train) else "to train on"
        train = val = cached(files.train, "all")
        seen |= held
        notes.append(
            f"there is no validation file for {shown(files.train)}, and holding out {reader.share:.0%} of its "
            f"{counted(seen.count, 'different input')} leaves none {where}: validation is on all lines, as training is"
        )
    return FileSource(train, val, teacher, tokenizer, seed, notes, content, seen, reader.reading.names)


def _overlap(train: Seen, val: Seen, files: DataFiles) -> str:
    """A sentence about validation inputs that are in training too; "" if there are none."""
    known, found = train.shared(val)
    if not found:
        return ""
    share = "all" if found == known else f"{found / known:.1%}"
    return (
        f"{share} of the {val.count:,} different inputs in {shown(files.val)} are in training too: "
        "for these, validation shows what was memorised"
    )


def _repeated(val: Rows, held: Seen) -> str:
    """A sentence about validation lines with the same input; "" if there are none, or too many inputs to count."""
    repeats = len(val) - held.count
    if repeats <= 0 or not held.whole:
        return ""
    return (
        f"{repeats:,} of the {len(val):,} validation lines have the input of another one: training judges each by its "
        "own output, and `ahx eval` accepts that of any"
    )


def _evenly(size: int, n: int) -> Ints:
    """Up to `n` row numbers, evenly spaced over 0..size-1."""
    n = min(size, n)
    return np.arange(n, dtype=np.int64) * size // max(n, 1)
