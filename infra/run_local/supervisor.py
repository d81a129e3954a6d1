"""Runs a program and ends with it; when the process that started this one dies, by kill -9 too, it ends the program.

    python -I -S supervisor.py FD <ORDER

The first line of standard input is the order, as JSON (see `job.spawn`). Standard input stays open as long as the
starter lives. At its end the program gets SIGTERM and, after a grace period, SIGKILL, with all processes that it has
started; a command of the order then ends what is not a child of this process, such as a container. SIGTERM is passed
on; SIGQUIT kills at once. If the program cannot be started, the reason is written to FD.

One of these runs beside every job, so it imports nothing but Python's own library.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress

VARIABLES = "{variables}"  # in a command: a file with the order's variables, as `docker run --env-file` reads them

_PDEATHSIG, _SUBREAPER = 1, 36  # prctl(2)
_ENGINE = 60  # seconds that a command of the order may take


def main() -> int:
    """The exit code of the program: 128 + n after signal n."""
    report = int(sys.argv[1])
    order = json.loads(sys.stdin.buffer.readline())
    _prctl(_SUBREAPER, 1)  # processes that the program leaves behind become children of this one
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    with tempfile.TemporaryFile() as variables:
        variables.write("".join(f"{name}={value}\n" for name, value in order["variables"].items()).encode())
        variables.seek(0)
        file = variables.fileno()
        try:
            child = subprocess.Popen(
                [word.replace(VARIABLES, f"/dev/fd/{file}") for word in order["command"]],
                stdin=subprocess.PIPE,
                env=order["environment"],
                process_group=0,
                pass_fds=(file,) if order["variables"] else (),
                preexec_fn=_end_with_this,
            )
        except (OSError, ValueError) as error:
            os.write(report, (getattr(error, "strerror", None) or str(error)).encode())
            return 127
    os.close(report)
    code = _watch(child, awake, order["grace"], order["listens"])
    _end_all(child)
    if code < 0 and order["end"]:  # by a signal, as `docker run` does not end while its container goes on
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(order["end"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_ENGINE)
    return code if code >= 0 else 128 - code


def _watch(child: "subprocess.Popen[bytes]", awake: int, grace: float, listens: bool) -> int:
    """Wait for the program's end, or end it. One that `listens` to its standard input may end by itself first."""
    assert child.stdin
    waits: list[int] = [awake, sys.stdin.fileno()]
    timeout = None
    while (code := child.poll()) is None:
        ready, _, _ = select.select(waits, [], [], timeout)
        got = os.read(awake, 4096) if awake in ready else b""
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            waits.remove(sys.stdin.fileno())
            timeout = grace
            child.stdin.close()  # our programs treat that as SIGTERM
            got += b"" if listens else bytes([signal.SIGTERM])
        if signal.SIGQUIT in got or (timeout is not None and not ready):
            _end_all(child)
            return child.wait()
        for pid in set(_children()) - {child.pid}:  # left behind by the program, and ended since
            with suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number in got:
                child.send_signal(signal.SIGTERM)
                break
    return code


def _end_all(child: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the program's process group, and to all other processes that it has started."""
    with suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    while left := _children():
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with suppress(OSError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """On Linux; none elsewhere."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _end_with_this() -> None:
    _prctl(_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere only the program's process group is ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
