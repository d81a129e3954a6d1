"""Building blocks that the transducers of several families share."""

from collections.abc import Sequence
from dataclasses import dataclass

from ahx.rules.transducer import NEXT, SILENT, STOP, Start, Step, Transducer

# A transducer counts its passes in its state; beyond this many, the states would be more than is worth learning.
MAX_COUNTED_PASSES = 16


def spelled(word: Sequence[str], done: int, move: int, prefix: str = "", after: str = "") -> Step:
    """The step that writes letter number `done` of `word`.

    The cursor waits, in the states `prefix` + "1", "2", ..., until the last letter is written; then it moves by `move`
    and the state is `after`. An empty word takes one silent step.
    """
    if done < len(word) - 1:
        return Step(word[done], 0, f"{prefix}{done + 1}")
    return Step(word[done] if word else SILENT, move, after)


def starts_with(view: Sequence[str], left: str) -> bool:
    """Whether the cells from the first of `view` on spell `left`."""
    return all(cell == symbol for cell, symbol in zip(view, left, strict=False))


@dataclass(frozen=True)
class Repeated:
    """`machine`, which never ends by itself or ends early, stopped after a number of passes.

    A pass ends with NEXT. A NEXT that hands on a state is a preparation and is not counted. The states of the first
    pass are the machine's own; later ones have the number of passes done before them, as in "2/1".
    """

    machine: Transducer
    passes: int

    @property
    def start(self) -> Start:
        return self.machine.start

    @property
    def reads(self) -> tuple[int, int]:
        return self.machine.reads

    def step(self, state: str, view: Sequence[str]) -> Step:
        count, slash, inner = state.partition("/")
        done = int(count) if slash else 0
        step = self.machine.step(inner if slash else state, view)
        if step.symbol == NEXT and not step.state:
            done += 1
            if done == self.passes:
                return Step(STOP)
        return step._replace(state=f"{done}/{step.state}") if done and step.symbol != STOP else step


def repeated(machine: Transducer, passes: int | None) -> Transducer | None:
    """`machine` stopped after `passes`; itself when that is None; nothing when there are too many to count."""
    if passes is None:
        return machine
    return Repeated(machine, passes) if passes <= MAX_COUNTED_PASSES else None
