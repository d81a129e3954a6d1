"""Fits a teacher and a tokenizer to data files, in one pass over all lines."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ahx.data.files.batched_teacher import BatchedTeacher
from ahx.data.files.blocks import Block, Problems, Progress, byte_progress, read_blocks
from ahx.data.files.cache_folder import CACHE_VERSION, cache_homes, fingerprint, may_write
from ahx.data.files.content import content_of, identity_of
from ahx.data.ragged import distinct
from ahx.data.teacher import AlignmentTeacher, PlainTeacher, Teacher, choose_teacher, teacher_from_json
from ahx.data.tokenizer import Tokenizer
from ahx.errors import AhxError, InputError, StorageError
from ahx.files.atomic import atomic_files
from ahx.rules.rule import Rule
from ahx.rules.transducer import Step

_FIRST_PAIRS = 20_000
_COUNTEREXAMPLES = 1_000
_ATTEMPTS = 8
_REMEMBERED = 100_000


def fit(
    paths: Sequence[str | os.PathLike[str]],
    rule: Rule | None,
    use_cursor: bool,
    on_progress: Progress = lambda what, done, total: None,
) -> tuple[Teacher, Tokenizer]:
    """A teacher that is right on every line of `paths`, and the tokenizer of their rows.

    An alignment is fitted to the first lines; when a later line contradicts it, it is fitted again with that line.
    Raises InputError that lists malformed lines, lines that contradict `rule`, or names a file without lines.
    """
    files = [Path(path) for path in paths]
    pairs = _first_pairs(files)
    for _ in range(_ATTEMPTS):
        teacher = choose_teacher(rule, pairs, use_cursor)
        vocabulary = _Vocabulary(teacher)
        against = _scan(files, vocabulary, on_progress)
        if not against:
            return teacher, vocabulary.tokenizer()
        pairs = against + pairs
    teacher = PlainTeacher()
    vocabulary = _Vocabulary(teacher)
    _scan(files, vocabulary, on_progress)
    return teacher, vocabulary.tokenizer()


def fit_once(
    paths: Sequence[str | os.PathLike[str]],
    rule: Rule | None,
    use_cursor: bool,
    cache_dir: str | os.PathLike[str] | None = None,
    on_progress: Progress = lambda what, done, total: None,
) -> tuple[Teacher, Tokenizer]:
    """`fit`, cached beside the first file: files of the same content are not read again."""
    asked = {
        "version": CACHE_VERSION,
        "files": [content_of(Path(path), cache_dir) for path in paths],
        "rule": None if rule is None else rule.spec,
        "use_cursor": use_cursor,
    }
    name = f"fit-{fingerprint(asked)}.json"
    homes = cache_homes(Path(paths[0]), cache_dir)
    for home in homes:
        with suppress(OSError, ValueError, LookupError, AhxError):  # any fault in the cache: fit again
            data = json.loads((home / name).read_text("utf-8"))
            return teacher_from_json(data["teacher"], rule), Tokenizer.from_json(data["tokenizer"])
    teacher, tokenizer = fit(paths, rule, use_cursor, on_progress)
    text = json.dumps({"teacher": teacher.to_json(), "tokenizer": tokenizer.to_json()}, ensure_ascii=False)
    for home in filter(may_write, homes):
        with suppress(StorageError), atomic_files([home / name]) as [file]:
            file.write(text.encode("utf-8"))
            break
    return teacher, tokenizer


def _first_pairs(files: Sequence[Path]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for path in files:
        for block in read_blocks(path, Problems(path)):
            pairs += block.pairs()[:_FIRST_PAIRS]
            break
    return pairs[:_FIRST_PAIRS]


def _scan(files: Sequence[Path], vocabulary: "_Vocabulary", on_progress: Progress) -> list[tuple[str, str]]:
    """Add every line to `vocabulary`; returns the first lines that contradict its teacher, if any."""
    for path in files:
        problems, lines = Problems(path), 0
        on_bytes = byte_progress(f"scanning {path}", identity_of(path)[0], on_progress)
        for block in read_blocks(path, problems, on_bytes):
            lines += len(block)
            against = vocabulary.add(block, problems)
            if against:
                return against
        problems.raise_if_any()
        if not lines:
            raise InputError(f"{path} has no data lines; give a file with one input,output per line")
    return []


class _Vocabulary:
    """The input symbols and steps seen so far."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher, self._batched = teacher, BatchedTeacher(teacher)
        self._symbols: set[str] = set()
        self._steps: set[Step] = set()
        self._done: set[tuple[str, str]] = set()

    def tokenizer(self) -> Tokenizer:
        return Tokenizer.fit([("".join(self._symbols), list(self._steps))], start=self._teacher.start)

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
