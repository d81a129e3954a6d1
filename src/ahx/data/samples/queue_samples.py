"""Pieces of a queue, and the right words for their windows: what a model of a queue machine is trained on.

A piece is a few windows that follow each other. All windows are known, so there is nothing to hold out: what is asked
of the model in the end is every one of them (see `ahx.model.certificate`).
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.tokenizer import Tokenizer
from ahx.rules.queue_machine import Cells, QueueMachine

_WINDOWS_IN_A_PIECE = 6
_TRAINING, _VALIDATION = 0, 1

Ints = npt.NDArray[np.int64]


class QueueSamples:
    """Rows `<` piece `>` words, each a function of (seed, step)."""

    def __init__(self, machine: QueueMachine, tokenizer: Tokenizer, seed: int) -> None:
        self._machine, self._tokenizer, self._seed = machine, tokenizer, seed
        self._views = list(machine.steps_of)
        self._taken = [tokenizer.encode_steps(steps) for steps in machine.steps_of.values()]
        self._following = following(machine)
        self._variants = variants(machine, tokenizer)

    @property
    def longest_row(self) -> int:
        """Tokens in the longest row there can be."""
        cells = self._machine.window + (_WINDOWS_IN_A_PIECE - 1) * self._machine.deleted
        return 2 + cells + _WINDOWS_IN_A_PIECE * max(map(len, self._taken))

    def batch(self, step: int, batch_size: int) -> list[npt.NDArray[np.uint16]]:
        """Token rows for training step `step`."""
        rng = np.random.default_rng((self._seed, _TRAINING, step))
        return [self._row(rng) for _ in range(batch_size)]

    def validation(self, n: int) -> list[npt.NDArray[np.uint16]]:
        rng = np.random.default_rng((self._seed, _VALIDATION))
        return [self._row(rng) for _ in range(n)]

    def _row(self, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        draws = iter(rng.random(2 * _WINDOWS_IN_A_PIECE * (self._machine.window + 1)).tolist())
        at = int(next(draws) * len(self._views))
        cells, words = list(self._views[at]), list(self._taken[at])
        for _ in range(_WINDOWS_IN_A_PIECE - 1):
            after = self._following[at]
            if words[-1] == self._tokenizer.stop or not after:
                break
            at = after[int(next(draws) * len(after))]
            cells += self._views[at][-self._machine.deleted :]
            words += self._taken[at]
        shown = [own[int(next(draws) * len(own))] for own in (self._variants[cell] for cell in cells)]
        return np.array([self._tokenizer.begin, *shown, self._tokenizer.separator, *words], dtype=np.uint16)


def variants(machine: QueueMachine, tokenizer: Tokenizer) -> dict[str, list[int]]:
    """All tokens that carry each cell: as the last letter of a word, or an earlier one."""
    found: dict[str, list[int]] = {cell: [] for cell in machine.cells}
    for number, token in enumerate(tokenizer.tokens):
        if token.symbol in found and token.move is not None:
            found[token.symbol].append(number)
    return found


def following(machine: QueueMachine) -> list[list[int]]:
    """For each window, the numbers of those that may come to the front next."""
    views, kept = list(machine.steps_of), machine.window - machine.deleted
    by_begin: defaultdict[Cells, list[int]] = defaultdict(list)
    for number, view in enumerate(views):
        by_begin[view[:kept]].append(number)
    return [by_begin[view[machine.deleted :]] for view in views]


class Contexts(NamedTuple):
    """Everything that a model of a machine can be asked, one question a row, and the right answers."""

    last_N: Ints  # the newest token
    window_NK: Ints  # the tokens of the cells in front
    answer_N: Ints  # the right next token
    view_N: Ints  # the number of the window, among `machine.steps_of`


def contexts(machine: QueueMachine, tokenizer: Tokenizer) -> Contexts:
    """Every question that can come up in any run, and some that cannot.

    A window comes up with each token that may carry each of its cells, and after each token that may end the word of
    a window before it; or after the separator; and in the middle of its own word after each letter.
    """
    taken = [tokenizer.encode_steps(steps) for steps in machine.steps_of.values()]
    before: list[set[int]] = [{tokenizer.separator} for _ in taken]
    for number, after in enumerate(following(machine)):
        if taken[number][-1] != tokenizer.stop:
            for other in after:
                before[other].add(taken[number][-1])
    carried = variants(machine, tokenizer)
    last: list[Ints] = []
    windows: list[Ints] = []
    answers: list[Ints] = []
    for number, view in enumerate(machine.steps_of):
        shown = np.array(np.meshgrid(*(carried[cell] for cell in view), indexing="ij")).reshape(machine.window, -1).T
        questions = [(token, taken[number][0]) for token in sorted(before[number])]
        questions += list(zip(taken[number], taken[number][1:], strict=False))
        last.append(np.tile([token for token, _ in questions], len(shown)))
        answers.append(np.tile([answer for _, answer in questions], len(shown)))
        windows.append(np.repeat(shown, len(questions), axis=0))
    sizes = [len(rows) for rows in last]
    numbers = np.repeat(np.arange(len(taken)), sizes)
    return Contexts(np.concatenate(last), np.concatenate(windows), np.concatenate(answers), numbers)
