"""What an interpreter of Turing machines is trained on: programs in any order, each with a few short runs.

A row is `<` program, and then for each run `|` configuration `>` configuration NEXT configuration NEXT ... All of a
batch is made at once: a batch takes a few milliseconds, where machine after machine would take a hundred.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.machines import Machines, Sizes, Tapes, advance, draw_split, draw_tapes, likeness
from ahx.data.spans import Hashes
from ahx.data.tokenizer import BEGIN, CONFIGURATION, PAD, SEPARATOR, Token, Tokenizer
from ahx.rules.interpreter import HALT, TuringInterpreter
from ahx.rules.transducer import NEXT, Step

#: What training is on: small machines in this share of its steps, then all. That no rule fits is harder to see than
#: which one does, so more of them are left out than in machines that a model is judged by.
SMALL, ALL, SMALL_SHARE = Sizes((2, 4), (2, 3), 0.1), Sizes(missing=0.1), 0.17

Tokens = npt.NDArray[np.uint16]

_TRAINING, _VALIDATION, _FRESH = 0, 1, 2  # separate streams of random numbers


class Runs(NamedTuple):
    """The shape of a row's runs."""

    runs: int = 4  # runs of one program
    steps: int = 6  # steps of one run
    lengths: tuple[int, int] = (2, 6)  # cells of the first tape


def vocabulary(rule: TuringInterpreter) -> Tokenizer:
    """The tokens of all programs and configurations of `rule`: 158 for 8 states and 4 symbols."""
    marks = [Token(mark) for mark in (PAD, BEGIN, SEPARATOR, CONFIGURATION)]
    keys = [Token(f"{q}{s}:") for q in rule.states for s in rule.symbols]
    actions = [Token(f"{s}{m}{q},") for s in rule.symbols for m in "LR" for q in rule.states + HALT]
    heads = [q + s for q in rule.states + HALT for s in rule.symbols]
    steps = [*(Step(cell, 1) for cell in [*rule.symbols, *heads]), *(Step(q + "0", 0) for q in rule.states + HALT)]
    return Tokenizer([*marks, *keys, *actions, *(Token(*step) for step in [*steps, Step(NEXT)])], "program")


class RowMaker:
    """Turns machines and their tapes into rows of `tokenizer`'s tokens."""

    def __init__(self, rule: TuringInterpreter, tokenizer: Tokenizer) -> None:
        self.tokenizer, number = tokenizer, tokenizer.number
        states = rule.states + HALT
        self.key_QS = np.array([[number(f"{q}{s}:") for s in rule.symbols] for q in rule.states])
        self.action_SMQ = np.array([[[number(f"{s}{m}{q},") for q in states] for m in "LR"] for s in rule.symbols])
        self.cell_S = np.array([number(s, 1) for s in rule.symbols])
        self.head_QS = np.array([[number(q + s, 1) for s in rule.symbols] for q in states])
        self.grown_Q = np.array([number(q + "0", 0) for q in states])

    def rows(self, rng: np.random.Generator, machines: Machines, shape: Runs) -> list[Tokens]:
        """A row for each machine."""
        programs = self.programs(rng, machines)
        each = machines.some(np.repeat(np.arange(len(programs)), shape.runs))
        runs = self.runs(each, draw_tapes(rng, each, shape.lengths, shape.steps), shape.steps)
        return [np.concatenate([own, *runs[n * shape.runs :][: shape.runs]]) for n, own in enumerate(programs)]

    def programs(self, rng: np.random.Generator, machines: Machines) -> list[Tokens]:
        """`<` and the rules of each machine, in random order."""
        N, Q, S = machines.write_NQS.shape
        order = np.where(machines.has_rule_NQS.reshape(N, -1), rng.random((N, Q * S)), 2.0).argsort(1)
        right = (machines.move_NQS > 0).astype(np.int64)
        actions = self.action_SMQ[machines.write_NQS, right, machines.target_NQS].reshape(N, -1)
        keys = np.broadcast_to(self.key_QS.reshape(-1), (N, Q * S))
        pairs = np.stack([np.take_along_axis(part, order, 1) for part in (keys, actions)], 2)
        whole = np.concatenate([np.full((N, 1), self.tokenizer.begin), pairs.reshape(N, -1)], 1).astype(np.uint16)
        counts = machines.has_rule_NQS.sum((1, 2)).tolist()
        return [row[: 1 + 2 * count] for row, count in zip(whole, counts, strict=True)]

    def runs(self, machines: Machines, tapes: Tapes, steps: int) -> list[Tokens]:
        """Each machine's run of `steps` steps from its tape: `|` configuration `>` configuration NEXT ..."""
        (M, W), marks = tapes.cells_MW.shape, self.tokenizer
        at_W = np.arange(W + 2)  # a place more at both ends, for marks: cell i stands at i + 1
        tokens, shown = np.zeros((M, steps + 1, W + 2), np.uint16), np.zeros((M, steps + 1, W + 2), bool)
        rows, grew = np.arange(M), np.zeros(M, bool)
        for k in range(steps + 1):
            if k:
                tapes, grew = advance(machines, tapes)
            symbol = tapes.cells_MW[rows, tapes.head_M]
            tokens[:, k, 1:-1] = self.cell_S[tapes.cells_MW]
            head = np.where(grew, self.grown_Q[tapes.state_M], self.head_QS[tapes.state_M, symbol])
            tokens[rows, k, tapes.head_M + 1] = head
            tokens[rows, k, tapes.high_M + 2] = marks.stop if k else marks.separator
            tokens[rows, k, tapes.low_M] = marks.configuration
            begin, end = tapes.low_M + (1 if k else 0), tapes.high_M + 2
            shown[:, k] = (at_W >= begin[:, None]) & (at_W <= end[:, None])
        return np.split(tokens[shown], shown.sum((1, 2)).cumsum()[:-1])


