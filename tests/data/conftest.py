"""A rule that is defined here, so that data is tested without the rule language."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from ahx.rules.rule import Rule
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, LEFT_EDGE, RIGHT_EDGE, STOP, Step, Transducer


class Doubling:
    """A transducer that reads one cell: A is written twice, everything else once."""

    start: Literal["left", "right"] = "left"
    reads = (0, 0)

    def step(self, state: str, view: Sequence[str]) -> Step:
        if view[0] in (LEFT_EDGE, RIGHT_EDGE):
            return Step(STOP)
        return Step("A", 0, "1") if view[0] == "A" and not state else Step(view[0], 1)


class FunctionRule(Rule):
    """Any function of strings; with `machine`, one that has a transducer."""

    def __init__(self, function: Callable[[str], str], alphabet: str = "AB", machine: Transducer | None = None) -> None:
        self.alphabet, self._function, self._machine = alphabet, function, machine

    @property
    def spec(self) -> str:
        return "a test rule"

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        yield text
        yield self._function(text)

    def transducer(self) -> Transducer | None:
        return self._machine


@pytest.fixture
def double_a() -> FunctionRule:
    return FunctionRule(lambda text: text.replace("A", "AA"), machine=Doubling())


@pytest.fixture
def rule_of() -> Callable[..., FunctionRule]:
    return FunctionRule


@pytest.fixture
def samples() -> Path:
    """A cut of older data files: 200 lines each of copy (cp) and double_a (da), with duplicates."""
    return Path(__file__).parent / "samples"
