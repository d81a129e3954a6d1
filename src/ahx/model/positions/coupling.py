"""Position coupling: follows the cursor through rows of tokens; the cells around it are the keys of coupled heads.

There are three implementations, which tests compare: `Coupling.keys` for whole rows (training), `Coupling.advance` for
one token in each of many rows (decoding), `Cursor` for one token of one row (sliding decoding). docs/positions.md
explains them with pictures.

Shapes: B rows, T tokens in a row, K keys in a window.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Roles of tokens.
STEP, CELL, BOUNDARY = 0, 1, 2  # writes nothing; writes a symbol; opens a segment (begin, separator, next)
START = -1  # the separator of a queue, which is not a cell: from here on the cursor moves
PROGRAM = -2  # a part of the rules in the prompt: not a cell, and what `p` heads see


@dataclass(frozen=True)
class TokenTable:
    """The role and the move of each of the V tokens of the vocabulary."""

    roles: tuple[int, ...]  # STEP, CELL, BOUNDARY, START or PROGRAM
    moves: tuple[int, ...]  # how far the token moves the cursor
    start_right: bool = False  # the cursor starts on the last cell of a segment, not on the first
    queue: bool = False  # all cells are one segment: the cursor reads what was written earlier


class Coupling(nn.Module):
    """Follows the cursor through rows of tokens.

    A row is divided into segments at its boundary tokens: `<` input `>` output. The cursor of a segment moves over the
    cells of the segment before it. A cell is a token with a symbol; boundaries count as the cells at both ends. Steps
    that write nothing are not cells, so cells are numbered, and `place` is the place of each one in the row. A queue is
    one segment of all cells; its cursor starts on the first one after `<`, and later reads what was written.
    """

    role: Tensor
    move: Tensor
    offset: Tensor

    def __init__(self, table: TokenTable, offsets: tuple[int, ...]) -> None:
        super().__init__()
        for name, values in (("role", table.roles), ("move", table.moves), ("offset", offsets)):
            self.register_buffer(name, torch.tensor(values), persistent=False)
        self.start_right, self.queue = table.start_right, table.queue

    def keys(self, tokens_BT: Tensor, begin_BT: Tensor | None = None) -> Tensor:
        """The cells around the cursor, for every token of whole rows: (B, T) -> (B, T, K) positions, -1 for none.

        With `begin_BT`, a row is several that lie end to end (see `pack`).
        """
        B, T = tokens_BT.shape
        role_BT = self.role[tokens_BT]
        opens_BT = role_BT == BOUNDARY
        cell_BT = (role_BT > STEP).cumsum(1) - 1  # the number of the newest cell
        segment_BT = opens_BT.cumsum(1)
        at_T = torch.arange(T, device=tokens_BT.device)
        # place[b, n] is the place of cell n; tokens that are not cells go to a spare last column.
        place_BT = at_T.new_zeros(B, T + 1).scatter_(1, cell_BT.where(role_BT > STEP, T), at_T.expand(B, T))
        if begin_BT is None:
            begin_BT = torch.zeros_like(tokens_BT)
        if self.queue:
            begun_BT = cell_BT.gather(1, begin_BT)  # the row's first cell
            started_BT = (role_BT == START).cumsum(1)
            started_BT = started_BT - started_BT.gather(1, begin_BT)
            travelled_BT = (self.move[tokens_BT] * started_BT).cumsum(1)
            travelled_BT = travelled_BT - travelled_BT.gather(1, begin_BT)
            cursor_BT = torch.where(started_BT > 0, begun_BT + 1 + travelled_BT, cell_BT)
            return self._look_up(place_BT, cursor_BT, begun_BT, cell_BT)
        # opener[b, s] is the cell number of the boundary that opens segment s; column 0 is spare.
        opener_BT = at_T.new_zeros(B, T + 1).scatter_(1, segment_BT * opens_BT, cell_BT)
        # The first segment is the input, and there the cursor is simply the token's own place.
        reading_BT = segment_BT > segment_BT.gather(1, begin_BT)
        own_BT = opener_BT.gather(1, segment_BT)  # the cell that opened the token's own segment
        first_BT = opener_BT.gather(1, segment_BT - reading_BT.long())  # the cursor's segment begins here
        last_BT = own_BT.where(reading_BT, cell_BT)  # ... and ends here
        travelled_BT = self.move[tokens_BT].cumsum(1)
        travelled_BT = travelled_BT - travelled_BT.gather(1, place_BT.gather(1, own_BT))
        cursor_BT = torch.where(reading_BT, self._home(first_BT, last_BT) + travelled_BT, last_BT)
        return self._look_up(place_BT, cursor_BT, first_BT, last_BT)

    def program(self, tokens_BT: Tensor) -> Tensor:
        """The mask of `p` heads, which hides everything but the program: (B, T) -> (B, 1, T, P).

        All programs are among the first P tokens. The first token of the row is visible too: a head can attend to it
        if no rule fits.
        """
        program_BT = self.role[tokens_BT] == PROGRAM
        program_BT[:, 0] = True
        P = int(program_BT.any(0).nonzero().max()) + 1
        at_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        seen_BTP = program_BT[:, None, :P] & (at_T[:P] <= at_T[:, None])
        return torch.zeros(seen_BTP.shape, device=tokens_BT.device).masked_fill(~seen_BTP, float("-inf"))[:, None]

    def begin(self, B: int, T: int) -> "CursorState":
        """The state before the first token of B rows of at most T tokens, for `advance`."""
        zero_B = torch.zeros(B, dtype=torch.long, device=self.role.device)
        return CursorState(zero_B.new_zeros(B, T + 1), zero_B, zero_B, zero_B, zero_B, zero_B - 1)

    def advance(self, state: "CursorState", token_B: Tensor, at_B: Tensor) -> tuple["CursorState", Tensor]:
        """One more token in each row, at places `at_B`: the new state and the keys (B, 1, K), in constant time."""
        place_BT, cells_B, first_B, last_B, cursor_B, segment_B = state
        role_B = self.role[token_B]
        opens_B = role_B == BOUNDARY
        is_cell_B = role_B > STEP
        # A cell is entered in the table; any other token goes to the spare last column.
        place_BT.scatter_(1, cells_B.where(is_cell_B, place_BT.shape[1] - 1)[:, None], at_B[:, None])
        if self.queue:  # here segment_B says whether the cursor moves yet, and first_B stays 0
            cursor_B = torch.where(segment_B >= 0, cursor_B + self.move[token_B], 1)
            segment_B, cells_B = segment_B + (role_B == START), cells_B + is_cell_B
            seen_B = torch.where(segment_B >= 0, cursor_B, cells_B - 1)
            keys_BK = self._look_up(place_BT, seen_B[:, None], first_B[:, None], cells_B[:, None] - 1)
            return CursorState(place_BT, cells_B, first_B, last_B, cursor_B, segment_B), keys_BK
        segment_B = segment_B + opens_B
        first_B = torch.where(opens_B, last_B, first_B)
        last_B = torch.where(opens_B, cells_B, last_B)
        cursor_B = torch.where(opens_B, self._home(first_B, last_B), cursor_B + self.move[token_B])
        cells_B = cells_B + is_cell_B
        reading_B = segment_B > 0
        seen_B = torch.where(reading_B, cursor_B, cells_B - 1)
        until_B = torch.where(reading_B, last_B, cells_B - 1)
        keys_BK = self._look_up(place_BT, seen_B[:, None], first_B[:, None], until_B[:, None])
        return CursorState(place_BT, cells_B, first_B, last_B, cursor_B, segment_B), keys_BK

    def _home(self, first: Tensor, last: Tensor) -> Tensor:
        """The cell where the cursor starts, between the boundaries `first` and `last`."""
        return last - 1 if self.start_right else first + 1

    def _look_up(self, place: Tensor, cursor: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Positions of the cells around the cursor (B, T) -> (B, T, K); -1 beyond the segment's boundaries."""
        cursor = torch.minimum(torch.maximum(cursor, first), last)  # a wrong move ends at a boundary
        cell_BTK = cursor[..., None] + self.offset
        inside_BTK = (cell_BTK >= first[..., None]) & (cell_BTK <= last[..., None])
        found_BTK = place.gather(1, (cell_BTK * inside_BTK).flatten(1)).view(cell_BTK.shape)
        return found_BTK.where(inside_BTK, -1)


