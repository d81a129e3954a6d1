"""Elementary cellular automata by Wolfram number: each cell's next value depends on itself and its two neighbours.

The width stays fixed. Beyond the ends is a constant (`boundary=0` or 1), or the other end (`boundary=cyclic`).
Source: Wolfram, "Statistical mechanics of cellular automata", Reviews of Modern Physics 1983.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Literal

from ahx.errors import InputError
from ahx.rules.language import Source, written_spec
from ahx.rules.queue_machine import Cells, QueueMachine
from ahx.rules.rule import Rule, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, LEFT_EDGE, NEXT, RIGHT_EDGE, SILENT, Step, Transducer, repeated

CELLS = "01"
BOUNDARIES = ("0", "1", "cyclic")
_ENDLESS = 10**12  # generations


@dataclass(frozen=True)
class CellularAutomaton(Rule):
    """Rule `number` (0 to 255), applied `generations` times."""

    family = "ca"

    number: int
    boundary: str
    alphabet: str
    generations: int = 1

    @classmethod
    def read(cls, source: Source) -> "CellularAutomaton":
        source.no_entries("ca:")
        source.check_options("alphabet", "steps", "boundary")
        if len(source.words) != 1:
            at = source.words[1].at if source.words else len(source.text)
            source.fail(at, "expected the Wolfram number, and options after a semicolon, as in ca: 110; steps=5")
        number = source.number(source.words[0], 0, 255)
        alphabet = source.alphabet(CELLS)
        if not set(alphabet) <= set(CELLS):
            source.fail(source.options["alphabet"].at, "the cells of an elementary automaton are 0 and 1")
        return cls(number, source.choice("boundary", BOUNDARIES), alphabet, source.steps(1) or 1)

    @property
    def spec(self) -> str:
        steps, boundary, alphabet = (self.generations, 1), (self.boundary, "0"), (self.alphabet, CELLS)
        return written_spec("ca", [str(self.number)], steps=steps, boundary=boundary, alphabet=alphabet)

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        for symbol in text:
            if symbol not in CELLS:
                raise InputError(f"{symbol!r} in {text[:40]!r} is not a cell; a cellular automaton takes only 0 and 1")
        return limited(self._generations(text), limit)

    def _generations(self, text: str) -> Iterator[str]:
        yield text
        for _ in range(self.generations):
            if text:
                left, right = (text[-1], text[0]) if self.boundary == "cyclic" else (self.boundary, self.boundary)
                padded = left + text + right
                text = "".join(next_cell(self.number, padded[i : i + 3]) for i in range(len(text)))
            yield text

    def unlimited(self) -> "CellularAutomaton":
        return replace(self, generations=_ENDLESS)

    def queue(self) -> QueueMachine | None:
        return None if self.boundary == "cyclic" else CellularQueue(self.number, self.boundary)

    @cached_property
    def _transducer(self) -> Transducer | None:
        number, boundary = self.number, self.boundary
        transducer = CyclicTransducer(number) if boundary == "cyclic" else BoundedTransducer(number, boundary)
        return repeated(transducer, self.generations)


def next_cell(number: int, neighbourhood: str) -> str:
    """The next value of the middle cell of three: bit number `neighbourhood` (read in binary) of `number`."""
    return CELLS[number >> int(neighbourhood, 2) & 1]


@dataclass(frozen=True)
class BoundedTransducer:
    """The transducer with a constant beyond the ends: it needs no state."""

    number: int
    boundary: str
    start: Literal["left"] = "left"
    reads: tuple[int, int] = (-1, 1)

    def step(self, state: str, view: Sequence[str]) -> Step:
        if view[1] == RIGHT_EDGE:
            return Step(NEXT)
        cells = (cell if cell in CELLS else self.boundary for cell in view)
        return Step(next_cell(self.number, "".join(cells)), 1)


@dataclass(frozen=True)
class CyclicTransducer:
    """The transducer with its ends joined: it carries the last cell to the left, and then the first to the right.

    ""    on the last cell    "lX"  walking left, the last cell is X    "cX"  writing, the first cell is X
    """

    number: int
    start: Literal["right"] = "right"
    reads: tuple[int, int] = (-1, 1)

    def step(self, state: str, view: Sequence[str]) -> Step:
        left, here, right = view
        if here in (LEFT_EDGE, RIGHT_EDGE):
            return Step(NEXT)
        if not state.startswith("c"):
            last = state[1:] or here
            if left != LEFT_EDGE:
                return Step(SILENT, -1, f"l{last}")
            left, state = last, f"c{here}"
        return Step(next_cell(self.number, left + here + (state[1] if right == RIGHT_EDGE else right)), 1, state)


@dataclass(frozen=True)
class CellularQueue(QueueMachine):
    """Generation after generation as a lag system that reads three cells: # 0 1 1 # 1 1 1 # ..."""

    number: int
    boundary: str
    window = 3
    deleted = 1
    cells = (*CELLS, "#")
    mark = "#"

    def word(self, view: Cells) -> Cells:
        here = view[1]
        return (here if here == self.mark else next_cell(self.number, "".join(view).replace(self.mark, self.boundary)),)

    def windows(self) -> Iterator[Cells]:
        """All but those with two neighbouring marks: a generation has at least one cell."""
        return (view for view in product(self.cells, repeat=3) if "##" not in "".join(view))

    def load(self, text: str) -> list[str]:
        if not text or not set(text) <= set(CELLS):
            raise InputError(f"{text[:40]!r} is not a row of cells; write at least one, each 0 or 1, such as 0001000")
        return [self.mark, *text, self.mark]

    def unload(self, queue: Sequence[str]) -> str:
        cells = list(queue[1:])
        at = cells.index(self.mark)
        return "".join(cells[at + 1 :] + cells[:at])
