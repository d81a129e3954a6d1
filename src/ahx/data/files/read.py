"""Checks and reads data files, and finds the validation file of a training file."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ahx.data.files.blocks import Block, Problems, read_blocks
from ahx.data.split import Hashes, hash_strings
from ahx.errors import InputError, StorageError

TRAIN_SUFFIX, VAL_SUFFIX = "_train.txt", "_val.txt"


def check(path: str | os.PathLike[str]) -> int:
    """The number of data lines in `path`, all of them well formed.

    Raises InputError that names every malformed line (the first 20 in full), or says that the file has no data lines;
    StorageError when the file cannot be read.
    """
    problems = Problems(Path(path))
    lines = sum(len(block) for block in read_blocks(path, problems))
    problems.raise_if_any()
    if not lines:
        raise InputError(f"{path} has no data lines; give a file with one input,output per line")
    return lines


def read_pairs(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """The (input, output) pairs of `path`, a block of lines at a time.

    Raises InputError and StorageError as `check` does; malformed lines only once one has been read.
    """
    problems, empty = Problems(Path(path)), True
    for block in read_blocks(path, problems):
        if problems.count:
            check(path)  # names the malformed lines of the whole file
        empty = empty and not len(block)
        yield from block.pairs()
    if empty or problems.count:
        check(path)


def resolve_infile(infile: str | os.PathLike[str]) -> tuple[Path, Path | None]:
    """The training file that `infile` stands for, and its validation file.

    `data/da` stands for data/da_train.txt and data/da_val.txt; so does data/da_train.txt. Any other existing file
    stands for itself, with no validation file. Raises StorageError when there is nothing to train on.
    """
    path = Path(infile)
    if path.is_file():
        if not path.name.endswith(TRAIN_SUFFIX):
            return path, None
        train = path
    else:
        train = path.with_name(path.name + TRAIN_SUFFIX) if path.name else path / TRAIN_SUFFIX
        if not train.is_file():
            raise StorageError(
                f"there is no {train} and no file {infile}; make them with `ahx gen-data`, or check the path"
            )
    val = train.with_name(train.name.removesuffix(TRAIN_SUFFIX) + VAL_SUFFIX)
    return train, val if val.is_file() else None


def hash_inputs(block: Block) -> Hashes:
    """A hash of every input of `block`."""
    return hash_strings(block.inputs, block.input_lengths)


def leak(train_path: str | os.PathLike[str], val_path: str | os.PathLike[str]) -> float:
    """The share of validation lines, 0 to 1, whose input also occurs in training.

    Takes 8 bytes of memory per validation line, and reads the training file once.
    """
    problems = Problems(Path(val_path))
    hashes = [hash_inputs(block) for block in read_blocks(val_path, problems)]
    inputs = np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)
    distinct, lines = np.unique(inputs, return_counts=True)
    if not len(distinct):
        return 0.0
    seen = np.zeros(len(distinct), dtype=np.bool_)
    for block in read_blocks(train_path, Problems(Path(train_path))):
        found = hash_inputs(block)
        at = np.minimum(np.searchsorted(distinct, found), len(distinct) - 1)
        seen[at[distinct[at] == found]] = True
    return float(lines[seen].sum() / lines.sum())