class CursorState(NamedTuple):
    """The state of the cursor of each row. Cells are given by their numbers."""

    place_BT: Tensor  # of each cell
    cells_B: Tensor  # the number of cells
    first_B: Tensor  # the boundaries of the segment that the cursor is on
    last_B: Tensor
    cursor_B: Tensor
    segment_B: Tensor  # the number of the segment being written; 0 is the input


class Cursor:
    """Follows the cursor through one row: `Coupling.advance` in plain numbers, a hundred times as fast."""

    def __init__(self, coupling: Coupling) -> None:
        self.role, self.move = coupling.role.tolist(), coupling.move.tolist()
        self.offsets, self.start_right = coupling.offset.tolist(), coupling.start_right
        self.places: list[int] = []  # of each cell
        self.segment = -1  # its number; 0 is the first
        self.first = self.last = self.cursor = 0  # cells: the boundaries of the cursor's segment, and the cursor

    @property
    def begin(self) -> int:
        """The place of the first cell that may still be needed."""
        return self.places[self.first]

    def advance(self, token: int, at: int) -> list[int]:
        """One more token, at place `at`: the places of the cells around the cursor, -1 beyond the boundaries."""
        if self.role[token] == BOUNDARY:
            self.segment += 1
            self.first, self.last = self.last, len(self.places)
            self.cursor = self.last - 1 if self.start_right else self.first + 1
        else:
            self.cursor += self.move[token]
        if self.role[token] > STEP:
            self.places.append(at)
        newest = len(self.places) - 1  # in the first segment a token's cursor is its own place
        cursor, last = (self.cursor, self.last) if self.segment > 0 else (newest, newest)
        cursor = min(max(cursor, self.first), last)  # a wrong move ends at a boundary
        cells = [cursor + offset for offset in self.offsets]
        return [self.places[cell] if self.first <= cell <= last else -1 for cell in cells]

    def forget(self, gone: int) -> None:
        """Drop the cells before the cursor's segment; the places of all others decrease by `gone`."""
        self.places = [place - gone for place in self.places[self.first :]]
        self.cursor, self.last, self.first = self.cursor - self.first, self.last - self.first, 0
