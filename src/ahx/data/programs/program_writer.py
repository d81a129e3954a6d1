"""Programs and their runs as tokens, whatever the kind of program.

All of a batch is made at once: it takes a few milliseconds, where program after program would take a hundred.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Ints
from ahx.data.split import Hashes
from ahx.data.tokenizer import BEGIN, CONFIGURATION, PAD, SEPARATOR, Token, Tokenizer

Tokens = npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]

MARKS = [Token(mark) for mark in (PAD, BEGIN, SEPARATOR, CONFIGURATION)]


class Runs(NamedTuple):
    """The shape of a row's runs."""

    runs: int = 4  # runs of one program
    steps: int = 6  # steps of one run
    lengths: tuple[int, int] = (2, 6)  # cells of the first configuration


P = TypeVar("P", bound=Any)  # N programs: a NamedTuple of arrays over them, with a method `some`


class ProgramWriter(ABC, Generic[P]):
    """Draws programs of one kind, tells which are the same but for names, and writes them as tokens.

    `sizes` say which programs to draw; each kind has its own. There are three: what a model is judged by, what training
    is on, and what it begins with.
    """

    usual: ClassVar[Any]
    training: ClassVar[Any]
    small: ClassVar[Any]
    steps: ClassVar[int]  # of a run in training

    def __init__(self, rule: Any, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @classmethod
    @abstractmethod
    def vocabulary(cls, rule: Any) -> Tokenizer:
        """The tokens of all programs and configurations of `rule`."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int, sizes: Any, testing: bool) -> P:
        """`n` random programs of the training split, or of the one that is held out for testing."""

    @abstractmethod
    def canonical_hash(self, programs: P) -> Hashes:
        """A number for each program: the same for programs that differ in names only, and hardly ever for others."""

    @abstractmethod
    def rules(self, rng: np.random.Generator, programs: P) -> list[Tokens]:
        """The rules of each program."""

    @abstractmethod
    def runs(self, rng: np.random.Generator, programs: P, shape: Runs) -> list[Tokens]:
        """A run of each program: `|` configuration `>` configuration NEXT configuration NEXT ..."""

    def rows(self, rng: np.random.Generator, programs: P, shape: Runs) -> list[Tokens]:
        """A row for each program: its rules, and then its runs."""
        begin, n = np.array([self.tokenizer.begin], np.uint16), shape.runs
        rules = self.rules(rng, programs)
        runs = self.runs(rng, programs.select(np.repeat(np.arange(len(rules)), n)), shape)
        return [np.concatenate([begin, own, *runs[at * n :][:n]]) for at, own in enumerate(rules)]

    @abstractmethod
    def longest_row(self, shape: Runs) -> int:
        """Tokens in the longest row there can be."""


def shown_tokens(tokens_NX: Ints, shown_NX: Bools) -> list[Tokens]:
    """Those tokens of each row that are to be shown."""
    return np.split(tokens_NX.astype(np.uint16)[shown_NX], shown_NX.sum(1).cumsum()[:-1])
