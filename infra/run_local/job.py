"""Jobs that run on this machine: a child process each, whose output goes to a file beside the tree."""

import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ahx.errors import ServiceError
from infra.run_local import supervisor
from infra.run_local.docker import docker
from opt_ml.paths import OptMl

GRACE_SECONDS = 120.0  # what SageMaker gives between SIGTERM and SIGKILL
_ORPHAN_SECONDS = 10.0  # the same, for a job whose starter has died
_POLL_SECONDS = 0.05


class Job(Protocol):
    """A running or ended job."""

    tree: OptMl

    def lines(self) -> Iterator[str]:
        """What it prints on both its outputs, until it ends; every call begins at the first line."""

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Ask it to stop (SIGTERM), kill it after `grace_seconds`, and return its exit code."""

    def kill(self) -> int:
        """Kill it (SIGKILL) and return its exit code."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended: 128 + n after signal n. Raises TimeoutError."""

    @property
    def is_running(self) -> bool: ...


class StartedJob(ABC):
    """What both kinds of job share: a child process (supervisor.py) that runs the program, and its output in a file."""

    def __init__(self, tree: OptMl, process: "subprocess.Popen[bytes]") -> None:
        self.tree, self._process = tree, process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def lines(self) -> Iterator[str]:
        with open(log_file(self.tree), "rb") as file:
            pending = b""
            while True:
                ended = not self.is_running
                pending += file.read()
                *whole, pending = pending.split(b"\n")
                for line in whole:
                    yield line.decode("utf-8", errors="replace")
                if ended:
                    break
                if not whole:
                    time.sleep(_POLL_SECONDS)
            if pending:
                yield pending.decode("utf-8", errors="replace")

    def wait(self, timeout: float | None = None) -> int:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the job has not ended within {timeout:g} seconds") from None
        if self._process.stdin:
            self._process.stdin.close()
        return code if code >= 0 else 128 - code

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> int:
        self._terminate(grace_seconds)
        with suppress(TimeoutError):
            return self.wait(grace_seconds)
        return self.kill()

    def kill(self) -> int:
        self._kill()
        return self.wait()

    @abstractmethod
    def _terminate(self, grace_seconds: float) -> None:
        """Ask it to stop, and return at once or when it has."""

    @abstractmethod
    def _kill(self) -> None:
        """Send it SIGKILL, or have that sent."""


class ProcessJob(StartedJob):
    """A job that is a process, with all that it starts."""

    def _terminate(self, grace_seconds: float) -> None:
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        self._process.send_signal(signal.SIGQUIT)


class ContainerJob(StartedJob):
    """A job that is a container. Its process here is `docker run`, which ends when the container does."""

    def __init__(self, tree: OptMl, process: "subprocess.Popen[bytes]", name: str) -> None:
        super().__init__(tree, process)
        self.name = name

    def containers(self) -> list[str]:
        """The names or ids of those that may exist."""
        return [self.name]

    def _terminate(self, grace_seconds: float) -> None:
        self._tell("stop", "--time", str(round(grace_seconds)))

    def _kill(self) -> None:
        self._tell("kill")

    def _tell(self, *command: str) -> None:
        """`docker COMMAND` to the container; repeated until it exists."""
        while self.is_running:
            if (found := self.containers()) and docker(*command, *found).returncode == 0:
                return
            time.sleep(_POLL_SECONDS)


def log_file(tree: OptMl) -> Path:
    """The file with what the tree's job has printed."""
    return tree.base / "log.txt"


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    tree: OptMl,
    *,
    end: Sequence[str] = (),
    grace_seconds: float = _ORPHAN_SECONDS,
    listens: bool = False,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a job's program under a supervisor, which ends it when this process dies; its output goes to the log file.

    The command `end` ends what is not a child of the program, such as a container. A program that `listens` to the end
    of its standard input gets no SIGTERM from the supervisor. `variables` come in a file, which the command names as
    `supervisor.VARIABLES`. Raises ServiceError where the program cannot be started.
    """
    order = {
        "command": list(command),
        "environment": dict(environment),
        "end": list(end),
        "grace": grace_seconds,
        "listens": listens,
        "variables": dict(variables or {}),
    }
    reason, report = os.pipe()
    try:
        with open(log_file(tree), "wb") as log, open(reason, "rb") as reason_file:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(supervisor.__file__), str(report)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(report,),
                )
            finally:
                os.close(report)
            assert process.stdin
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            if message := reason_file.read().decode("utf-8", "replace"):
                process.communicate()
                raise ServiceError(f"cannot start the job: {message}")
            return process
    except OSError as error:
        raise ServiceError(f"cannot start the job: {error.strerror or error}") from error
