"""The lock files agree with pyproject.toml and with each other, and those of the image pin every package to hashes."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "container").glob("*.lock"))


def pins(*names):
    """{package: version} of lock files."""
    text = "\n".join((ROOT / f"{name}.lock").read_text() for name in names)
    return dict(re.findall(r"^([\w.-]+)==([^\s+]+)", text, flags=re.MULTILINE))


def test_make_installs_versions_that_pyproject_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = pins("requirements/dev")
    for line in (*project["dependencies"], *chain(*project["optional-dependencies"].values())):
        wanted = Requirement(line)
        assert wanted.name == project["name"] or locked[wanted.name] in wanted.specifier, f"{line}: run `make lock`"


@pytest.mark.parametrize("torch", ["cpu", "cuda"])
def test_the_image_has_the_versions_that_make_installs(torch):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    locked, made = pins("container/requirements", f"container/torch-{torch}"), pins("requirements/dev")
    for package in (Requirement(line).name for line in wanted):
        assert locked[package] == made[package], f"{package}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_to_hashes(lock):
    entries = re.sub(r"\\\n", "", lock.read_text()).splitlines()
    entries = [line for line in entries if line and not line.lstrip().startswith("#")]
    assert entries
    for line in entries:
        assert re.fullmatch(r"[\w.-]+==\S+( +--hash=sha256:[0-9a-f]{64})+ *", line), line
