"""Checks and reads data files."""

import os
from collections.abc import Iterator
from pathlib import Path

from ahx.data.files.block import Problems
from ahx.data.files.reader import Reader


def check(path: str | os.PathLike[str], reader: Reader | None = None) -> int:
    """The number of data lines in `path`, all of them well formed.

    Raises InputError that names every malformed line (the first 20 in full), or says that the file has no data lines;
    StorageError when the file cannot be read.
    """
    problems = Problems(Path(path))
    lines = sum(len(block) for block in (reader or Reader()).texts(Path(path), problems))
    problems.raise_if_any()
    if not lines:
        raise problems.empty()
    return lines


def read_pairs(path: str | os.PathLike[str], reader: Reader | None = None) -> Iterator[tuple[str, str]]:
    """The (input, output) pairs of `path` as text, a block of lines at a time.

    Raises InputError and StorageError as `check` does; malformed lines only once one has been read.
    """
    problems, empty, reader = Problems(Path(path)), True, reader or Reader()
    for block in reader.texts(Path(path), problems):
        if problems.count:
            check(path, reader)  # names the malformed lines of the whole file
        empty = empty and not len(block)
        yield from block.pairs()
    if empty or problems.count:
        check(path, reader)
