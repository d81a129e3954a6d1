"""The folder in which a server's jobs have their files. What a server that was killed has left, goes with the next."""

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
    """A new folder, which is its owner's as long as the process lives."""

    def __init__(self) -> None:
        _remove_left()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _remove_left() -> None:
    """Remove the folders of this user's servers that are gone, after what still runs in them."""
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
    """SIGKILL to programs whose environment says that they are jobs of the folder's; Linux tells. Their guards end them
    as well, but theirs is a grace period, and they may have been killed themselves."""
    base = os.fsencode(f"{BASE_VARIABLE}={folder}/")
    for process in Path("/proc").glob("[1-9]*"):
        with suppress(OSError):
            if any(variable.startswith(base) for variable in (process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)
