"""Calls of the `docker` command."""

import json
import os
import shutil
import subprocess
from typing import Any

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


def find_image(name: str) -> dict[str, Any]:
    """What Docker knows about an image of this machine. Raises ServiceError when Docker, or the image, is not there."""
    asked = docker("image", "inspect", name)
    if asked.returncode == 0:
        found: dict[str, Any] = json.loads(asked.stdout)[0]
        return found
    if "No such image" in asked.stderr:
        raise ServiceError(f"there is no image {name} here; build it with `make image`, or pull it (docker pull)")
    raise ServiceError(f"no Docker engine answers ({last_line(asked.stderr)}); start it, or run the job as a process")


def last_line(text: str) -> str:
    """What Docker says at the end of its messages is the reason."""
    return (text.strip().splitlines() or ["it gave no reason"])[-1].rstrip(".")
