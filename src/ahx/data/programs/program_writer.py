"""The interface of writers, which turn programs and their runs into tokens.

A whole batch is made at once: it takes a few milliseconds, one program after the other would take a hundred.
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
    """Draws programs of one kind, hashes them up to renaming, and writes them as tokens.

    `sizes` say which programs to draw; each kind has its own type of them.
    """

    usual: ClassVar[Any]  # sizes for evaluation
    training: ClassVar[Any]  # sizes for training
    small: ClassVar[Any]  # sizes for the first part of training
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
        """A hash of each program: the same for programs that are equal up to renaming, and hardly ever for others."""

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
    """The tokens of each row that the mask selects."""
    return np.split(tokens_NX.astype(np.uint16)[shown_NX], shown_NX.sum(1).cumsum()[:-1])
