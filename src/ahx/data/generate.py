"""Data files of a rule: training and validation lines that share no input.

Whether a string is for validation is a property of the string (its hash), so files made at different times, and samples
drawn directly from the rule, agree on it.

Lines are distinct as long as there are enough strings. If not, every validation string is written once (a repeated one
would measure nothing new), and training lines repeat, to keep the requested number of lines and even spread of lengths.
If there are too many strings to list, lines are drawn and repeated ones discarded, which takes 8 bytes of memory per
line; when more than half of all strings are requested, that would take too long, and training lines may repeat.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ahx.data.files.blocks import MAX_LINE_BYTES
from ahx.data.files.names import TRAIN_SUFFIX, VAL_SUFFIX
from ahx.data.files.open import open_data
from ahx.data.samples.enumeration import listable, repeat, split_all, spread
from ahx.data.samples.sampler import Sampler
from ahx.data.split import Hashes, hash_texts, held_out
from ahx.errors import InputError
from ahx.rules.rule import Rule
from ahx.safe_files.atomic import atomic_files

_LEAST_SHARE = 1e-5  # of either part; drawing strings of a smaller one takes too long
_FEWEST_EXPECTED = 20  # strings in either part, where they are drawn: the chance that there are none is e^-20
_BATCH = 20_000
_BATCH_SYMBOLS = 4_000_000
_HEAD = "# rule: "
_UNWRITABLE = {",": "a comma", "\n": "a line feed", "\r": "a carriage return", "\0": "a NUL"}


@dataclass(frozen=True)
class Generated:
    """What `generate` wrote."""

    train_path: Path
    val_path: Path
    train_lines: int
    val_lines: int
    note: str  # a sentence when there were too few strings, else ""


def generate(
    rule: Rule,
    sampler: Sampler,
    out: str | os.PathLike[str],
    num_samples: int,
    *,
    seed: int = 0,
    val_fraction: float = 0.1,
    on_progress: Callable[[int], None] = lambda lines: None,
) -> Generated:
    """Write `out`_train.txt and `out`_val.txt with `num_samples` lines together; `on_progress` gets finished lines.

    The same arguments give the same bytes on every platform. Raises InputError when a data file cannot hold the
    symbols, when there are fewer than two strings, or in place of files that are not its own; StorageError when the
    files cannot be written.
    """
    _check(sampler, num_samples, seed, val_fraction)
    train, val = (Path(os.fspath(out) + suffix) for suffix in (TRAIN_SUFFIX, VAL_SUFFIX))
    val_lines = min(max(1, round(num_samples * val_fraction)), num_samples - 1)
    batches, note = _plan(sampler, num_samples - val_lines, val_lines, seed, val_fraction)
    spec = rule.spec.replace("\n", "; ").replace("\r", "")
    for path in filter(os.path.isfile, (train, val)):
        with open_data(path) as old:
            if old.read(len(_HEAD)) not in (_HEAD.encode(), b""):
                raise InputError(f"{path} was not written by gen-data; choose another name, or move it away")
    header = (
        f"{_HEAD}{spec}, alphabet: {sampler.alphabet}, lengths: {sampler.min_len} to {sampler.max_len}, "
        f"samples: {num_samples}, validation: {val_fraction}, seed: {seed}\n"
    )
    lines = [0, 0]
    with atomic_files([train, val]) as files:
        for file in files:
            file.write(header.encode("utf-8"))
        for part, texts in batches:
            files[part].write("".join(_line(rule, text) for text in texts).encode("utf-8"))
            lines[part] += len(texts)
            on_progress(len(texts))
    return Generated(train, val, lines[0], lines[1], note)


def _check(sampler: Sampler, num_samples: int, seed: int, val_fraction: float) -> None:
    if num_samples < 2:
        raise InputError(f"num_samples is {num_samples}; give at least 2, one to train on and one to validate")
    if not _LEAST_SHARE <= val_fraction <= 1 - _LEAST_SHARE:
        shares = f"from {_LEAST_SHARE} to {1 - _LEAST_SHARE}"
        raise InputError(f"val_fraction is {val_fraction}; give a share {shares}, such as 0.1")
    if seed < 0:
        raise InputError(f"seed is {seed}; give 0 or more")
    for symbol in sampler.alphabet:
        if symbol in _UNWRITABLE:
            raise InputError(
                f"the alphabet {sampler.alphabet!r} has {_UNWRITABLE[symbol]}, which ends a field or a line "
                "of a data file; leave it out"
            )
        if symbol in "#\ufeff" or "\ud800" <= symbol <= "\udfff":
            raise InputError(
                f"the alphabet {sampler.alphabet!r} has {symbol!r}, with which a line of a data file cannot "
                "begin; leave it out"
            )
    if sampler.count() < 2:
        raise InputError("there is only one such string; raise --max-len, or give more symbols in --alphabet")


Batches = Iterator[tuple[int, list[str]]]  # (0 for training or 1 for validation, inputs)


def _plan(sampler: Sampler, train_lines: int, val_lines: int, seed: int, fraction: float) -> tuple[Batches, str]:
    """The inputs of both files, and a note when they are not what was requested."""
    train_rng, val_rng = (np.random.default_rng((seed, part)) for part in (0, 1))
    count = min(sampler.count(), 2**63)
    if listable(sampler):
        training, validation = split_all(sampler, fraction)
        val = spread(val_rng, validation, val_lines)
        train = spread(train_rng, training, train_lines)
        if len(train) < train_lines:
            train += repeat(train_rng, training, train_lines - len(train))
        facts = []
        if len(val) < val_lines:
            facts.append(f"the validation file has the {len(val):,} held-out ones once each")
        if len(training) < train_lines:
            facts.append(f"the {train_lines:,} training lines repeat the other {len(training):,}")
        note = f"there are only {_described(sampler)}: {', and '.join(facts)}" if facts else ""
        return _sliced(train, val), note
    fewest = min(fraction, 1 - fraction) * count
    if fewest < _FEWEST_EXPECTED:
        part = "validation" if fraction < 0.5 else "training"
        raise InputError(
            f"val_fraction is {fraction}, which leaves next to none of the {_described(sampler)} for {part}; "
            "give another share, such as 0.1"
        )
    note, distinct = "", 2 * train_lines <= (1 - fraction) * count
    if 2 * val_lines > fraction * count:
        val_lines = int(fraction * count / 2)
        note = f"; the validation file has {val_lines:,} lines, about half of the strings held out"
    if not distinct:
        note = "; training lines may repeat" + note
    if note:
        note = f"there are only {_described(sampler)}, and more than half of them were requested{note}"
    return _drawn(sampler, (train_rng, val_rng), (train_lines, val_lines), distinct, fraction), note


def _described(sampler: Sampler) -> str:
    lengths = f"{sampler.min_len} to {sampler.max_len}" if sampler.min_len < sampler.max_len else f"{sampler.max_len}"
    return f"{sampler.count():,} distinct strings of length {lengths} over {sampler.alphabet!r}"


def _sliced(train: list[str], val: list[str]) -> Batches:
    for part, texts in enumerate((train, val)):
        for at in range(0, len(texts), _BATCH):
            yield part, texts[at : at + _BATCH]


def _drawn(
    sampler: Sampler,
    rngs: tuple[np.random.Generator, np.random.Generator],
    lines: tuple[int, int],
    distinct: bool,
    fraction: float,
) -> Batches:
    """Draw, keep what belongs to the part (and is new), until the part has its lines."""
    size = max(1, min(_BATCH, _BATCH_SYMBOLS // max(1, sampler.max_len)))
    for part, (rng, wanted) in enumerate(zip(rngs, lines, strict=True)):
        seen = _Seen()
        while wanted:
            texts = sampler.draw(rng, size)
            hashes = hash_texts(texts)
            keep = held_out(hashes, fraction) == bool(part)
            if distinct or part:
                keep &= seen.new(hashes)
            fresh = [texts[at] for at in np.flatnonzero(keep)[:wanted].tolist()]
            wanted -= len(fresh)
            yield part, fresh


class _Seen:
    """A growing set of hashes, 8 bytes each: sorted runs, of which two of similar size are merged into one."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def new(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which of `hashes` are not in the set yet; adds them."""
        first = np.zeros(len(hashes), dtype=np.bool_)
        first[np.unique(hashes, return_index=True)[1]] = True
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            first &= run[at] != hashes
        run = np.sort(hashes[first])
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.concatenate((self._runs.pop(), run))
            run.sort(kind="stable")  # two sorted runs: a merge
        if len(run):
            self._runs.append(run)
        return first


def _line(rule: Rule, text: str) -> str:
    """One line of a data file. Raises InputError when a data file cannot hold the output."""
    output = rule.apply(text)
    for symbol, name in _UNWRITABLE.items():
        if symbol in output:
            raise InputError(
                f"the rule {rule.spec!r} writes {name} on {text[:40]!r}, which ends a field or a line of a "
                "data file; choose a rule with other symbols"
            )
    line = f"{text},{output}\n"
    if len(line) > MAX_LINE_BYTES // 4 and len(line.encode("utf-8")) > MAX_LINE_BYTES:
        raise InputError(
            f"the rule {rule.spec!r} makes a line longer than {MAX_LINE_BYTES:,} bytes of {text[:40]!r}; "
            "lower --max-len"
        )
    return line
