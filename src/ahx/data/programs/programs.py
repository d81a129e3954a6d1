"""What an interpreter is trained on: programs that stand in the prompt, each with a few short runs.

A row is `<` program, and then for each run `|` configuration `>` configuration NEXT configuration NEXT ...
"""

from typing import Any, NamedTuple

import numpy as np

from ahx.data.programs.markov_writer import MarkovWriter
from ahx.data.programs.program_writer import ProgramWriter, Runs, Tokens
from ahx.data.programs.string_vocabulary import string_vocabulary
from ahx.data.programs.string_writers import SubstitutionWriter
from ahx.data.programs.turing_writer import MachineWriter, machine_vocabulary
from ahx.data.spans import Hashes
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.interpreters.markov_interpreter import MarkovInterpreter
from ahx.rules.interpreters.string_interpreter import StringInterpreter
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

__all__ = ["Drawn", "HeldOutPrograms", "ProgramSamples", "RowMaker", "Runs", "Tokens", "vocabulary"]

#: The share of training's steps that is on small programs; the rest is on all.
SMALL_SHARE = 0.17

_TRAINING, _VALIDATION, _FRESH = 0, 1, 2  # separate streams of random numbers


def vocabulary(rule: Interpreter) -> Tokenizer:
    """The tokens of all programs and configurations of `rule`."""
    if isinstance(rule, StringInterpreter):
        return string_vocabulary(rule)
    assert isinstance(rule, TuringInterpreter)
    return machine_vocabulary(rule)


def _writer(rule: Interpreter, tokenizer: Tokenizer) -> ProgramWriter[Any]:
    match rule:
        case SubstitutionInterpreter():
            return SubstitutionWriter(rule, tokenizer)
        case MarkovInterpreter():
            return MarkovWriter(rule, tokenizer)
    assert isinstance(rule, TuringInterpreter)
    return MachineWriter(rule, tokenizer)


class RowMaker:
    """Turns programs into rows of `tokenizer`'s tokens, each with some runs."""

    def __init__(self, rule: Interpreter, tokenizer: Tokenizer) -> None:
        self.begin = np.array([tokenizer.begin], np.uint16)
        self.writer = _writer(rule, tokenizer)

    def rows(self, rng: np.random.Generator, programs: Any, shape: Runs) -> list[Tokens]:
        """A row for each program."""
        rules = self.writer.rules(rng, programs)
        runs = self.writer.runs(rng, programs.some(np.repeat(np.arange(len(rules)), shape.runs)), shape)
        return [np.concatenate([self.begin, own, *runs[n * shape.runs :][: shape.runs]]) for n, own in enumerate(rules)]


class ProgramSamples:
    """Fresh programs and runs at every step, from programs of the training split; a function of (seed, step).

    Of `total` steps the first part is on small programs, the rest on all: short programs are learnt much sooner, and
    what is learnt on them holds for long ones.
    """

    def __init__(self, rule: Interpreter, tokenizer: Tokenizer, total: int, shape: Runs, seed: int) -> None:
        self.shape, self.seed = shape, seed
        self.n_small = int(SMALL_SHARE * total)
        self.maker = RowMaker(rule, tokenizer)
        self.writer = self.maker.writer

    @property
    def longest_row(self) -> int:
        """Tokens in the longest row there can be."""
        return self.writer.longest_row(self.shape)

    def batch(self, step: int, batch_size: int) -> list[Tokens]:
        """Token rows for training step `step`."""
        return self.rows(np.random.default_rng((self.seed, _TRAINING, step)), batch_size, self.sizes(step))

    def sizes(self, step: int) -> Any:
        """The programs that training step `step` is on."""
        return self.writer.small if step < self.n_small else self.writer.training

    def validation(self, n: int) -> list[Tokens]:
        """`n` rows of held-out programs of all sizes."""
        return self.rows(np.random.default_rng((self.seed, _VALIDATION)), n, self.writer.usual, testing=True)

    def fresh(self, n: int, stream: int) -> list[Tokens]:
        """`n` more of them, others for each `stream`."""
        return self.rows(np.random.default_rng((self.seed, _FRESH, stream)), n, self.writer.usual, testing=True)

    def rows(self, rng: np.random.Generator, n: int, sizes: Any, testing: bool = False) -> list[Tokens]:
        """`n` rows of programs of these sizes, of the training split or of the other."""
        return self.maker.rows(rng, self.writer.draw(rng, n, sizes, testing), self.shape)


class Drawn(NamedTuple):
    """Rows of programs, and a number for each program: the same for programs that are alike but for names."""

    rows: list[Tokens]
    likeness: Hashes


class HeldOutPrograms:
    """Programs of the split that training never sees, with runs of `shape`.

    `sizes` are those of the program's kind: `machines.Sizes`, `strings.Sizes`.
    """

    def __init__(self, rule: Interpreter, tokenizer: Tokenizer, sizes: Any, shape: Runs) -> None:
        self.sizes, self.shape = sizes, shape
        self.maker = RowMaker(rule, tokenizer)
        self.usual_tokens = shape.runs * (shape.steps + 1) * (shape.lengths[1] + 2)  # about so many in a row

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """A row for each of `n` programs."""
        programs = self.maker.writer.draw(rng, n, self.sizes, testing=True)
        return Drawn(self.maker.rows(rng, programs, self.shape), self.maker.writer.likeness(programs))
