"""Reads files of untrusted folders: only regular files, and JSON only up to a size."""

import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

#: Bytes of a JSON file. The largest that this project writes, with 65,536 tokens, has less than half of them.
MOST_JSON = 8 << 20


def open_file(path: Path) -> BinaryIO:
    """Open a regular file. Raises OSError for a missing file, and for a device or a pipe, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return os.fdopen(descriptor, "rb")


def no_link(name: str, flags: int) -> int:
    """An `opener` for files that a job's program may have replaced: it follows no link and waits for no pipe."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def sha256(path: Path) -> str:
    """The SHA-256 of a file. Raises OSError."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has `readinto`


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises OSError, and ValueError for anything else, or a repeated name."""
    with open_file(path) as file:
        text = file.read(MOST_JSON + 1)
    if len(text) > MOST_JSON:
        raise ValueError(f"it has more than {MOST_JSON:,} bytes")
    try:
        data = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    return data


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)[:40]!r} twice")
    return found
