"""The state folder: one owner, one server at a time."""

import fcntl
import os
import re
import stat
from pathlib import Path

from ahx.errors import StorageError

_OURS = re.compile(r"lock|lost\+found|objects|registry|(snapshot|journal)-\d+(\.draft|\.unrepeated)?")


def take(folder: Path) -> int:
    """Restrict the folder to this user and this server. Returns the lock, a file descriptor. Raises StorageError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise StorageError(f"{folder} belongs to somebody else; choose another folder")
        held = {one.name for one in folder.iterdir()}
        if "sagemaker.json" in held or any(name.endswith(".pickle") for name in held):
            raise StorageError(
                f"{folder} was kept by an older version, whose pickles are not signed and are not loaded; "
                "copy what you need out of it with that version, and choose another folder"
            )
        if strange := sorted(name for name in held if not _OURS.fullmatch(name)):
            raise StorageError(f"{folder} holds something else ({strange[0]}); choose a new or empty folder")
        os.chmod(folder, stat.S_IRWXU)
        (folder / "objects").mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot keep state in {folder}: {(error.strerror or str(error)).lower()}; choose another folder"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StorageError(f"{folder} is in use by another `ahx aws`; stop that, or choose another folder") from None
    return lock
