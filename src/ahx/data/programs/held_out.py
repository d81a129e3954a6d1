"""Programs that training never sees, to evaluate an interpreter on."""

from typing import Any, NamedTuple

import numpy as np

from ahx.data.programs.program_writer import Runs, Tokens
from ahx.data.programs.writers import writer_of
from ahx.data.split import Hashes
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.interpreter import Interpreter


class Drawn(NamedTuple):
    """Rows of programs, and a hash of each program: the same for programs that are equal up to renaming."""

    rows: list[Tokens]
    canonical_hash: Hashes


class HeldOutPrograms:
    """Programs of the split that training never sees, with runs of `shape`.

    `sizes` are those of the program's kind: `turing_machines.Sizes`, `string_programs.Sizes`.
    """

    def __init__(self, rule: Interpreter, tokenizer: Tokenizer, sizes: Any, shape: Runs) -> None:
        self.sizes, self.shape = sizes, shape
        self.writer = writer_of(rule, tokenizer)
        self.usual_tokens = shape.runs * (shape.steps + 1) * (shape.lengths[1] + 2)  # about so many in a row

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """A row for each of `n` programs."""
        programs = self.writer.draw(rng, n, self.sizes, testing=True)
        return Drawn(self.writer.rows(rng, programs, self.shape), self.writer.canonical_hash(programs))
