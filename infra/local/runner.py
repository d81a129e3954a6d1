"""Run one training job on this machine, from its /opt/ml tree: as a process, or as a container of the image.

    job = ContainerRunner("ahx-transformer:dev").start(tree)
    for line in job.lines(): ...
    code = job.wait()

What a job prints goes to a file beside the tree, so that a slow reader never holds it up. A job whose starter dies, by
kill -9 say, notices the end of its standard input, keeps a checkpoint and the model so far, and ends.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ahx.errors import ServiceError
from ahx.training.opt_ml import BASE_VARIABLE, STOP_AT_EOF, OptMl

IMAGE = "ahx-transformer:dev"
#: Every container that is started here carries this label; its value is the process that started it.
LABEL = "ahx.local"
GRACE_SECONDS = 120.0  # what SageMaker gives between SIGTERM and SIGKILL
_POLL_SECONDS = 0.05


class Job(Protocol):
    """A job that has been started."""

    tree: OptMl

    def lines(self) -> Iterator[str]:
        """What it has printed, and prints until it ends, on both its outputs; every call begins at the first line."""

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Ask it to stop (SIGTERM), kill it after `grace_seconds`, and return its exit code."""

    def kill(self) -> int:
        """Kill it (SIGKILL) and return its exit code."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended: 128 + n after signal n. Raises TimeoutError."""

    @property
    def is_running(self) -> bool: ...


class Runner(Protocol):
    """A way to run jobs."""

    def start(self, tree: OptMl, environment: Mapping[str, str] | None = None) -> Job:
        """Start the job in `tree`, with more environment variables. Raises ServiceError."""


@dataclass(frozen=True)
class ProcessRunner:
    """Jobs as processes of this machine, each in a process group of its own, with this Python."""

    program: Sequence[str] = (sys.executable, "-m", "entrypoints.container")  # what the image's `train` runs

    def start(self, tree: OptMl, environment: Mapping[str, str] | None = None) -> "ProcessJob":
        # Settings of a job that this process itself may be (SM_*) are none of its children's.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SM_", "SAGEMAKER_"))}
        settings = {"PYTHONUNBUFFERED": "1", BASE_VARIABLE: str(tree.base), STOP_AT_EOF: "1"}
        return ProcessJob(tree, spawn(self.program, inherited | settings | dict(environment or {}), tree))


@dataclass(frozen=True)
class ContainerRunner:
    """Jobs as containers, through the `docker` command."""

    image: str = IMAGE
    network: str | None = None  # Docker's name of a network, "host" or "none"; None is Docker's default
    memory: str | None = None  # as docker run --memory takes it: 2g
    options: Sequence[str] = ()  # further options of docker run
    program: Sequence[str] = ("train",)  # what follows the image's name
    labels: Mapping[str, str] = field(default_factory=dict)

    def start(
        self, tree: OptMl, environment: Mapping[str, str] | None = None, *, name: str | None = None
    ) -> "ContainerJob":
        """Start a container, called `name` or by a unique name; it is removed when it ends."""
        name = name or f"ahx-{secrets.token_hex(6)}"
        given = {STOP_AT_EOF: "1", **(environment or {})}
        command = self.command(docker_command(), tree, given, name)
        return ContainerJob(tree, spawn(command, {**os.environ, **given}, tree), name)

    def command(self, program: str, tree: OptMl, environment: Mapping[str, str], name: str) -> list[str]:
        """The whole `docker run` command. Variables are named there; their values go through the environment."""
        host = _current_host(tree)
        command = [program, "run", "--rm", "--interactive", "--name", name, "--hostname", host]
        for label, value in {LABEL: str(os.getpid()), **self.labels}.items():
            command += ["--label", f"{label}={value}"]
        command += ["--user", f"{os.getuid()}:{os.getgid()}"]  # so that what it writes belongs to who started it
        if self.network:
            command += ["--network", self.network]
            if self.network not in ("host", "none", "bridge", "default"):
                command += ["--network-alias", host]
        if self.memory:
            command += ["--memory", self.memory, "--memory-swap", self.memory]
        for variable in environment:
            command += ["--env", variable]
        for place, inside, mode in _mounts(tree):
            command += ["--mount", f'type=bind,"source={place}","target={inside}"{mode}']
        return [*command, *self.options, self.image, *self.program]


