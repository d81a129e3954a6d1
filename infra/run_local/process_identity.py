"""Identifies a process, also in the labels of its containers, and finds out whether it has ended."""

import os
import socket
from contextlib import suppress
from pathlib import Path


def name() -> str:
    """A name that no other process ever has: this one's number, its start, and the machine or container it runs on."""
    return f"{os.getpid()} {_start(os.getpid())} {_machine()}"


def has_ended(owner: str) -> bool:
    """Whether the process of this name has ended. False for processes of other machines and containers, which may share
    a Docker engine, and for anything that is not such a name."""
    pid, _, rest = owner.partition(" ")
    start, _, machine = rest.partition(" ")
    if not pid.isdecimal() or machine != _machine():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return _start(int(pid)) not in (start, "")  # another process has got the number since


def _start(pid: int) -> str:
    """In ticks since this machine started (Linux); "" elsewhere."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return ""


def _machine() -> str:
    numbers = ""
    with suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {numbers}".strip()
