"""One transducer on many inputs at once: all cursors move together, a numpy operation per step instead of a Python one.

A transducer's step depends on its state and a few cells only. So the cells around every position are numbered, and a
table over (state, number) is filled with the transducer's answers when they are first needed.
"""

from typing import NamedTuple

import numpy as np

from ahx.data.ragged import Codes, Ints, distinct, inside, offsets_of
from ahx.errors import InputError
from ahx.rules.transducer import LEFT_EDGE, NEXT, RIGHT_EDGE, SILENT, STOP, Step, Transducer

_MOST_STEPS = 10_000  # of the longest run; a few long runs are quicker one by one
_MOST_STEPS_TOGETHER = 1 << 24
_MOST_WINDOWS = 1 << 40
_STOPS = 0  # the number of the step that stops
_UNKNOWN = -1


class Tapes(NamedTuple):
    """Inputs laid end to end, with the cells around every position in one number."""

    first: Ints  # where each input's first symbol lies
    lengths: Ints
    window: Ints  # for every position, the number of its surroundings
    views: list[tuple[str, ...]]  # by that number


class BatchedTransducer:
    """Runs `transducer` on many inputs. `steps` lists the steps seen so far, in the order of their numbers."""

    def __init__(self, transducer: Transducer) -> None:
        self._transducer = transducer
        self._known: dict[tuple[str, tuple[str, ...]], int] = {}
        self.steps = [Step(STOP)]
        self._number = {Step(STOP): _STOPS}
        self._states = {"": 0}

    def run(self, codes: Codes, lengths: Ints) -> tuple[Ints, Ints] | None:
        """How many steps each input takes, and the numbers of all steps end to end; the stops are left out.

        None where inputs are better run one by one: the transducer reads what it wrote, runs for very long, or has no
        answer to one of them.
        """
        tapes = self._tapes(codes, lengths)
        if tapes is None:
            return None
        try:
            taken = self._follow(tapes)
        except InputError:
            return None
        if taken is None:
            return None
        per_line = np.zeros(len(lengths), dtype=np.int64)
        for lines, _ in taken:
            per_line[lines] += 1
        offsets = offsets_of(per_line)
        numbers = np.empty(offsets[-1], dtype=np.int64)
        for time, (lines, steps) in enumerate(taken):
            numbers[offsets[lines] + time] = steps
        return per_line, numbers

    def _tapes(self, codes: Codes, lengths: Ints) -> Tapes | None:
        low, high = self._transducer.reads
        # The cursor may stand one cell beyond either end.
        before, after = max(0, 1 - low), max(0, 1 + high)
        symbols = distinct(codes)
        names = [LEFT_EDGE, RIGHT_EDGE, *map(chr, symbols)]
        width = high - low + 1
        if len(names) ** width > _MOST_WINDOWS:
            return None
        numbers = np.zeros(max(symbols, default=0) + 1, dtype=np.int64)
        numbers[symbols] = np.arange(2, len(names))
        offsets = offsets_of(lengths + before + after)
        first = offsets[:-1] + before
        cells = np.zeros(offsets[-1], dtype=np.int64)
        cells[inside(first, first + lengths, len(cells))] = numbers[codes]
        cells[inside(first + lengths, offsets[1:], len(cells))] = 1
        cells = np.concatenate((np.zeros(max(0, -low), dtype=np.int64), cells, np.zeros(max(0, high), dtype=np.int64)))
        begin = max(0, -low) + low
        surroundings = np.zeros(offsets[-1], dtype=np.int64)
        for position in reversed(range(width)):
            surroundings *= len(names)
            surroundings += cells[begin + position : begin + position + offsets[-1]]
        different, window = np.unique(surroundings, return_inverse=True)
        digits = len(names) ** np.arange(width)
        views = [tuple(names[digit] for digit in row) for row in (different[:, None] // digits % len(names)).tolist()]
        return Tapes(first, lengths, window, views)

    def _follow(self, tapes: Tapes) -> list[tuple[Ints, Ints]] | None:
        """At each time, the inputs that are not done and the steps that they take."""
        lines = np.arange(len(tapes.lengths))
        cursor = tapes.first + (0 if self._transducer.start == "left" else tapes.lengths - 1)
        state = np.zeros(len(lines), dtype=np.int64)
        table = np.full((len(self._states), len(tapes.views)), _UNKNOWN, dtype=np.int64)
        moves, states = self._effects()
        taken: list[tuple[Ints, Ints]] = []
        together = 0
        while len(lines):
            window = tapes.window[cursor]
            steps = table[state, window]
            if (steps == _UNKNOWN).any():
                if not self._fill(table, state, window, tapes.views):
                    return None
                moves, states = self._effects()
                table = _grown(table, len(self._states))
                steps = table[state, window]
            going = steps != _STOPS
            lines, cursor, steps = lines[going], cursor[going], steps[going]
            taken.append((lines, steps))
            cursor, state = cursor + moves[steps], states[steps]
            position = cursor - tapes.first[lines]
            together += len(lines)
            if ((position < -1) | (position > tapes.lengths[lines])).any():
                return None
            if len(taken) > _MOST_STEPS or together > _MOST_STEPS_TOGETHER:
                return None
        return taken

    def _effects(self) -> tuple[Ints, Ints]:
        """The move and the next state of every step."""
        states = [self._states.setdefault(step.state, len(self._states)) for step in self.steps]
        return np.array([step.move for step in self.steps]), np.array(states)

    def _fill(self, table: Ints, state: Ints, window: Ints, views: list[tuple[str, ...]]) -> bool:
        """Fill in what `table` lacks; False when an answer cannot be entered."""
        names = list(self._states)
        unknown = table[state, window] == _UNKNOWN
        for number in distinct(state[unknown] * len(views) + window[unknown]):
            at, seen = divmod(number, len(views))
            step = self._known.get((names[at], views[seen]))
            if step is None:
                answer = self._transducer.step(names[at], views[seen])
                if answer.symbol == NEXT or (answer.symbol == STOP and answer != Step(STOP)):
                    return False
                step = self._number.setdefault(answer, len(self.steps))
                if step == len(self.steps):
                    self.steps.append(answer)
                self._known[names[at], views[seen]] = step
            table[at, seen] = step
        return True

    def written(self, numbers: Ints) -> Ints:
        """The code points that steps write, 0 for those that write nothing."""
        codes = [0 if step.symbol in (SILENT, STOP) else ord(step.symbol) for step in self.steps]
        return np.array(codes, dtype=np.int64)[numbers]


def _grown(table: Ints, states: int) -> Ints:
    more = np.full((states - len(table), table.shape[1]), _UNKNOWN, dtype=np.int64)
    return np.concatenate((table, more)) if len(more) else table
