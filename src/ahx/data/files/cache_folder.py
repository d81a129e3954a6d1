"""The folders that hold the caches of a data file, and their names."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

CACHE_VERSION = 5  # increase it when the same file and settings would give other rows
CACHE_SUFFIX = ".ahxcache"


def cache_homes(path: Path, cache_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """Folders that may hold the caches of `path`, the preferred one first.

    A folder beside the file, then one in $XDG_CACHE_HOME/ahx (or ~/.cache/ahx) for files in read-only places; or only
    one in `cache_dir` when that is given.
    """
    path = path.resolve()
    elsewhere = f"{path.name}-{fingerprint(str(path))}{CACHE_SUFFIX}"
    if cache_dir is not None:
        return [Path(cache_dir) / elsewhere]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [path.with_name(path.name + CACHE_SUFFIX), Path(base) / "ahx" / elsewhere]


def may_write(home: Path) -> bool:
    """Whether `home`, or the first folder above it that exists, may be written.

    The superuser can write everywhere; here a folder without any write permission is read-only to them as well.
    """
    folder = next((folder for folder in (home, *home.parents) if os.path.exists(folder)), home)
    return folder.is_dir() and bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)


def fingerprint(data: Any) -> str:
    """16 hexadecimal digits that identify JSON data."""
    text = json.dumps(data, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
