"""The image's lock files: they agree with pyproject.toml, and pin every package to hashes."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "container").glob("*.lock"))


def pins(*names):
    """{package: version} of lock files."""
    text = "\n".join((ROOT / "container" / f"{name}.lock").read_text() for name in names)
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("torch", ["cpu", "cuda"])
def test_the_image_has_the_versions_of_pyproject(torch):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = pins("requirements", f"torch-{torch}")
    for package, version in (line.split("==") for line in wanted):
        assert locked[package].removesuffix("+cpu") == version, f"{package}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_to_hashes(lock):
    entries = re.sub(r"\\\n", "", lock.read_text()).splitlines()
    entries = [line for line in entries if line and not line.lstrip().startswith("#")]
    assert entries
    for line in entries:
        assert re.fullmatch(r"[\w.-]+==\S+( +--hash=sha256:[0-9a-f]{64})+ *", line), line
