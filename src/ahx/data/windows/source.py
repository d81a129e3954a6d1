"""Training on windows of a queue machine: a row is a few windows that follow each other, and the word for each.

All windows are known, so none is held out: in the end the model is checked on every one (`ahx.model.certificate`).
"""

import numpy as np
import numpy.typing as npt

from ahx.data.source import Source
from ahx.data.teacher import QueueTeacher
from ahx.data.tokenizer import Tokenizer
from ahx.data.windows.contexts import following, variants
from ahx.rules.queue_machine import QueueMachine
from ahx.rules.rule import Rule

_WINDOWS_IN_A_ROW = 6
_TRAINING, _VALIDATION = 0, 1  # separate streams of random numbers


class WindowSource(Source):
    """Rows `<` cells of the queue `>` words."""

    def __init__(self, rule: Rule, machine: QueueMachine, seed: int) -> None:
        self.teacher = QueueTeacher(rule)
        self.tokenizer = tokenizer = Tokenizer.of_queue(machine)
        self._machine, self._seed = machine, seed
        self._views = list(machine.steps_of)
        self._taken = [tokenizer.encode_steps(steps) for steps in machine.steps_of.values()]
        self._following = following(machine)
        self._variants = variants(machine, tokenizer)
        cells = machine.window + (_WINDOWS_IN_A_ROW - 1) * machine.deleted
        self.longest_row = 2 + cells + _WINDOWS_IN_A_ROW * max(map(len, self._taken))

    def batch(self, step: int, batch_size: int) -> list[npt.NDArray[np.uint16]]:
        """Token rows for training step `step`."""
        rng = np.random.default_rng((self._seed, _TRAINING, step))
        return [self._row(rng) for _ in range(batch_size)]

    def validation_rows(self, n: int) -> list[npt.NDArray[np.uint16]]:
        rng = np.random.default_rng((self._seed, _VALIDATION))
        return [self._row(rng) for _ in range(n)]

    def _row(self, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        draws = iter(rng.random(2 * _WINDOWS_IN_A_ROW * (self._machine.window + 1)).tolist())
        at = int(next(draws) * len(self._views))
        cells, words = list(self._views[at]), list(self._taken[at])
        for _ in range(_WINDOWS_IN_A_ROW - 1):
            after = self._following[at]
            if words[-1] == self.tokenizer.stop or not after:
                break
            at = after[int(next(draws) * len(after))]
            cells += self._views[at][-self._machine.deleted :]
            words += self._taken[at]
        shown = [own[int(next(draws) * len(own))] for own in (self._variants[cell] for cell in cells)]
        return np.array([self.tokenizer.begin, *shown, self.tokenizer.separator, *words], dtype=np.uint16)
