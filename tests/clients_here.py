"""Clients that people have, each from its own package in an environment of its own, which `make clients` makes.

Tests are skipped where that is not there; with AHX_REQUIRE_CLIENTS=1, which is for CI, they fail instead.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

SCRIPTS = Path(__file__).parent / "clients"
Run = Callable[..., str]


def missing(what: str, remedy: str) -> NoReturn:
    """End the test for want of a client."""
    if os.environ.get("AHX_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"{what} must be here; {remedy}", pytrace=False)
    pytest.skip(f"{what} is not here; {remedy}")


def environment(name: str) -> Path:
    """The folder of commands of the environment that tests/clients/NAME.txt describes."""
    folder = SCRIPTS.parents[1] / "build" / "clients" / name
    if not (folder / "ready").exists():
        missing(f"the client {name}", "`make clients` installs it")
    return folder / "bin"


def command(name: str) -> str:
    """A command of a Debian package, not one that pip has put before it in PATH."""
    found = shutil.which(name, path="/usr/bin:/usr/local/bin")
    return found or missing(f"the command {name}", f"install it: apt-get install {name}")
