"""Commands and scripts of clients, run to their end."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients_here import SCRIPTS, Run, environment
from docker_missing import unavailable
from small_image import docker

from infra.embedded.sagemaker.execution.runners import choose
from infra.embedded.server import EmbeddedAws


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command to its end, in an empty home, and gives what it prints; `code` is what it must exit with."""
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # what would go to AWS itself fails at once

    def call(*words: object, code: int = 0, stdin: str = "", **more: str) -> str:
        done = subprocess.run(
            [str(word) for word in words], input=stdin, env={**os.environ, **more}, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    return call


@pytest.fixture
def script(run: Run) -> Run:
    """Runs tests/clients/SCRIPT with the Python of an environment."""
    return lambda name, file, *words, **more: run(environment(name) / "python", SCRIPTS / file, *words, **more)


@pytest.fixture
def containers(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """A second server over the same moto, whose jobs are containers of their own images."""
    if shutil.which("docker") is None or docker("version").returncode != 0:
        unavailable("no Docker engine answers")
    with EmbeddedAws(0, runners=choose(None, process=False)) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
