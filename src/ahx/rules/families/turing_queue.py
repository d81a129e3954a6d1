"""A Turing machine as a lag system that reads three cells: one sweep over the queue is one step of the machine.

The queue holds the configuration between two marks, the scanned cell together with the state as one cell:

    1 0 B1 1 0     ->     # 1 0 B1 1 0 #

For the three cells (a, b, c) in front, the next value of b is appended, and a is deleted. It differs from b only next
to the head; where the head leaves the tape at an end, a blank is appended as well. Once the mark has been appended
again, the queue holds the next configuration. A window whose middle is a halted head halts.
Source: the construction is folklore from Wang's lag systems; Schuurmans, Dai & Zanini 2024 (arXiv 2410.03170) describe
one in full.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from ahx.errors import InputError
from ahx.rules.families.turing_table import Action, Table, action, symbols_of
from ahx.rules.language import LETTERS
from ahx.rules.queue_machine import Cells, QueueMachine

MARK = "#"


@dataclass(frozen=True)
class TuringQueue(QueueMachine):
    """The lag system of a table. Cells are symbols ("0"), heads ("B0": state B on a 0), and the mark."""

    table: Table
    blank: str
    read: Callable[[str], str]  # from a text, a tape or a configuration, to a configuration
    window = 3
    deleted = 1
    mark = MARK

    @cached_property
    def _symbols(self) -> str:
        return symbols_of(self.table)

    @cached_property
    def heads(self) -> Cells:
        """A cell for every state and symbol; halting states are those that the table mentions."""
        mentioned = {todo.state for row in self.table for todo in row if todo}
        letters = sorted(mentioned | set(LETTERS[: len(self.table)]))
        return tuple(letter + symbol for letter in letters for symbol in self._symbols)

    @cached_property
    def cells(self) -> Cells:  # type: ignore[override]  # a property in place of an attribute
        return (*self._symbols, *self.heads, MARK)

    @cached_property
    def _actions(self) -> dict[str, Action | None]:
        return {head: action(self.table, head[0], head[1]) for head in self.heads}

    def _moves(self, cell: str, move: str) -> Action | None:
        """The action of a head that moves left or right; None for any other cell."""
        todo = self._actions.get(cell)
        return todo if todo and todo.move == move else None

    def word(self, view: Cells) -> Cells | None:
        left, here, right = view
        if here in self._actions:
            todo = self._actions[here]
            if todo is None:
                return None
            if todo.move == "L" and left == MARK:
                return todo.state + self.blank, todo.symbol
            return (todo.symbol,)
        arriving = self._moves(left, "R")
        if here == MARK:
            return (arriving.state + self.blank, MARK) if arriving else (MARK,)
        arriving = arriving or self._moves(right, "L")
        return (arriving.state + here,) if arriving else (here,)

    def windows(self) -> Iterator[Cells]:
        """Three neighbours in `# configuration # next configuration #`, where a configuration has one head."""
        symbols, heads = tuple(self._symbols), self.heads
        halted = {head for head, todo in self._actions.items() if todo is None}
        active = tuple(head for head in heads if head not in halted)
        # A halted head in front would have been in the middle before, where it halts: only active heads get there.
        yield from product(symbols, repeat=3)
        yield from product(active, symbols, symbols)
        yield from product(symbols, heads, symbols)
        yield from product(symbols, symbols, heads)
        for one, other in ((symbols, symbols), (heads, symbols), (symbols, heads)):
            yield from product((MARK,), one, other)
            yield from product(active if one == heads else one, other, (MARK,))
        yield from product((MARK,), heads, (MARK,))
        yield from product(symbols, (MARK,), (*symbols, *heads))
        for head in active:  # the next configuration is being written, and the head is behind its first cell ...
            yield from product((head,), (MARK,), symbols)
            if todo := self._moves(head, "L"):  # ... or on it, where the last one had no more than two cells
                yield from ((head, MARK, todo.state + symbol) for symbol in symbols)

    def load(self, text: str) -> list[str]:
        cells = cells_of(self.read(text))
        for cell in cells:
            if cell not in self.cells:
                raise InputError(
                    f"the machine never reaches {cell!r} in {text[:40]!r}; start from one of its own states"
                )
        return [MARK, *cells, MARK]

    def unload(self, queue: Sequence[str]) -> str:
        """The configuration: the cells before the mark belong behind those after it."""
        cells = list(queue[1:])  # the first cell is done
        at = cells.index(MARK)
        return "".join(cells[at + 1 :] + cells[:at])


def cells_of(configuration: str) -> list[str]:
    """`01B1` as cells: 0, 1, B1. The symbol behind the state's letter becomes a head."""
    at = next(i for i, symbol in enumerate(configuration) if symbol in LETTERS)
    return [*configuration[:at], configuration[at : at + 2], *configuration[at + 2 :]]
