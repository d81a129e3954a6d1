"""A Turing machine's steps as a transducer: the configuration is copied, and changed around the state's letter."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ahx.rules.families.turing_table import Action, Table, action, symbols_of
from ahx.rules.language import LETTERS
from ahx.rules.transducer import NEXT, RIGHT_EDGE, STOP, Step, spelled


@dataclass(frozen=True)
class TuringTransducer:
    """The transducer: each pass copies the configuration and rewrites the two or three cells at the state's letter.

      ""      no letter met yet                "1", "2"  letters written of the new cells
      "n"     rewritten, another pass follows  "h"       the machine has halted, the rest is copied

    If the first pass meets no letter, the input is a tape: a second pass, "init", writes the start state in front ("i")
    and copies the tape ("t"); then the first real pass, "go", begins.
    """

    table: Table
    blank: str
    first: str  # the machine's start state
    start: Literal["left"] = "left"
    reads: tuple[int, int] = (0, 2)

    @cached_property
    def _states(self) -> str:
        return LETTERS[: len(self.table)]

    @cached_property
    def _actions(self) -> dict[tuple[str, str], Action]:
        pairs = [(state, symbol) for state in self._states for symbol in symbols_of(self.table)]
        return {pair: todo for pair in pairs if (todo := action(self.table, *pair))}

    def step(self, state: str, view: Sequence[str]) -> Step:
        here = view[0]
        if state in ("n", "h", "i", "t"):
            return self._copy(state, here)
        if state == "init":
            return Step(self.first, 0, "i")
        if here == RIGHT_EDGE:
            return Step(NEXT, 0, "init")
        done = int(state) if state.isdigit() else 0
        # The head moves left onto the cell at the cursor: l q s becomes q' l w.
        todo = self._actions.get((view[1], view[2]))
        if todo and todo.move == "L":
            return self._write(todo, todo.state + here + todo.symbol, done, 3)
        todo = self._actions.get((here, view[1]))
        if todo is None:
            return Step(here, 1, "h" if here in LETTERS else "")
        if todo.move == "L":  # from the first cell of the tape onto a new blank
            return self._write(todo, todo.state + self.blank + todo.symbol, done, 2)
        new = self.blank if view[2] == RIGHT_EDGE else ""
        return self._write(todo, todo.symbol + todo.state + new, done, 2)

    def _write(self, todo: Action, cells: str, done: int, move: int) -> Step:
        return spelled(cells, done, move, after="n" if todo.state in self._states else "h")

    def _copy(self, state: str, here: str) -> Step:
        if here != RIGHT_EDGE:
            return Step(here, 1, "t" if state == "i" else state)
        if state == "i":
            return Step(self.blank, 0, "t")
        return Step(STOP) if state == "h" else Step(NEXT, 0, "go" if state == "t" else "")
