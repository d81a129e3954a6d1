"""Runs a queue machine that a model has learnt: the model reads the front of the queue and writes at its end.

Every token is the model's greedy answer to the newest token and the window. There are two ways to make that fast, with
the same output:

- **Cached**: the same question has the same answer, so the model is asked each question once.
- **Batched**: all windows in the queue are known in advance; only the token before each is not. It is guessed (the
  first cell of the window, as most cells are copied), all windows are evaluated at once, and those with a wrong guess
  again, until every answer was given after the right token (Jacobi decoding: Santilli et al. 2023, arXiv 2305.10427).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.transformer import Transformer
from ahx.model.windows import WindowFunction
from ahx.rules.queue_machine import QueueMachine

_LONGEST_WORD = 64  # letters in a batch; longer words are decoded one letter at a time
_FORGOTTEN = 1 << 16  # cells before the cursor that are dropped at once


@dataclass
class Execution:
    """A run of `machine` by `model`, on the queue of `text`. Raises InputError for an invalid text."""

    model: Transformer
    tokenizer: Tokenizer
    machine: QueueMachine
    text: str
    cached: bool = True
    on_step: Callable[[list[str]], None] | None = None  # gets the queue after each step of the machine
    steps: int = 0  # of the machine
    tokens: int = 0  # written by the model
    asked: int = 0  # evaluations of the model
    halted: bool = False
    _cells: list[int] = field(default_factory=list)
    _cursor: int = 0
    _known: dict[tuple[int, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ask = WindowFunction(self.model)
        self._cells = self.tokenizer.encode_input(self.machine.load(self.text))[1:-1]
        self._last = self.tokenizer.separator
        self._moves = [token.move or 0 for token in self.tokenizer.tokens]
        self._writes = [bool(token.symbol) for token in self.tokenizer.tokens]
        marks = [token.symbol == self.machine.mark for token in self.tokenizer.tokens]
        # A step is over when the mark is written; without marks, when the cursor moves.
        self._ends_step = marks if self.machine.mark else [move > 0 for move in self._moves]

    @property
    def between_steps(self) -> bool:
        """Whether the queue holds a whole configuration."""
        return self.halted or not self.tokens or self._ends_step[self._last]

    def queue(self) -> list[str]:
        """The cells in the queue."""
        return [self.tokenizer.tokens[number].symbol for number in self._cells[self._cursor :]]

    def run(self, steps: int | None = None, tokens: int | None = None) -> None:
        """Run until the machine halts, or until `steps` or `tokens` have been done in total."""
        write = self._one if self.cached else self._many
        while not self.halted and (steps is None or self.steps < steps) and (tokens is None or self.tokens < tokens):
            write(steps, tokens)

    def _take(self, token: int) -> None:
        """Write one token."""
        if token == self.tokenizer.stop:
            self.halted = True
            return
        self._last = token
        self.tokens += 1
        if self._writes[token]:
            self._cells.append(token)
        self._cursor += self._moves[token]
        if self._cursor > _FORGOTTEN:
            del self._cells[: self._cursor]
            self._cursor = 0
        if self._ends_step[token]:
            self.steps += 1
            if self.on_step is not None:
                self.on_step(self.queue())

    def _one(self, steps: int | None, tokens: int | None) -> None:
        window = self._cells[self._cursor : self._cursor + self.machine.window]
        if len(window) < self.machine.window:
            self.halted = True  # there is nothing left to read
            return
        question = (self._last, *window)
        answer = self._known.get(question)
        if answer is None:
            answer = self._known[question] = int(self._answers(np.array([self._last]), np.array([window]))[0])
        self._take(answer)

    def _many(self, steps: int | None, tokens: int | None) -> None:
        window, deleted = self.machine.window, self.machine.deleted
        cells = np.array(self._cells[self._cursor :], dtype=np.int64)
        if len(cells) < window:
            self.halted = True
            return
        windows = np.lib.stride_tricks.sliding_window_view(cells, window)[::deleted]
        for word in self._words(windows):
            for token in word:
                self._take(token)
                if self.halted or self.steps == steps or self.tokens == tokens:
                    return
            if sum(self._moves[token] for token in word) != deleted:
                return  # the following windows differ from those in the batch

    def _words(self, windows: np.ndarray) -> list[list[int]]:
        """The word for each of the windows, where each follows the one before."""
        before = np.concatenate(([self._last], windows[1:, 0]))
        words: list[list[int]] = [[] for _ in windows]
        doubtful = np.arange(len(windows))
        while len(doubtful):
            for at in doubtful.tolist():
                words[at] = []
            rows, last = doubtful, before[doubtful]
            for _ in range(_LONGEST_WORD):
                last = self._answers(last, windows[rows])
                for at, token in zip(rows.tolist(), last.tolist(), strict=True):
                    words[at].append(token)
                going = np.array([not self._moves[t] and t != self.tokenizer.stop for t in last.tolist()])
                rows, last = rows[going], last[going]
                if not len(rows):
                    break
            after = doubtful[doubtful + 1 < len(windows)]
            ends = np.array([words[at][-1] for at in after.tolist()], dtype=np.int64)
            wrong = before[after + 1] != ends
            before[after + 1] = ends
            doubtful = after[wrong] + 1
        return words

    def _answers(self, last: np.ndarray, windows: np.ndarray) -> np.ndarray:
        device = self.model.norm.weight.device
        self.asked += len(last)
        asked = torch.from_numpy(last).to(device), torch.from_numpy(np.ascontiguousarray(windows)).to(device)
        answers: np.ndarray = self._ask.logits(*asked).argmax(1).cpu().numpy()
        return answers
