"""Which files a name stands for: a pair such as da_train.txt and da_val.txt, one file, a folder or glob of parts."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ahx.data.source import DataFiles
from ahx.errors import InputError, StorageError

TRAIN_SUFFIX, VAL_SUFFIX = "_train.txt", "_val.txt"
_ENDINGS = ("txt", "csv", "tsv", "tab", "jsonl", "ndjson", "json")
_MARK = re.compile(r"(?:^|(?<=[_.\- ]))(train|training|val|valid|validation|dev|test)(?=[_.\- ]|$)", re.IGNORECASE)
_NUMBER = re.compile(r"[_.\-]*(?:part)?[_.\-]*\d+(?:[_.\-]of[_.\-]\d+)?$")
_PART = {"train": "train", "training": "train", "test": "test"}  # all other marks are of validation


def shown(paths: Iterable[Path]) -> str:
    """The name of one file, or of some."""
    paths = list(paths)
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def refuse_pipe(path: Path) -> None:
    """Raises StorageError for a pipe or a device. What must be read twice, to find out its format, cannot be one."""
    if os.path.exists(path) and not path.is_file() and not path.is_dir():  # false too for a name that is too long
        raise StorageError(f"{path} is not a regular file, so it can be read only once; write it to a file first")


def resolve_infile(infile: str | os.PathLike[str]) -> DataFiles:
    """The files that `infile` stands for.

    `data/da` stands for data/da_train.txt and data/da_val.txt; so does data/da_train.txt. The endings .csv, .tsv and
    .jsonl, with .gz behind them, are as good. A pattern such as data/part-*.csv stands for its files, a folder for
    those with such an ending, or for all if none has one: files with `val` or `test` in their names are not for
    training. Any other file stands for itself. Raises InputError for the files of several data sets, and StorageError
    when there is nothing to train on.
    """
    path, text = Path(infile), os.fspath(infile)
    if path.is_file():
        return _with_siblings(path)
    if path.is_dir() and path.name:
        return _one_set(text, data_sets(likely(list(filter(_is_data, path.iterdir())))))
    if glob.has_magic(text):
        return _one_set(text, data_sets(filter(_is_data, map(Path, glob.glob(text)))))
    train = path.with_name(path.name + TRAIN_SUFFIX) if path.name else path / TRAIN_SUFFIX
    if train.is_file():
        return _with_siblings(train)
    if path.name and path.parent.is_dir():
        named = [one for one in path.parent.iterdir() if _is_data(one) and set_name(one) == path.name]
        if own := data_sets(named):
            return _one_set(text, own)
    refuse_pipe(path)
    if stem(path) != path.name:
        raise StorageError(f"there is no file {infile}; check the path")
    raise StorageError(f"there is no {train} and no file {infile}; make them with `ahx gen-data`, or check the path")


def _is_data(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def likely(files: list[Path]) -> list[Path]:
    """Those of the files in a folder that have an ending of data files; all if none has one."""
    return [path for path in files if stem(path) != path.name.removesuffix(".gz")] or files


def data_sets(paths: Iterable[Path]) -> dict[str, DataFiles]:
    """Files by data set and purpose: the name without its ending, its numbers, and train, val or test."""
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(paths):
        mark = _MARK.search(stem(path))
        part = _PART.get(mark[1].lower(), "val") if mark else "train"
        found.setdefault(set_name(path), {}).setdefault(part, []).append(path)
    return {
        name: DataFiles(*(tuple(own.get(part, ())) for part in ("train", "val", "test"))) for name, own in found.items()
    }


def set_name(path: Path) -> str:
    """The name of the data set that a file belongs to: da for da_train.txt, da_val.csv.gz and da-00001-of-00010.tsv."""
    name = _NUMBER.sub("", _MARK.sub("", stem(path)))
    return re.sub(r"([_.\-])[_.\-]+", r"\1", name).strip("_.- ")


def stem(path: Path) -> str:
    """The name of a data file without its endings."""
    name = path.name.removesuffix(".gz")
    head, _, ending = name.rpartition(".")
    return head if head and ending.lower() in _ENDINGS else name


def _with_siblings(path: Path) -> DataFiles:
    """A file, and those beside it whose names differ in the word train alone."""
    mark = _MARK.search(stem(path))
    if mark is None or _PART.get(mark[1].lower()) != "train":
        return DataFiles((path,))
    own = data_sets(one for one in path.parent.iterdir() if _is_data(one) and _unmarked(one) == _unmarked(path))
    return DataFiles((path,), *own[set_name(path)][1:])


def _unmarked(path: Path) -> tuple[str, str]:
    """What a name says before and after train, val or test."""
    mark = _MARK.search(stem(path))
    name = path.name.removesuffix(".gz")
    return (name[: mark.start()], name[mark.end() :]) if mark else (name, "")


def _one_set(infile: str, sets: dict[str, DataFiles]) -> DataFiles:
    if not any(own.train for own in sets.values()):
        raise StorageError(f"{infile} has no data files to train on; give a folder or a pattern that has")
    if len(sets) > 1:
        names = ", ".join(sorted(name or "(no name)" for name in sets)[:5])
        raise InputError(f"{infile} has the files of {len(sets)} data sets ({names}); name one of them")
    files = next(iter(sets.values()))
    if len(endings := {path.name.removeprefix(stem(path)).removesuffix(".gz"): path.name for path in files.train}) > 1:
        raise InputError(f"{infile} has {' and '.join(sorted(endings.values()))}; name the one to train on")
    return files
