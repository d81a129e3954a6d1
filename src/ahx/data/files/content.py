"""What a data file holds: a SHA-256 of its bytes, computed again whenever the file may have changed.

Size and modification time do not identify a file: another one can be moved into its place with both. The inode and the
time of its last change (ctime), which no program can set, tell the two apart. The file is read again unless all four
are as they were.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from ahx.data.files.cache_folder import cache_homes, may_write
from ahx.errors import StorageError
from ahx.safe_files.atomic import atomic_files, reason

_CONTENT = "content.json"

Identity = tuple[int, int, int, int]


def identity_of(path: Path) -> Identity:
    """Size, modification time, inode and time of the last change. Raises StorageError when there is no such file."""
    try:
        stat = path.stat()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}; check the path, or run `ahx gen-data`") from None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns


def content_of(path: Path, cache_dir: str | os.PathLike[str] | None = None, keep: bool = True) -> str:
    """The SHA-256 of `path`, in hexadecimal digits; with `keep` it is stored in the cache. Raises StorageError."""
    now = identity_of(path)
    homes = cache_homes(path, cache_dir)
    for home in homes:
        with suppress(OSError, ValueError, LookupError, TypeError):  # any fault in the cache: read the file
            known = json.loads((home / _CONTENT).read_text("utf-8"))
            if tuple(known["identity"]) == now:
                return str(known["sha256"])
    try:
        with open(path, "rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}; check its permissions") from None
    text = json.dumps({"identity": now, "sha256": digest}).encode()
    for home in filter(may_write, homes if keep else ()):
        with suppress(StorageError), atomic_files([home / _CONTENT]) as [out]:
            out.write(text)
            break
    return digest
