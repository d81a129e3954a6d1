"""Training an interpreter: programs in the prompt, each with a few short runs.

A row is `<` program, and then for each run `|` configuration `>` configuration NEXT configuration NEXT ...
"""

from typing import Any

import numpy as np

from ahx.data.programs.program_writer import Runs, Tokens
from ahx.data.programs.writers import vocabulary, writer_of
from ahx.data.source import Source
from ahx.data.teacher import ProgramTeacher
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.interpreter import Interpreter

#: The share of training's steps that is on small programs; the rest is on all.
SMALL_SHARE = 0.17

_TRAINING, _VALIDATION, _FRESH = 0, 1, 2  # separate streams of random numbers


class ProgramSource(Source):
    """Fresh programs and runs at every step, from programs of the training split.

    Of `total` steps the first part is on small programs, the rest on all: short programs are learnt much sooner, and
    what is learnt on them holds for long ones.
    """

    notes = ("programs that are equal up to renaming are all in training, or all held out",)

    def __init__(self, rule: Interpreter, tokenizer: Tokenizer, total: int, shape: Runs, seed: int) -> None:
        self.teacher, self.tokenizer = ProgramTeacher(rule), tokenizer
        self.shape, self.seed = shape, seed
        self.n_small = int(SMALL_SHARE * total)
        self.writer = writer_of(rule, tokenizer)
        self.longest_row = self.writer.longest_row(shape)

    def batch(self, step: int, batch_size: int) -> list[Tokens]:
        return self.rows(np.random.default_rng((self.seed, _TRAINING, step)), batch_size, self.sizes(step))

    def sizes(self, step: int) -> Any:
        """The programs that training step `step` is on."""
        return self.writer.small if step < self.n_small else self.writer.training

    def validation_rows(self, n: int) -> list[Tokens]:
        """`n` rows of held-out programs of all sizes."""
        return self.rows(np.random.default_rng((self.seed, _VALIDATION)), n, self.writer.usual, testing=True)

    def fresh_rows(self, n: int, stream: int) -> list[Tokens]:
        return self.rows(np.random.default_rng((self.seed, _FRESH, stream)), n, self.writer.usual, testing=True)

    def rows(self, rng: np.random.Generator, n: int, sizes: Any, testing: bool = False) -> list[Tokens]:
        """`n` rows of programs of these sizes, of the training split or of the other."""
        return self.writer.rows(rng, self.writer.draw(rng, n, sizes, testing), self.shape)


def programs_of(rule: Interpreter, total: int, lengths: tuple[int, int], seed: int) -> ProgramSource:
    """Programs of `rule`, with runs from configurations of these lengths, for `total` steps of training."""
    tokenizer = vocabulary(rule)
    shape = Runs(steps=writer_of(rule, tokenizer).steps, lengths=lengths)
    return ProgramSource(rule, tokenizer, total, shape, seed)
