"""Every question that a model of a queue machine can be asked: which windows come up, and after which tokens."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from ahx.data.ragged import Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.queue_machine import Cells, QueueMachine


def variants(machine: QueueMachine, tokenizer: Tokenizer) -> dict[str, list[int]]:
    """All tokens that carry each cell: as the last letter of a word, or an earlier one."""
    found: dict[str, list[int]] = {cell: [] for cell in machine.cells}
    for number, token in enumerate(tokenizer.tokens):
        if token.symbol in found and token.move is not None:
            found[token.symbol].append(number)
    return found


def following(machine: QueueMachine) -> list[list[int]]:
    """For each window, the numbers of those that may be at the front next."""
    views, kept = list(machine.steps_of), machine.window - machine.deleted
    by_begin: defaultdict[Cells, list[int]] = defaultdict(list)
    for number, view in enumerate(views):
        by_begin[view[:kept]].append(number)
    return [by_begin[view[machine.deleted :]] for view in views]


class Contexts(NamedTuple):
    """Everything that a model of a machine can be asked, one question per row, and the right answers."""

    last_N: Ints  # the newest token
    window_NK: Ints  # the tokens of the cells in front
    answer_N: Ints  # the right next token
    view_N: Ints  # the number of the window, among `machine.steps_of`


def contexts(machine: QueueMachine, tokenizer: Tokenizer) -> Contexts:
    """Every question that can occur in any run, and some that cannot.

    A window occurs with each token that may carry each of its cells; after each token that may end the word of a window
    before it, or after the separator; and within its own word after each letter.
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
