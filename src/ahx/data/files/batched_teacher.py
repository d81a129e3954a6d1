"""The steps of all lines of a block at once; the result equals that of `teacher.steps` for each line.

Plain steps and those of an alignment follow from lengths alone; a transducer runs on many inputs at once.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ahx.data.alignment import Alignment
from ahx.data.files.batched_transducer import BatchedTransducer
from ahx.data.files.block import Block
from ahx.data.monotone.alignment import MonotoneAlignment, in_reading_order
from ahx.data.ragged import Ints, positions_of, totals_of
from ahx.data.teacher import AlignmentTeacher, MonotoneTeacher, PlainTeacher, Teacher, TransducerTeacher
from ahx.errors import InputError
from ahx.rules.transducer import SILENT, Step

_SILENT_CODE = 0  # data files hold no NUL


class BlockSteps(NamedTuple):
    """The steps of all lines, end to end, each as a number; the stops that end the lines are left out."""

    per_line: Ints
    numbers: Ints
    step: Callable[[int], Step]  # what a number stands for, in this block


class BatchedTeacher:
    """A teacher for whole blocks of lines."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        transducer = teacher.rule.transducer() if isinstance(teacher, TransducerTeacher) else None
        self._transducer = None if transducer is None else BatchedTransducer(transducer)

    def steps(self, block: Block) -> BlockSteps | None:
        """The steps of all lines; None when a line must be done by itself: it contradicts the teacher, or its
        transducer runs for very long or reads what it has written."""
        match self._teacher:
            case PlainTeacher():
                return BlockSteps(block.output_lengths, block.outputs.astype(np.int64), lambda code: Step(chr(code)))
            case AlignmentTeacher(alignment):
                return _aligned(block, alignment)
            case MonotoneTeacher(alignment=monotone):
                return _monotone(block, monotone)
        return None if self._transducer is None else _run(block, self._transducer)


def _aligned(block: Block, alignment: Alignment) -> BlockSteps | None:
    greatest = max(int(block.inputs.max(initial=0)), *map(ord, alignment.lengths), 0)
    table = np.full(greatest + 1, -1, dtype=np.int64)
    for symbol, length in alignment.lengths.items():
        table[ord(symbol)] = length
    written = table[block.inputs]  # how many symbols each symbol of the inputs writes
    lengths = totals_of(written, block.input_lengths)
    if written.min(initial=0) < 0 or not np.array_equal(lengths, block.output_lengths):
        return None
    written = in_reading_order(written, block.input_lengths, alignment.start)
    # A symbol that writes nothing still takes a step, a silent one.
    taken = np.maximum(written, 1)
    last = np.cumsum(taken) - 1
    return _steps(
        block, totals_of(taken, block.input_lengths), positions_of(taken) + 1, last, last[written == 0], alignment.move
    )


def _monotone(block: Block, alignment: MonotoneAlignment) -> BlockSteps | None:
    try:
        written = alignment.align(block.inputs, block.input_lengths, block.outputs, block.output_lengths)
    except InputError:
        return None
    reading = np.ones(len(written), np.bool_)
    reading[np.cumsum(block.input_lengths + 1) - 1] = False  # the end marks
    taken = np.where(reading, np.maximum(written, 1), written)
    last = np.cumsum(taken) - 1
    done = np.minimum(positions_of(taken) + 1, alignment.chunks.longest)
    per_line = totals_of(taken, block.input_lengths + 1)
    return _steps(block, per_line, done, last[reading], last[reading & (written == 0)], alignment.move)


def _steps(block: Block, per_line: Ints, done: Ints, last: Ints, silent: Ints, move: int) -> BlockSteps:
    """Steps that write the outputs of all lines, `done` symbols of a chunk with each. Those numbered `last` move, and
    of these the `silent` ones write nothing."""
    done[last] = 0
    # The outputs of all lines, laid end to end, are the chunks laid end to end.
    codes = block.outputs
    if len(silent):
        speaks = np.ones(len(done), dtype=np.bool_)
        speaks[silent] = False
        codes = np.full(len(done), _SILENT_CODE, dtype=block.outputs.dtype)
        codes[speaks] = block.outputs
    width = int(codes.max(initial=0)) + 1

    def step(number: int) -> Step:
        written, code = divmod(number, width)
        symbol = SILENT if code == _SILENT_CODE else chr(code)
        return Step(symbol, 0, str(written)) if written else Step(symbol, move)

    return BlockSteps(per_line, done * width + codes, step)


def _run(block: Block, transducer: BatchedTransducer) -> BlockSteps | None:
    found = transducer.run(block.inputs, block.input_lengths)
    if found is None:
        return None
    per_line, numbers = found
    written = transducer.written(numbers)
    lengths = totals_of((written > 0).astype(np.int64), per_line)
    if not np.array_equal(lengths, block.output_lengths) or not np.array_equal(written[written > 0], block.outputs):
        return None
    return BlockSteps(per_line, numbers, transducer.steps.__getitem__)
