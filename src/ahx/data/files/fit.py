"""Fits a teacher and a tokenizer to data files, in one pass over all lines."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ahx.data.files.batched_teacher import BatchedTeacher
from ahx.data.files.block import Block, Problems
from ahx.data.files.blocks import Progress, byte_progress
from ahx.data.files.cache_folder import CACHE_VERSION, cache_homes, fingerprint, may_write
from ahx.data.files.content import content_of, identity_of
from ahx.data.files.odd import MOST_ODD, nearly_aligned
from ahx.data.files.reader import Reader, Survey
from ahx.data.monotone.alignment import find_monotone, windows
from ahx.data.ragged import distinct
from ahx.data.segmentation import Segmentation
from ahx.data.teacher import AlignmentTeacher, MonotoneTeacher, PlainTeacher, Teacher, choose_teacher, teacher_from_json
from ahx.data.tokenizer import Tokenizer
from ahx.errors import AhxError, InputError, StorageError
from ahx.rules.rule import Rule
from ahx.rules.transducer import Step
from ahx.safe_files.atomic import atomic_files

_FIRST_PAIRS = 20_000
_COUNTEREXAMPLES = 1_000
_ATTEMPTS = 8
_REMEMBERED = 100_000


def fit(
    paths: Sequence[str | os.PathLike[str]],
    rule: Rule | None,
    use_cursor: bool,
    on_progress: Progress = lambda what, done, total: None,
    reader: Reader | None = None,
) -> tuple[Teacher, Tokenizer]:
    """A teacher that is right on every line of `paths`, and the tokenizer of their rows.

    An alignment by fixed lengths is fitted to the first lines; when a later line contradicts it, it is fitted again
    with that line. If a few lines fit none, `reader` leaves them out; otherwise a monotone alignment is fitted to a
    sample of the first file.
    Raises InputError that lists malformed lines, lines that contradict `rule`, or names a file without lines.
    """
    files, reader = [Path(path) for path in paths], reader or Reader()
    reader.segmentation.growing = True
    pairs = _first_pairs(files, reader)
    teacher: Teacher
    for _ in range(_ATTEMPTS):
        teacher = choose_teacher(rule, pairs, use_cursor)
        if use_cursor and isinstance(teacher, PlainTeacher):
            break
        vocabulary = _Vocabulary(teacher, reader.segmentation)
        against = _scan(files, vocabulary, on_progress, reader)
        if not against:
            return _with_window(teacher, pairs), vocabulary.tokenizer()
        pairs = against + pairs
    nearly = nearly_aligned(pairs) if use_cursor else None
    if nearly is not None:
        reader.alignment, vocabulary = nearly, _Vocabulary(AlignmentTeacher(nearly), reader.segmentation)
        if not _scan(files, vocabulary, on_progress, reader) and all(
            reader.surveys[path].odd <= MOST_ODD * reader.surveys[path].lines for path in files
        ):
            fitting = [pair for pair in pairs if nearly.fits(*pair)]
            return _with_window(AlignmentTeacher(nearly), fitting), vocabulary.tokenizer()
        reader.alignment = None
    teacher = PlainTeacher()
    if use_cursor:
        found = find_monotone(_sample(files[0], reader))
        teacher = PlainTeacher(found) if isinstance(found, str) else MonotoneTeacher(found)
    vocabulary = _Vocabulary(teacher, reader.segmentation)
    _scan(files, vocabulary, on_progress, reader)
    return teacher, vocabulary.tokenizer()


def _with_window(teacher: Teacher, pairs: Sequence[tuple[str, str]]) -> Teacher:
    """`teacher`, with the window that `pairs` call for if that is wider than the usual one."""
    if not isinstance(teacher, AlignmentTeacher):
        return teacher
    low, high = windows(teacher.alignment, pairs)
    return AlignmentTeacher(teacher.alignment, (low, high)) if min(low, -high) < -1 else teacher


def fit_once(
    paths: Sequence[str | os.PathLike[str]],
    rule: Rule | None,
    use_cursor: bool,
    cache_dir: str | os.PathLike[str] | None = None,
    on_progress: Progress = lambda what, done, total: None,
    reader: Reader | None = None,
) -> tuple[Teacher, Tokenizer]:
    """`fit`, cached beside the first file: files of the same content are not read again."""
    files, reader = [Path(path) for path in paths], reader or Reader()
    asked = {
        "version": CACHE_VERSION,
        "files": [[content_of(path, cache_dir), reader.recipe(path)] for path in files],
        "tokens": [reader.segmentation.to_json(), reader.share],
        "rule": None if rule is None else rule.spec,
        "use_cursor": use_cursor,
    }
    name = f"fit-{fingerprint(asked)}.json"
    homes = cache_homes(files[0], cache_dir)
    for home in homes:
        with suppress(OSError, ValueError, LookupError, TypeError, AhxError):  # any fault in the cache: fit again
            data = json.loads((home / name).read_text("utf-8"))
            teacher, tokenizer = teacher_from_json(data["teacher"], rule), Tokenizer.from_json(data["tokenizer"])
            surveys = map(Survey.from_json, data["surveys"])
            reader.surveys, reader.segmentation = dict(zip(files, surveys, strict=True)), tokenizer.segmentation
            if isinstance(teacher, AlignmentTeacher) and any(one.odd for one in reader.surveys.values()):
                reader.alignment = teacher.alignment
            return teacher, tokenizer
    teacher, tokenizer = fit(files, rule, use_cursor, on_progress, reader)
    surveyed = [reader.surveys[path].to_json() for path in files]
    found = {"teacher": teacher.to_json(), "tokenizer": tokenizer.to_json(), "surveys": surveyed}
    for home in filter(may_write, homes):
        with suppress(StorageError), atomic_files([home / name]) as [file]:
            file.write(json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            break
    return teacher, tokenizer


def _first_pairs(files: Sequence[Path], reader: Reader) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for path in files:
        for block in reader.blocks(path, Problems(path)):
            pairs += block.pairs()[:_FIRST_PAIRS]
            break
    return pairs[:_FIRST_PAIRS]


def _sample(path: Path, reader: Reader) -> list[tuple[str, str]]:
    """About 20,000 lines from all parts of a file, evenly spaced; all lines of a smaller file."""
    pairs: list[tuple[str, str]] = []
    every, lines = 1, 0
    for block in reader.blocks(path, Problems(path)):
        number = np.arange(lines, lines + len(block))
        pairs += block.select(number % every == 0).pairs()
        lines += len(block)
        while len(pairs) > 2 * _FIRST_PAIRS:
            pairs, every = pairs[::2], 2 * every
    return pairs


def _scan(
    files: Sequence[Path], vocabulary: "_Vocabulary", on_progress: Progress, reader: Reader
) -> list[tuple[str, str]]:
    """Add every line to `vocabulary`; returns the first lines that contradict its teacher, if any."""
    for path in files:
        problems, lines = Problems(path), 0
        on_bytes = byte_progress(f"scanning {path}", identity_of(path)[0], on_progress)
        for block in reader.blocks(path, problems, on_bytes, survey=True):
            lines += len(block)
            against = vocabulary.add(block, problems)
            if against:
                return against
        problems.raise_if_any()
        if not lines:
            raise problems.empty()
    return []


class _Vocabulary:
    """The input symbols and steps seen so far."""

    def __init__(self, teacher: Teacher, segmentation: Segmentation) -> None:
        self._teacher, self._batched, self._segmentation = teacher, BatchedTeacher(teacher), segmentation
        self._symbols: set[str] = set()
        self._steps: set[Step] = set()
        self._done: set[tuple[str, str]] = set()

    def tokenizer(self) -> Tokenizer:
        self._segmentation.growing = False
        samples = [("".join(self._symbols), list(self._steps))]
        return Tokenizer.fit(samples, start=self._teacher.start, segmentation=self._segmentation)

    def add(self, block: Block, problems: Problems) -> list[tuple[str, str]]:
        """Add the lines of `block`; returns up to 1,000 lines that contradict an alignment."""
        steps = self._batched.steps(block)
        if steps is not None:
            self._symbols.update(map(chr, distinct(block.inputs)))
            self._steps.update(map(steps.step, distinct(steps.numbers)))
        elif isinstance(self._teacher, AlignmentTeacher):
            alignment = self._teacher.alignment
            return [pair for pair in block.pairs() if not alignment.fits(*pair)][:_COUNTEREXAMPLES]
        else:
            self._add_one_by_one(block, problems)
        return []

    def _add_one_by_one(self, block: Block, problems: Problems) -> None:
        for number, pair in zip(block.number.tolist(), block.pairs(), strict=True):
            if pair in self._done:
                continue
            try:
                self._steps.update(self._teacher.steps(*pair))
            except InputError as error:
                problems.add(number, str(error))
                continue
            self._symbols.update(pair[0])
            if len(self._done) >= _REMEMBERED:
                self._done.clear()
            self._done.add(pair)
