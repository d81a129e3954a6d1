"""Every step that a transducer can take, whatever its input: a walk over states and views instead of samples."""

from collections.abc import Iterable, Iterator
from itertools import product

from ahx.errors import InputError
from ahx.rules.transducer import LEFT_EDGE, NEXT, RIGHT_EDGE, SILENT, STOP, Step, Transducer

View = tuple[str, ...]
_MARKS = {SILENT, STOP, NEXT}


def all_steps(transducer: Transducer, alphabet: Iterable[str], most: int = 30_000) -> set[Step] | None:
    """The steps on any input over `alphabet`, and a few that no input leads to; None beyond `most` states and views.

    From each view the walk goes on to all views with any cell, or the edge, where the cursor has not been: it keeps no
    record of cells that have left the view.
    """
    symbols, starts, found = set(alphabet), {""}, set[Step]()
    low, high = transducer.reads
    while (len(symbols) + 2) ** (high - low + 1) <= most:  # until NEXT brings no new symbol and no new state
        before = len(symbols), len(starts)
        pairs = {(state, view) for state in starts for view in _first_views(transducer, symbols)}
        left, moved = list(pairs), dict[tuple[View, int], list[View]]()
        while left:
            if len(pairs) > most:
                return None
            state, view = left.pop()
            try:
                step = transducer.step(state, view)
            except (InputError, LookupError):  # a view that no input leads to
                continue
            found.add(step)
            if step.symbol == NEXT:
                starts.add(step.state)
            elif step.symbol != STOP:
                if (view, step.move) not in moved:
                    moved[view, step.move] = list(_moved(view, step.move, symbols))
                after = {(step.state, shown) for shown in moved[view, step.move]} - pairs
                pairs |= after
                left += after
        if any(step.symbol == NEXT for step in found):  # what was written is read next
            symbols |= {step.symbol for step in found} - _MARKS
        if (len(symbols), len(starts)) == before:
            return found
    return None


def _first_views(transducer: Transducer, symbols: set[str]) -> Iterator[View]:
    """What can be seen with the cursor on the first cell, or on the last."""
    low, high = transducer.reads
    if transducer.start == "right":
        last, inside = (LEFT_EDGE, *(RIGHT_EDGE,) * max(high, 0)), -min(low, 0) + 1
        yield from _widened(last[1:], inside, symbols, LEFT_EDGE)
    else:
        yield from _widened((LEFT_EDGE,) * -min(low, 0), max(high, 0) + 1, symbols, RIGHT_EDGE)


def _moved(view: View, move: int, symbols: set[str]) -> Iterator[View]:
    """The views after a move of the cursor."""
    if move >= 0:
        yield from _widened(view[move:], move, symbols, RIGHT_EDGE, view[-1:])
    else:
        yield from _widened(view[:move], -move, symbols, LEFT_EDGE, view[:1])


def _widened(view: View, cells: int, symbols: set[str], edge: str, outermost: View = ()) -> Iterator[View]:
    """`view` with any cells at its right, or left, end: nothing is behind the edge but more of it."""
    at_edge = edge in (*view, *outermost)
    for inside in range(0 if at_edge else cells, -1, -1):
        for new in product(sorted(symbols), repeat=inside):
            beyond = (edge,) * (cells - inside)
            yield (*view, *new, *beyond) if edge == RIGHT_EDGE else (*beyond, *new, *view)
        if at_edge:
            break
