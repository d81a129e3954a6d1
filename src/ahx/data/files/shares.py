"""Parts of a training file: a half of its lines, a quarter, and so on, each part holding the next smaller one."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from ahx.data.files.names import TRAIN_SUFFIX, VAL_SUFFIX, resolve_infile, set_name, shown, stem
from ahx.data.files.read import read_pairs
from ahx.data.files.reader import Reader
from ahx.errors import InputError
from ahx.safe_files.atomic import atomic_files


def write_shares(
    infile: str, folder: Path, parts: Sequence[int], reader: Reader | None = None
) -> tuple[dict[str, int], int]:
    """Write FOLDER/1of16_train.txt for the 16th part, with the validation file beside it, and so on.

    Which lines are taken depends on their number only; other formats than input,output become JSONL. Returns the lines
    of each infile, the smallest part first, and those for validation. Raises InputError where there is no validation
    file, or hardly any line.
    """
    train, val, _ = resolve_infile(infile)
    if not val:
        name, ending = set_name(train[0]), train[0].name.removeprefix(stem(train[0]))
        raise InputError(
            f"{infile} has no file that ends in _val{ending}; name the two {name}_train{ending} and {name}_val{ending}"
        )
    names = [f"1of{part}" for part in sorted(parts, reverse=True)]
    places = [folder / f"{name}{suffix}" for name in names for suffix in (TRAIN_SUFFIX, VAL_SUFFIX)]
    lines = dict.fromkeys((str(folder / name) for name in names), 0)
    validation = 0
    reader = reader or Reader()
    plain = all(reader.format_of(path).kind == "plain" for path in (*train, *val))

    def samples(paths: Sequence[Path]) -> Iterator[bytes]:
        for pair in chain.from_iterable(read_pairs(path, reader) for path in paths):
            line = ",".join(pair) if plain else json.dumps(dict(zip(("input", "output"), pair, strict=True)))
            yield line.encode() + b"\n"

    with atomic_files(places) as files:
        for line in samples(val):
            validation += 1
            for file in files[1::2]:
                file.write(line)
        for number, line in enumerate(samples(train)):
            draw = int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=4).digest())
            for name, part, file in zip(lines, sorted(parts, reverse=True), files[::2], strict=True):
                if draw % part == 0:
                    file.write(line)
                    lines[name] += 1
    if min(lines.values()) == 0:
        raise InputError(f"{shown(train)} has too few lines to take the {max(parts)}th part of them; make more data")
    return lines, validation
