"""Files that are either complete or absent."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from ahx.errors import StorageError


def reason(error: OSError) -> str:
    """The system's message in lower case: "no space left on device"."""
    return (error.strerror or str(error)).lower()


@contextmanager
def atomic_files(paths: Sequence[Path]) -> Iterator[list[IO[bytes]]]:
    """Open a temporary file beside each path; move them into place when the block succeeds, delete them otherwise.

    Nothing is moved before everything is on disk, so a full disk leaves the old files as they were. Missing folders
    are made. Raises StorageError when a folder cannot be written or the disk is full.
    """
    temporary: list[str] = []
    try:
        with ExitStack() as opened:
            handles: list[IO[bytes]] = []
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
                temporary.append(name)
                handles.append(opened.enter_context(os.fdopen(descriptor, "wb")))
            yield handles
            for handle in handles:
                handle.flush()
                os.fsync(handle.fileno())
        for name, path in zip(temporary, paths, strict=True):
            os.chmod(name, 0o666 & ~_umask())  # mkstemp gives 0600
            os.replace(name, path)
        for folder in {path.parent for path in paths}:
            sync(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write {paths[0]}: {reason(error)}; free some space or choose another place"
        ) from error
    finally:
        for name in temporary:
            with suppress(OSError):
                os.unlink(name)


def sync(path: Path) -> None:
    """fsync a file, or the entries of a folder, where the system supports it."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
