"""Stand-ins, so that the command line is tested in this process and without training anything."""

import os
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from ahx.training.hyperparameters import Hyperparameters
from entrypoints import main as cli


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("SM_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Hyperparameters]:
    """What the training loop was called with; the loop itself does nothing."""
    calls: list[Hyperparameters] = []
    loop = ModuleType("ahx.training.run")
    loop.train = lambda hyperparameters: calls.append(hyperparameters) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ahx.training.run", loop)
    return calls


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a verb `probe`, with options `--size`, `--kind`, `--flag` and an input; `run` is what it does."""

    def add(run: Callable[..., int]) -> None:
        module = ModuleType("entrypoints.verbs.probe", "Probe things.\n\nMore about it.")
        module.EXAMPLES = ["ahx probe --size 3"]  # type: ignore[attr-defined]

        def configure(parser: cli.Parser) -> None:
            parser.add_argument("input", nargs="?")
            parser.add_argument("--max-size", type=int)
            parser.add_argument("--scale_by", type=float)
            parser.add_argument("--kind", choices=["plain", "fancy"])
            parser.add_argument("--name", required=True)

        module.configure, module.run = configure, run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "entrypoints.verbs.probe", module)
        monkeypatch.setattr(cli, "VERBS", ("probe", "train"))

    return add
