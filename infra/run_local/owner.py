"""Whose a thing is that outlives a process, such as a container: told in its label, and judged at a later start."""

import os
import socket
from contextlib import suppress
from pathlib import Path


def name() -> str:
    """This process, as no other is ever called: its number, when it started, and the machine that numbers it."""
    return f"{os.getpid()} {_start(os.getpid())} {_machine()}"


def is_gone(owner: str) -> bool:
    """Whether the process called so has ended. What another machine numbers (an engine may serve several, and
    containers) and what is no such name is never gone."""
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
    return _start(int(pid)) not in (start, "")  # else another process has got the number since


def _start(pid: int) -> str:
    """In ticks since this machine started; "" where the system does not tell (it is Linux that does)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return ""


def _machine() -> str:
    numbers = ""
    with suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {numbers}".strip()
