"""A lock that allows one training run at a time in a folder, and ends with the process that holds it."""

import errno
import fcntl
import json
import os
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ahx.errors import StorageError

NAME = ".training.lock"
# Errors of file systems without locks.
_WITHOUT = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


class FolderLock:
    """While active, no other process on any machine that shares `folder`, and no other container, trains into it.

    The file names the holder: process, host and start. It remains when the lock is released.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file = -1

    def check(self) -> None:
        """Raises StorageError if another run holds it; a check before torch is imported, which takes seconds."""
        if self.path.exists():
            with self:
                pass

    def __enter__(self) -> Self:
        """Raises StorageError if the folder is locked, or cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StorageError(f"cannot write to {self.path.parent}: {reason}; choose another place") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder()
            self._close()
            raise StorageError(
                f"{self.path.parent} is being trained into by {holder}; wait for it, stop it, or choose another place"
            ) from None
        except OSError as error:
            self._close()
            if error.errno not in _WITHOUT:
                raise StorageError(f"cannot lock {self.path}: {(error.strerror or str(error)).lower()}") from error
            print(
                f"ahx: note: the file system of {self.path.parent} has no locks; let nothing else train into it",
                file=sys.stderr,
            )
            return self
        self._sign()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _sign(self) -> None:
        me = {"pid": os.getpid(), "host": socket.gethostname(), "start": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(me).encode() + b"\n", 0)
        except OSError as error:
            self._close()
            raise StorageError(f"cannot write {self.path}: {(error.strerror or str(error)).lower()}") from error

    def _holder(self) -> str:
        try:
            holder = json.loads(os.pread(self._file, 4096, 0))
            return f"process {holder['pid']} on {holder['host']} since {holder['start']}"
        except (OSError, ValueError, LookupError, TypeError):  # the holder has not written its name yet
            return "another process"

    def _close(self) -> None:
        """Closing the file releases the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
