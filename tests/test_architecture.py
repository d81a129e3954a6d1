"""The walls of the house: who may import whom."""

import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from ahx.system_errors import OWN

ROOT = Path(__file__).parents[1]


def test_import_contracts(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    failed = lint_imports(no_cache=True, no_logo=True)
    assert not failed, capfd.readouterr().out


def test_all_packages_count_as_ours_when_an_import_fails() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(OWN) == set(project["tool"]["importlinter"]["root_packages"])