def docker_command() -> str:
    """The `docker` command. Raises ServiceError when there is none."""
    found = shutil.which("docker")
    if found is None:
        raise ServiceError("there is no docker command here; install Docker, or run the job as a process")
    return found


def check_image(image: str) -> None:
    """Raises ServiceError when no engine answers, or the image is not there."""
    asked = docker("version", "--format", "{{.Server.Version}}")
    if asked.returncode:
        told = (asked.stderr.strip().splitlines() or ["it did not say why"])[-1]
        raise ServiceError(f"no Docker engine answers ({told}); start it, or run the job as a process")
    if docker("image", "inspect", image).returncode:
        raise ServiceError(f"there is no image {image} here; build it with `make image`, or pull it (docker pull)")


def leftovers() -> dict[str, int]:
    """Containers of jobs whose starter is gone: their names, and the process that started each."""
    listed = docker("ps", "--all", "--filter", f"label={LABEL}", "--format", '{{.Names}} {{.Label "' + LABEL + '"}}')
    pairs = (line.split() for line in listed.stdout.splitlines())
    return {name: int(owner) for name, owner in pairs if owner.isdigit() and not os.path.exists(f"/proc/{owner}")}


class StartedJob:
    """What both kinds of job share: a child process that writes to a file."""

    def __init__(self, tree: OptMl, process: "subprocess.Popen[bytes]") -> None:
        self.tree, self._process = tree, process

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

    def _terminate(self, grace_seconds: float) -> None:
        raise NotImplementedError

    def _kill(self) -> None:
        raise NotImplementedError


class ProcessJob(StartedJob):
    """A job that is a process."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def _terminate(self, grace_seconds: float) -> None:
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class ContainerJob(StartedJob):
    """A job that is a container. Its process here is `docker run`, which ends when the container does."""

    def __init__(self, tree: OptMl, process: "subprocess.Popen[bytes]", name: str) -> None:
        super().__init__(tree, process)
        self.name = name

    def _terminate(self, grace_seconds: float) -> None:
        self._tell("stop", "--time", str(round(grace_seconds)))

    def _kill(self) -> None:
        self._tell("kill")

    def _tell(self, *command: str) -> None:
        """`docker COMMAND NAME`; tried again while the container is not there yet."""
        while self.is_running:
            if docker(*command, self.name).returncode == 0:
                return
            time.sleep(_POLL_SECONDS)


def log_file(tree: OptMl) -> Path:
    """What the tree's job has printed."""
    return tree.base / "log.txt"


def spawn(command: Sequence[str], environment: Mapping[str, str], tree: OptMl) -> "subprocess.Popen[bytes]":
    """Start a job's program in a process group of its own, with its output in the log file."""
    try:
        with open(log_file(tree), "wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
            )
    except OSError as error:
        raise ServiceError(f"cannot start the job: {error.strerror or error}") from error


def docker(*words: str) -> "subprocess.CompletedProcess[str]":
    """Call `docker WORDS`; the outcome is the caller's to judge. Raises ServiceError when there is no such command."""
    command = [docker_command(), *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def _mounts(tree: OptMl) -> Iterator[tuple[Path, Path, str]]:
    """Folders of the tree, where each belongs in the container, and what limits its use."""
    inside = OptMl()
    yield tree.config, inside.config, ",readonly"
    for channel in sorted(tree.channels.iterdir()):
        yield channel.resolve(), inside.channel(channel.name), ",readonly"
    yield tree.model, inside.model, ""
    yield tree.output, inside.output, ""
    yield tree.checkpoints, inside.checkpoints, ""


def _current_host(tree: OptMl) -> str:
    return str(json.loads(tree.resource_config.read_text("utf-8"))["current_host"])
