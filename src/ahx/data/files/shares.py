"""Parts of a training file: a half of its lines, a quarter, and so on, each part holding the next smaller one."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ahx.data.files.read import TRAIN_SUFFIX, VAL_SUFFIX, resolve_infile
from ahx.errors import InputError
from ahx.files.atomic import atomic_files


def write_shares(infile: str, folder: Path, parts: Sequence[int]) -> tuple[dict[str, int], int]:
    """Write FOLDER/1of16_train.txt for the 16th part, with the validation file beside it, and so on.

    Which lines are taken depends on their number only. Returns the lines of each infile, the smallest part first, and
    those of the validation file. Raises InputError where there is no validation file, or hardly any line.
    """
    train, val = resolve_infile(infile)
    if val is None:
        raise InputError(f"{infile} has no file that ends in {VAL_SUFFIX}; `ahx gen-data` writes both")
    names = [f"1of{part}" for part in sorted(parts, reverse=True)]
    places = [folder / f"{name}{suffix}" for name in names for suffix in (TRAIN_SUFFIX, VAL_SUFFIX)]
    lines = dict.fromkeys((str(folder / name) for name in names), 0)
    validation = 0
    with atomic_files(places) as files, open(train, "rb") as source, open(val, "rb") as checked:
        for line in checked:
            validation += not line.startswith(b"#") and bool(line.strip())
            for file in files[1::2]:
                file.write(line)
        samples = (line for line in source if line.strip() and not line.startswith(b"#"))
        for number, line in enumerate(samples):
            draw = int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=4).digest())
            for name, part, file in zip(lines, sorted(parts, reverse=True), files[::2], strict=True):
                if draw % part == 0:
                    file.write(line)
                    lines[name] += 1
    if min(lines.values()) == 0:
        raise InputError(f"{train} has too few lines to take the {max(parts)}th part of them; make more data")
    return lines, validation
