"""Two-way transducers: how a rule computes its output step by step, which is what a model learns.

A transducer has a cursor on the input, and a state. At each step it sees the few cells around the cursor and returns a
`Step`: a symbol to write (or nothing), how far the cursor moves, and the next state. `double_a` on "AB" takes four
steps: write A and stay, write A and move on, write B and move on, stop.

A model learns steps rather than only the output because each step depends only on the state and on a window of fixed
size, so what is learnt at length 10 holds at length 1,000.

Theory: Engelfriet & Hoogeboom, "MSO definable string transductions and two-way finite-state
transducers", ACM TOCL 2001. A bounded view is a convenience; it can be encoded in states.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from ahx.errors import InputError

# Marks are longer than one character, so that no symbol of a user's alphabet can equal one.
SILENT = ""  # a step that writes nothing
STOP = "<stop>"  # the output is complete
NEXT = "<next>"  # a configuration is complete; from now on the transducer reads what it has just written
LEFT_EDGE, RIGHT_EDGE = "<left>", "<right>"  # the cells of a view beyond the ends of the input

DEFAULT_STEP_LIMIT = 10_000_000
# A transducer counts its passes in its state; beyond this many there would be too many states to learn.
MAX_COUNTED_PASSES = 16
#: The next step after a run that exceeds the limit; most commands have no option for it.
HALTING_ADVICE = "take a rule or an input with which it halts (`ahx rules apply` goes on for longer with --max-steps)"

# Where the cursor starts: on the first symbol of the input, or on the last. With "queue", on the first, and everything
# written is appended to what is read. With "program", on the first cell of the configuration behind a program, or on
# the last.
Start = Literal["left", "right", "queue", "program", "program right"]


class Step(NamedTuple):
    """One step of a transducer."""

    symbol: str  # one character, or SILENT, STOP, NEXT
    move: int = 0  # cells the cursor moves to the right after writing
    state: str = ""


class Transducer(Protocol):
    """A deterministic two-way transducer with a bounded view."""

    @property
    def start(self) -> Start:
        """Where the cursor starts."""

    @property
    def reads(self) -> tuple[int, int]:
        """Least and greatest offset from the cursor that `step` sees."""

    def step(self, state: str, view: Sequence[str]) -> Step:
        """The step in `state` ("" at the start), where view[j] is the cell at cursor + reads[0] + j."""


def run(transducer: Transducer, text: Sequence[str], limit: int = DEFAULT_STEP_LIMIT) -> Iterator[Step]:
    """All steps of `transducer` on `text`, a string or a list of cells, the last one a STOP.

    Raises InputError when the transducer takes more than `limit` steps.
    """
    cells, state = list(text), ""
    written = cells if transducer.start == "queue" else []
    cursor = len(cells) - 1 if transducer.start == "right" else 0
    low, high = transducer.reads
    for _ in range(limit):
        view = [
            LEFT_EDGE if i < 0 else RIGHT_EDGE if i >= len(cells) else cells[i]
            for i in range(cursor + low, cursor + high + 1)
        ]
        step = transducer.step(state, view)
        yield step
        if step.symbol == STOP:
            return
        state = step.state
        if step.symbol == NEXT:
            cells, written = list("".join(written)), []
            cursor = len(cells) - 1 if transducer.start == "right" else 0
        else:
            if step.symbol:
                written.append(step.symbol)
            cursor += step.move
            if transducer.start != "queue" and not -1 <= cursor <= len(cells):
                where = f"{''.join(cells[:40])!r} in state {state!r}"
                raise InputError(f"the rule's transducer moves beyond the end of {where}; have it turn at < and >")
    raise InputError(
        f"the rule's transducer did not stop on {''.join(text[:40])!r} within {limit:,} steps; {HALTING_ADVICE}"
    )


def written(steps: Sequence[Step]) -> str:
    """The output that `steps` spell: the symbols since the last NEXT."""
    symbols: list[str] = []
    for step in steps:
        if step.symbol == NEXT:
            symbols.clear()
        elif step.symbol != STOP:
            symbols.append(step.symbol)
    return "".join(symbols)


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
class RepeatedTransducer:
    """Stops `transducer` after a number of passes, unless it ends earlier.

    A pass ends with NEXT. A NEXT with a state is a preparation and is not counted. The states of the first
    pass are those of `transducer`; later ones have the number of passes done before them, as in "2/1".
    """

    transducer: Transducer
    passes: int

    @property
    def start(self) -> Start:
        return self.transducer.start

    @property
    def reads(self) -> tuple[int, int]:
        return self.transducer.reads

    def step(self, state: str, view: Sequence[str]) -> Step:
        count, slash, inner = state.partition("/")
        done = int(count) if slash else 0
        step = self.transducer.step(inner if slash else state, view)
        if step.symbol == NEXT and not step.state:
            done += 1
            if done == self.passes:
                return Step(STOP)
        return step._replace(state=f"{done}/{step.state}") if done and step.symbol != STOP else step


def repeated(transducer: Transducer, passes: int | None) -> Transducer | None:
    """`transducer` stopped after `passes`; unchanged for None; None when there are too many passes to count."""
    if passes is None:
        return transducer
    return RepeatedTransducer(transducer, passes) if passes <= MAX_COUNTED_PASSES else None
