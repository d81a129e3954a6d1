"""Fixtures for tests against the real image. They are skipped where there is no Docker.

With AHX_REQUIRE_DOCKER=1, which is for a CI that starts an engine of its own, they fail instead.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from docker_missing import unavailable

NAME = os.environ.get("AHX_IMAGE", "ahx-transformer:dev")


@dataclass(frozen=True)
class Docker:
    """The `docker` command."""

    command: str

    def __call__(self, *args: str, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Call `docker ARGS`; the outcome is the caller's to judge."""
        return subprocess.run(
            [self.command, *args], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )


@dataclass(frozen=True)
class Image:
    """An image that has been built."""

    docker: Docker
    name: str

    def run(self, *command: str, options: tuple[str, ...] = (), stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`docker run --rm -i OPTIONS IMAGE COMMAND`."""
        return self.docker("run", "--rm", "-i", *options, self.name, *command, stdin=stdin)

    def stdout(self, *command: str, options: tuple[str, ...] = ()) -> str:
        """What a command that succeeds prints in a container."""
        done = self.run(*command, options=options)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def docker() -> Docker:
    command = shutil.which("docker")
    if command is None:
        unavailable("there is no docker command")
    docker = Docker(command)
    asked = docker("version", "--format", "{{.Server.Version}}")
    if asked.returncode != 0:
        unavailable(f"no Docker engine answers: {asked.stderr.strip()}")
    return docker


@pytest.fixture(scope="session")
def image(docker: Docker) -> Image:
    if docker("image", "inspect", NAME).returncode != 0:
        unavailable(f"there is no image {NAME}; `make image` builds it")
    return Image(docker, NAME)
