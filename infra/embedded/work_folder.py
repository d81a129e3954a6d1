"""The temporary folder of a server and its jobs. A later server removes the folder of one that was killed."""

import fcntl
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from opt_ml.paths import BASE_VARIABLE

_PREFIX, _LOCK = "ahx-aws-", ".server"


class WorkFolder:
    """A new folder, locked as long as the process lives."""

    def __init__(self) -> None:
        _remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _remove_abandoned() -> None:
    """End what still runs in the folders of this user's dead servers, and remove them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end_processes(folder)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _end_processes(folder: Path) -> None:
    """SIGKILL to the job programs of a folder, found by their environment (Linux only).

    Their guards end them too, but only after a grace period, and unless the guards were killed themselves.
    """
    base = os.fsencode(f"{BASE_VARIABLE}={folder}/")
    for process in Path("/proc").glob("[1-9]*"):
        with suppress(OSError):
            if any(variable.startswith(base) for variable in (process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)
