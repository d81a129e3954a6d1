"""Commands and scripts of clients, run to their end."""

import os
import subprocess
from pathlib import Path

import pytest
from clients_here import SCRIPTS, Run, environment


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command to its end, in an empty home, and gives what it prints; `code` is what it must exit with."""
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
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
