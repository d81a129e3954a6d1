"""Run one training job on this machine, from its /opt/ml tree: as a process, or as a container of the image.

    job = ContainerRunner("ahx-transformer:dev").start(tree)
    for line in job.lines(): ...
    code = job.wait()

What a job prints goes to a file beside the tree, so that a slow reader never delays it. A job whose starter dies, by
kill -9 too, notices the end of its standard input, keeps a checkpoint and the model so far, and ends.
"""

import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from infra.run_local.docker import docker, docker_command
from infra.run_local.job import ContainerJob, Job, ProcessJob, spawn
from infra.run_local.process_identity import has_ended
from infra.run_local.supervisor import VARIABLES
from opt_ml import config
from opt_ml.paths import BASE_VARIABLE, STOP_AT_EOF, OptMl

IMAGE = "ahx-transformer:dev"
#: Every container that is started here carries this label; its value is the process that started it.
LABEL = "ahx.local"
_LONGEST_LINE = (64 << 10) // 4 - 2  # characters, of up to four bytes, in a file of variables


class Runner(Protocol):
    """A way to run jobs."""

    def start(self, tree: OptMl, environment: Mapping[str, str] | None = None) -> Job:
        """Start the job in `tree`, with more environment variables. Raises ServiceError."""


@dataclass(frozen=True)
class ProcessRunner:
    """Jobs as processes of this machine, each in a process group of its own, with this Python."""

    program: Sequence[str] = (sys.executable, "-m", "entrypoints.container")  # what the image's `train` runs

    def start(self, tree: OptMl, environment: Mapping[str, str] | None = None) -> ProcessJob:
        # This process may be a job itself: its own settings (SM_*) are not for its children.
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
    own_inputs: bool = False  # the job may write to /opt/ml/input, as in SageMaker; it holds copies

    def start(
        self, tree: OptMl, environment: Mapping[str, str] | None = None, *, name: str | None = None
    ) -> ContainerJob:
        """Start a container, called `name` or by a unique name; it is removed when it ends."""
        name = name or f"ahx-{secrets.token_hex(6)}"
        given = {STOP_AT_EOF: "1", **(environment or {})}
        docker_, variables = docker_command(), {key: value for key, value in given.items() if _fits_file(key, value)}
        command = self.command(docker_, tree, given, name)
        process = spawn(command, os.environ, tree, end=[docker_, "rm", "--force", name], variables=variables)
        return ContainerJob(tree, process, name)

    def command(self, program: str, tree: OptMl, environment: Mapping[str, str], name: str) -> list[str]:
        """The whole `docker run` command. Variables come in a file, which other users of this machine do not see; those
        that do not fit into a line of it are arguments."""
        host = config.resources(tree.resource_config).current_host
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
        command += ["--env-file", VARIABLES]
        for variable, value in environment.items():
            if not _fits_file(variable, value):
                command += ["--env", f"{variable}={value}"]
        for place, inside, mode in _mounts(tree, self.own_inputs):
            command += ["--mount", f'type=bind,"source={place}","target={inside}"{mode}']
        return [*command, *self.options, self.image, *self.program]


def leftovers(label: str, *what: str) -> list[str]:
    """Containers or networks, as `docker WHAT` lists them, whose owners (by `label`) have ended."""
    form = '{{.ID}} {{.Label "' + label + '"}}'
    listed = docker(*what, "--filter", f"label={label}", "--format", form).stdout.splitlines()
    return [name for name, _, owner in (line.partition(" ") for line in listed) if has_ended(owner)]


def _fits_file(name: str, value: str) -> bool:
    """Whether `docker run --env-file` reads the variable as it is: a line of UTF-8, and of less than 64 KiB."""
    if len(name) + len(value) > _LONGEST_LINE:
        return False
    return bool(re.fullmatch(r"[^\s=#][^\s=]*", name)) and not re.search("[\r\n\ud800-\udfff]", value)


def _mounts(tree: OptMl, own_inputs: bool) -> Iterator[tuple[Path, Path, str]]:
    """Folders of the tree, their places in the container, and options of the mounts."""
    inside = OptMl()
    if own_inputs:
        yield tree.config.parent, inside.config.parent, ""
    else:
        yield tree.config, inside.config, ",readonly"
        for channel in sorted(tree.channels.iterdir()):
            yield channel.resolve(), inside.channel(channel.name), ",readonly"
    yield tree.model, inside.model, ""
    yield tree.output, inside.output, ""
    yield tree.checkpoints, inside.checkpoints, ""