class ProgramSamples:
    """Fresh programs and runs at every step, from machines of the training split; a function of (seed, step).

    Of `total` steps the first part is on small machines, the rest on all: short programs are learnt much sooner, and
    what is learnt on them holds for long ones.
    """

    def __init__(self, rule: TuringInterpreter, tokenizer: Tokenizer, total: int, shape: Runs, seed: int) -> None:
        self.rule, self.tokenizer, self.shape, self.seed = rule, tokenizer, shape, seed
        self.n_small = int(SMALL_SHARE * total)
        self.maker = RowMaker(rule, tokenizer)

    @property
    def longest_row(self) -> int:
        """Tokens in the longest row there can be."""
        runs, steps, (_, longest) = self.shape
        cells = sum(min(longest + k, longest + steps) + 1 for k in range(steps + 1))
        return 1 + 2 * self.rule.n_states * self.rule.n_symbols + runs * (cells + 1)

    def batch(self, step: int, batch_size: int) -> list[Tokens]:
        """Token rows for training step `step`."""
        return self.rows(np.random.default_rng((self.seed, _TRAINING, step)), batch_size, self.sizes(step))

    def sizes(self, step: int) -> Sizes:
        """The machines that training step `step` is on."""
        return SMALL if step < self.n_small else ALL

    def validation(self, n: int) -> list[Tokens]:
        """`n` rows of held-out machines of all sizes."""
        return self.rows(np.random.default_rng((self.seed, _VALIDATION)), n, Sizes(), testing=True)

    def fresh(self, n: int, stream: int) -> list[Tokens]:
        """`n` more of them, others for each `stream`."""
        return self.rows(np.random.default_rng((self.seed, _FRESH, stream)), n, Sizes(), testing=True)

    def rows(self, rng: np.random.Generator, n: int, sizes: Sizes, testing: bool = False) -> list[Tokens]:
        """`n` rows of machines of these sizes, of the training split or of the other."""
        machines = draw_split(rng, n, sizes, self.rule.n_states, self.rule.n_symbols, testing)
        return self.maker.rows(rng, machines, self.shape)


class Drawn(NamedTuple):
    """Rows of programs, and a number for each program: the same for programs that are alike but for names."""

    rows: list[Tokens]
    likeness: Hashes


class HeldOutMachines:
    """Machines of the split that training never sees, with runs of `shape`."""

    def __init__(self, rule: TuringInterpreter, tokenizer: Tokenizer, sizes: Sizes, shape: Runs) -> None:
        self.rule, self.sizes, self.shape = rule, sizes, shape
        self.maker = RowMaker(rule, tokenizer)
        self.usual_tokens = shape.runs * (shape.steps + 1) * (shape.lengths[1] + 2)  # about so many in a row

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """A row for each of `n` machines."""
        machines = draw_split(rng, n, self.sizes, self.rule.n_states, self.rule.n_symbols, testing=True)
        return Drawn(self.maker.rows(rng, machines, self.shape), likeness(machines))
