"""Calls of the `docker` command."""

import os
import shutil
import subprocess

from ahx.errors import ServiceError


def docker_command() -> str:
    """The `docker` command. Raises ServiceError when there is none."""
    found = shutil.which("docker")
    if found is None:
        raise ServiceError("there is no docker command here; install Docker, or run the job as a process")
    return found


def docker(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Call `docker WORDS`, with English messages. The caller judges the result. Raises ServiceError without docker."""
    return subprocess.run(
        [docker_command(), *words],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )


def last_line(text: str) -> str:
    """What Docker says at the end of its messages is the reason."""
    return (text.strip().splitlines() or ["it gave no reason"])[-1].rstrip(".")
