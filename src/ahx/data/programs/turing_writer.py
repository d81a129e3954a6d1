"""Rows of Turing machines: two tokens for each rule, and runs from short tapes.

Where no rule fits, the configuration is repeated once and the run ends.
"""

import numpy as np

from ahx.data.programs.program_writer import MARKS, ProgramWriter, Runs, Tokens, shown_tokens
from ahx.data.programs.turing_machines import Machines, Sizes, advance, canonical_hash, draw_split, draw_tapes
from ahx.data.split import Hashes
from ahx.data.tokenizer import Token, Tokenizer
from ahx.rules.interpreters.turing_interpreter import HALT, TuringInterpreter
from ahx.rules.transducer import NEXT, Step


class TuringWriter(ProgramWriter[Machines]):
    """Turing machines and their tapes."""

    usual = Sizes()
    # That no rule fits is harder to learn than which one does, most of all where few rules are missing: so training
    # leaves out more rules than evaluation, and of some machines more than half.
    training, small = Sizes(missing=(0.0, 0.6)), Sizes((2, 4), (2, 3), (0.0, 0.6))
    steps = 6

    def __init__(self, rule: TuringInterpreter, tokenizer: Tokenizer) -> None:
        super().__init__(rule, tokenizer)
        self.rule, number = rule, tokenizer.number
        states = rule.states + HALT
        self.key_QS = np.array([[number(f"{q}{s}:") for s in rule.symbols] for q in rule.states])
        self.action_SMQ = np.array([[[number(f"{s}{m}{q},") for q in states] for m in "LR"] for s in rule.symbols])
        self.cell_S = np.array([number(s, 1) for s in rule.symbols])
        self.head_QS = np.array([[number(q + s, 1) for s in rule.symbols] for q in states])
        self.grown_Q = np.array([number(q + "0", 0) for q in states])

    @classmethod
    def vocabulary(cls, rule: TuringInterpreter) -> Tokenizer:
        """158 tokens for 8 states and 4 symbols."""
        keys = [Token(f"{q}{s}:") for q in rule.states for s in rule.symbols]
        actions = [Token(f"{s}{m}{q},") for s in rule.symbols for m in "LR" for q in rule.states + HALT]
        cells = [*rule.symbols, *(q + s for q in rule.states + HALT for s in rule.symbols)]
        steps = [*(Step(cell, 1) for cell in cells), *(Step(q + "0", 0) for q in rule.states + HALT), Step(NEXT)]
        return Tokenizer([*MARKS, *keys, *actions, *(Token(*step) for step in steps)], rule.start)

    def draw(self, rng: np.random.Generator, n: int, sizes: Sizes, testing: bool) -> Machines:
        return draw_split(rng, n, sizes, self.rule.n_states, self.rule.n_symbols, testing)

    def canonical_hash(self, programs: Machines) -> Hashes:
        return canonical_hash(programs)

    def longest_row(self, shape: Runs) -> int:
        runs, steps, (_, longest) = shape
        cells = sum(min(longest + k, longest + steps) + 1 for k in range(steps + 1))
        return 1 + 2 * self.rule.n_states * self.rule.n_symbols + runs * (cells + 1)

    def rules(self, rng: np.random.Generator, programs: Machines) -> list[Tokens]:
        """Two tokens for each rule, the rules in random order."""
        N, Q, S = programs.write_NQS.shape
        order = np.where(programs.has_rule_NQS.reshape(N, -1), rng.random((N, Q * S)), 2.0).argsort(1)
        right = (programs.move_NQS > 0).astype(np.int64)
        actions = self.action_SMQ[programs.write_NQS, right, programs.target_NQS].reshape(N, -1)
        keys = np.broadcast_to(self.key_QS.reshape(-1), (N, Q * S))
        pairs = np.stack([np.take_along_axis(part, order, 1) for part in (keys, actions)], 2)
        counts = programs.has_rule_NQS.sum((1, 2))
        return shown_tokens(pairs.reshape(N, -1), np.arange(2 * Q * S) < 2 * counts[:, None])

    def runs(self, rng: np.random.Generator, programs: Machines, shape: Runs) -> list[Tokens]:
        tapes = draw_tapes(rng, programs, shape.lengths, shape.steps)
        (M, W), marks, steps = tapes.cells_MW.shape, self.tokenizer, shape.steps
        at_W = np.arange(W + 2)  # one more at both ends, for marks: cell i is at i + 1
        tokens, shown = np.zeros((M, steps + 1, W + 2), np.int64), np.zeros((M, steps + 1, W + 2), bool)
        rows, grew, halted = np.arange(M), np.zeros(M, bool), np.zeros(M, bool)
        for k in range(steps + 1):
            repeated = halted
            if k:
                before = tapes.head_M
                tapes, grew = advance(programs, tapes)
                halted = tapes.head_M == before  # a rule always moves the head
            symbol = tapes.cells_MW[rows, tapes.head_M]
            tokens[:, k, 1:-1] = self.cell_S[tapes.cells_MW]
            head = np.where(grew, self.grown_Q[tapes.state_M], self.head_QS[tapes.state_M, symbol])
            tokens[rows, k, tapes.head_M + 1] = head
            tokens[rows, k, tapes.high_M + 2] = marks.stop if k else marks.separator
            tokens[rows, k, tapes.low_M] = marks.configuration
            begin, end = tapes.low_M + (1 if k else 0), tapes.high_M + 2
            shown[:, k] = (at_W >= begin[:, None]) & (at_W <= end[:, None]) & ~repeated[:, None]
        return shown_tokens(tokens.reshape(M, -1), shown.reshape(M, -1))
