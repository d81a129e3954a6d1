"""What training draws from: fresh samples of a rule, or the rows of a file. Both are pure functions of (seed, step).

Because a batch depends on nothing else, a run resumes at step n without replaying the steps before it, and the ranks
of a data-parallel run take slices of the same global batch.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ahx.data.files.blocks import Progress
from ahx.data.files.cache import TokenCache, open_cache
from ahx.data.files.fit import fit_once
from ahx.data.files.permutation import permuted
from ahx.data.files.read import resolve_infile
from ahx.data.rows import Row
from ahx.data.samples.pool import listable, split_all, spread
from ahx.data.samples.sampler import Sampler
from ahx.data.spans import Ints, hash_texts, held_out
from ahx.data.teacher import MachineTeacher, Teacher
from ahx.data.tokenizer import Tokenizer
from ahx.rules.rule import Rule

Pair = tuple[str, str]

_TRAINING, _VALIDATION, _FRESH = 0, 1, 2  # separate streams of random numbers
_FEWEST_TO_HOLD_OUT = 1_000  # below this many distinct strings, every one is needed for training
_REMEMBERED_ROWS = 100_000
_DRAWS = 1_000


class Samples(Protocol):
    """Training batches, and pairs to validate on."""

    teacher: Teacher
    tokenizer: Tokenizer
    note: str  # a sentence about the validation data when it is not what one would expect, else ""

    def batch(self, step: int, batch_size: int) -> Sequence[Row]:
        """Token rows for training step `step` (from 0), unpadded."""

    def validation(self, n: int) -> list[Pair]:
        """Up to `n` (input, output) pairs, always the same ones."""


class RuleSamples:
    """Fresh samples of a rule at every step. No training input is one that is held out for validation."""

    def __init__(self, rule: Rule, teacher: Teacher, tokenizer: Tokenizer, sampler: Sampler, seed: int) -> None:
        self.rule, self.teacher, self.tokenizer, self.sampler, self.seed = rule, teacher, tokenizer, sampler, seed
        self.note = ""
        self.holds_out = sampler.count() >= _FEWEST_TO_HOLD_OUT
        if not self.holds_out:
            self.note = (
                f"there are only {sampler.count():,} distinct strings of length {sampler.min_len} to "
                f"{sampler.max_len}: all are used for training, and validation is on the same ones"
            )
        self._remembered: dict[str, npt.NDArray[np.uint16]] = {}

    def batch(self, step: int, batch_size: int) -> list[npt.NDArray[np.uint16]]:
        """Token rows for training step `step`: a function of (seed, step, batch_size)."""
        rng = np.random.default_rng((self.seed, _TRAINING, step))
        texts: list[str] = []
        while len(texts) < batch_size:
            drawn = self.sampler.draw(rng, batch_size + batch_size // 4 + 8)  # a tenth will be held out
            if self.holds_out:
                kept = ~held_out(hash_texts(drawn))
                drawn = [text for text, keep in zip(drawn, kept.tolist(), strict=True) if keep]
            texts += drawn
        return [self._row(text) for text in texts[:batch_size]]

    def validation(self, n: int) -> list[Pair]:
        """Up to `n` distinct held-out pairs; of all pairs, where there are too few to hold any out."""
        rng = np.random.default_rng((self.seed, _VALIDATION))
        if not self.holds_out:
            return self._pairs(spread(rng, list(self.sampler.every()), n))
        if listable(self.sampler):
            return self._pairs(spread(rng, split_all(self.sampler)[1], n))
        found: dict[str, None] = {}
        for _ in range(_DRAWS):
            drawn = self.sampler.draw(rng, max(1, min(n, 4_000_000 // max(1, self.sampler.max_len))))
            kept = held_out(hash_texts(drawn)).tolist()
            found.update((text, None) for text, keep in zip(drawn, kept, strict=True) if keep)
            if len(found) >= n:
                break
        return self._pairs(list(found)[:n])

    def fresh(self, n: int, stream: int, sampler: Sampler | None = None) -> list[Pair]:
        """`n` new pairs for evaluation, others for each `stream`; of other lengths with a `sampler` of its own."""
        rng = np.random.default_rng((self.seed, _FRESH, stream))
        return self._pairs((sampler or self.sampler).draw(rng, n))

    def _pairs(self, texts: Sequence[str]) -> list[Pair]:
        return [(text, self.rule.apply(text)) for text in texts]

    def _row(self, text: str) -> npt.NDArray[np.uint16]:
        row = self._remembered.get(text)
        if row is None:
            if isinstance(self.teacher, MachineTeacher):
                steps = self.teacher.follow(text)  # its steps spell the output, so there is no need to apply the rule
            else:
                steps = self.teacher.steps(text, self.rule.apply(text))
            row = np.array(self.tokenizer.encode_input(text) + self.tokenizer.encode_steps(steps), dtype=np.uint16)
            if len(self._remembered) >= _REMEMBERED_ROWS:
                self._remembered.clear()
            self._remembered[text] = row
        return row


class FileSamples:
    """The rows of a data file, each once per epoch, in another pseudo-random order every epoch."""

    def __init__(
        self, train: TokenCache, val: TokenCache, teacher: Teacher, tokenizer: Tokenizer, seed: int, note: str = ""
    ) -> None:
        self.train, self.val, self.teacher, self.tokenizer = train, val, teacher, tokenizer
        self.seed, self.note = seed, note

    @property
    def longest_row(self) -> int:
        """Tokens in the longest row of both files."""
        return max(self.train.longest, self.val.longest)

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
) -> FileSamples:
    """The samples of `infile` (see `resolve_infile`; or its two files), tokenised into caches on first use.

    Teacher and tokenizer are fitted to the files; a tokenizer that is `given` serves where it has all their tokens.
    Without a validation file, a tenth of the lines is held out. Raises InputError and StorageError.
    """
    train_path, val_path = infile if isinstance(infile, tuple) else resolve_infile(infile)
    paths = [train_path] if val_path is None else [train_path, val_path]
    teacher, tokenizer = fit_once(paths, rule, use_cursor, cache_dir, on_progress)
    tokenizer = tokenizer.or_wider(given)
    if val_path is not None:
        train, val = (open_cache(path, teacher, tokenizer, "all", cache_dir, on_progress) for path in paths)
        return FileSamples(train, val, teacher, tokenizer, seed)
    train = open_cache(train_path, teacher, tokenizer, "train", cache_dir, on_progress)
    val = open_cache(train_path, teacher, tokenizer, "validation", cache_dir, on_progress)
    if len(train) and len(val):
        note = f"there is no validation file for {train_path}: {len(val):,} of its lines are held out instead"
    else:
        train = val = open_cache(train_path, teacher, tokenizer, "all", cache_dir, on_progress)
        note = f"there is no validation file for {train_path}, and too few lines to hold any out: validation is on all"
    return FileSamples(train, val, teacher, tokenizer, seed, note)


def _evenly(size: int, n: int) -> Ints:
    """Up to `n` row numbers, evenly spaced over 0..size-1."""
    n = min(size, n)
    return np.arange(n, dtype=np.int64) * size // max(n, 1)
