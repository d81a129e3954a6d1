"""Two runs in one folder: the second is refused at once; a dead process holds no lock."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ahx.errors import StorageError
from ahx.training.lock import FolderLock

HOLDER = """
import sys, time
from pathlib import Path
from ahx.training.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_the_first_is_and_the_dead_hold_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = rf"{tmp_path} is .* by process {holder.pid} on \S+ since {time.localtime()[0]}-"
        with pytest.raises(StorageError, match=told):
            FolderLock(tmp_path).__enter__()
        holder.send_signal(signal.SIGKILL)
    with FolderLock(tmp_path), pytest.raises(StorageError, match=f"process {os.getpid()} on"):
        FolderLock(tmp_path).__enter__()
    with FolderLock(tmp_path):
        pass


def test_a_file_system_without_locks_is_said_once_and_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with FolderLock(tmp_path):
        pass
    assert capsys.readouterr().err == (
        f"ahx: note: the file system of {tmp_path} has no locks; let nothing else train into it\n"
    )
