"""Machines whose only memory is a queue: they read the first few cells, delete some, and append a word at the end.

Tag systems (Post 1943) and lag systems (Wang 1963) are queue machines; Turing machines and cellular automata can be
written as lag systems that read three cells (turing_queue.py, cellular.py). The text that a language model writes is
such a queue too: it reads what it has written, a window at a time, and appends (Schuurmans, Dai & Zanini 2024,
arXiv 2410.03170). So a model that has learnt the right word for every window *is* the machine.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

from ahx.rules.transducer import RIGHT_EDGE, STOP, Step, spelled

Cells = tuple[str, ...]


class QueueMachine(ABC):
    """A transducer whose input and output are one queue; a cell may have a name of several characters."""

    start: Literal["queue"] = "queue"

    #: cells that are read at the front
    window: int
    #: cells that are then deleted; at least 1
    deleted: int
    #: every cell that can occur
    cells: Cells
    #: the cell that ends each configuration; "" where configurations are not marked
    mark: str = ""

    @property
    def reads(self) -> tuple[int, int]:
        return 0, self.window - 1

    @abstractmethod
    def word(self, view: Cells) -> Cells | None:
        """The word that is appended for the `window` cells in front; None halts."""

    @abstractmethod
    def windows(self) -> Iterator[Cells]:
        """Every window that can be at the front in any run, each once; it may include some that never are."""

    @abstractmethod
    def load(self, text: str) -> list[str]:
        """The queue to start from. Raises InputError for a text that is not an input of the machine."""

    @abstractmethod
    def unload(self, queue: Sequence[str]) -> str:
        """The text that a queue represents, at the end of a step."""

    def step(self, state: str, view: Sequence[str]) -> Step:
        """The next letter of the word; a queue that is shorter than the window halts."""
        word = None if RIGHT_EDGE in view else self.word(tuple(view))
        return Step(STOP) if word is None else spelled(word, int(state or 0), self.deleted)

    @cached_property
    def steps_of(self) -> dict[Cells, tuple[Step, ...]]:
        """The steps for every window: what a model has to learn."""
        return {view: tuple(self._spell(view)) for view in self.windows()}

    def _spell(self, view: Cells) -> Iterator[Step]:
        state = ""
        while True:
            step = self.step(state, view)
            yield step
            if step.move or step.symbol == STOP:
                return
            state = step.state
