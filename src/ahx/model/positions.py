"""Where a token stands, and what each attention head may therefore look at.

`transformer.py` asks this file one question per batch of tokens: the `Pattern`. Six answers can be chosen by name:

    none        no position at all; the causal mask alone lets a decoder count (Haviv et al. 2022, arXiv 2203.16634)
    learned     a trained vector per absolute position, added to the token's (GPT-2)
    rope        queries and keys turned by an angle that grows with position (Su et al. 2021, arXiv 2104.09864)
    alibi       scores lowered in proportion to distance (Press et al. 2021, arXiv 2108.12409)
    hard-alibi  half of the heads see only the last 1, 2, 3 ... tokens, the others all
                (Jelassi et al. 2024, arXiv 2402.01032)
    coupled     position coupling: an output token's position *is* the place in the input it is made from
                (Cho et al. 2024, arXiv 2405.20671), here with windows of a few keys around that place

Position coupling is the one that generalises in length: what a head sees is a window around the cursor, the same at
length 10 and at length 1,000. The cursor is not given from outside: every output token the model writes says how
far to move it (`moves`), so it can be followed from the tokens alone. See docs/positions.md for pictures.

Shapes: B rows, T tokens in a row, H heads, D channels of a head, K keys in a window.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

POSITION_SCHEMES = ("coupled", "learned", "none", "rope", "alibi", "hard-alibi")

# What a token is to the coupled heads.
STEP, CELL, BOUNDARY = 0, 1, 2  # writes nothing; writes a symbol; opens a segment (begin, separator, next)
START = -1  # in a queue: the separator, which is no cell; from here on the cursor moves
PROGRAM = -2  # a part of the rules in the prompt: no cell, and all that `p` heads see


@dataclass(frozen=True)
class TokenTable:
    """What the coupled scheme knows about each of the V tokens of the vocabulary."""

    roles: tuple[int, ...]  # STEP, CELL, BOUNDARY, START or PROGRAM
    moves: tuple[int, ...]  # how far the token moves the cursor
    start_right: bool = False  # the cursor starts on the last cell of a segment, not on the first
    queue: bool = False  # all cells are one segment: the cursor comes to read what is being written


class Pattern(NamedTuple):
    """What the heads of every layer may look at. Keys are places in the flattened B * S; -1 stands for no key."""

    sequence_BTK: Tensor | None = None  # for `s` heads: the last K tokens
    coupled_BTK: Tensor | None = None  # for `c` heads: the cells around the cursor
    bias_HTS: Tensor | None = None  # for `g` heads: added to the scores (ALiBi); None means a plain causal mask
    rotation: tuple[Tensor, Tensor] | None = None  # cosine and sine (RoPE)
    asked_R: Tensor | None = None  # the places of the flattened (B * T) that are asked for; None means all
    program_1TP: Tensor | None = None  # for `p` heads: added to the scores of the first P tokens, a batch of (1, T, P)

    def in_batch(self, S: int) -> "Pattern":
        """The pattern for a batch, where row b begins at b * S, made from one whose keys are places in their rows."""
        return self._replace(sequence_BTK=_in_batch(self.sequence_BTK, S), coupled_BTK=_in_batch(self.coupled_BTK, S))

    def keys(self, kind: str) -> Tensor:
        """The windows of heads of a kind: (B, T, K)."""
        keys_BTK = self.sequence_BTK if kind == "s" else self.coupled_BTK
        assert keys_BTK is not None, f"the pattern has no keys for heads of kind {kind!r}"
        return keys_BTK

    def bias(self, a: int, b: int, dtype: torch.dtype) -> Tensor | None:
        """What the global heads from `a` to before `b` add to their scores."""
        bias_HTS = self.bias_HTS
        if bias_HTS is not None and bias_HTS.shape[-3] > 1:  # one bias for each head: take these heads' own
            bias_HTS = bias_HTS[..., a:b, :, :]
        return None if bias_HTS is None else bias_HTS.to(dtype)  # torch 2.13 misreads a float32 mask of float64 queries

    @property
    def n_program(self) -> int:
        """P: all of the program stands among the first P tokens."""
        return 0 if self.program_1TP is None else self.program_1TP.shape[-1]

    def program(self, dtype: torch.dtype) -> Tensor:
        """What program heads add to their scores."""
        assert self.program_1TP is not None, "the pattern has no program for heads of kind 'p'"
        return self.program_1TP.to(dtype)

    @staticmethod
    def causal(q_BTHD: Tensor, k_BSHD: Tensor) -> Tensor:
        """What hides from each query the keys that come after it: (T, S), added to the scores."""
        return q_BTHD.new_full((q_BTHD.shape[1], k_BSHD.shape[1]), float("-inf")).triu(1)

    @staticmethod
    def first_bias(kind: str, H: int, window: int, n_offsets: int) -> nn.Parameter:
        """What a windowed head starts with: +4, a weight of about 0.95 among four, on one place of its own (H, K).

        So it need not find out by trial where to look, which is most of what makes training fast. For `s` heads that
        place is not the token itself. For `p` heads it is the logarithm of a factor on the scores (H, 1).
        """
        if kind == "p":
            return nn.Parameter(torch.ones(H, 1))
        K, first = (window, 1) if kind == "s" else (n_offsets, 0)
        bias_HK = torch.zeros(H, K)
        bias_HK[torch.arange(H), (torch.arange(H) + first) % K] = 4.0
        return nn.Parameter(bias_HK)


def _in_batch(keys_BTK: Tensor | None, S: int) -> Tensor | None:
    if keys_BTK is None or len(keys_BTK) == 1:
        return keys_BTK
    row_B11 = S * torch.arange(len(keys_BTK), device=keys_BTK.device)[:, None, None]
    return torch.where(keys_BTK < 0, keys_BTK, keys_BTK + row_B11)


def pack(tokens_BT: Tensor, places_R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows laid end to end without their padding (token 0), as a single row of N tokens.

    Returns the tokens (1, N), where the row of each begins (1, N), and `places_R` of the flattened B * T renumbered.
    """
    row_N, column_N = tokens_BT.nonzero(as_tuple=True)
    begin_N = torch.arange(len(row_N), device=row_N.device) - column_N
    new = (tokens_BT > 0).flatten().cumsum(0) - 1  # what stood at place i of the flattened B * T now stands at new[i]
    return tokens_BT[row_N, column_N][None], begin_N[None], new[places_R]


def sequence_keys(at_BT: Tensor, size: int, begin_BT: Tensor | None = None) -> Tensor:
    """The positions of the last `size` tokens, the token itself first: (B, T) -> (B, T, K)."""
    keys_BTK = at_BT[..., None] - torch.arange(size, device=at_BT.device)
    return keys_BTK.clamp_min(-1) if begin_BT is None else keys_BTK.where(keys_BTK >= begin_BT[..., None], -1)


class Coupling(nn.Module):
    """Follows the cursor through rows of tokens.

    A row is cut into segments at its boundary tokens: `<` input `>` output. The cursor of a segment moves over the
    cells of the segment before it. A cell is a token that carries a symbol; boundaries count as the cells at either
    end. Steps that write nothing are no cells, which is why cells are numbered and `place` tells where each one stands.
    A queue is one segment of all cells; its cursor starts on the first one after `<`, and reaches what is written.
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
        # place[b, n] is where cell n stands; entries that are not cells go to a spare last column.
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
        """What hides everything but the program from `p` heads: (B, T) -> (B, 1, T, P), P the longest program.

        The token that begins the row stays in sight: that is where a head looks when no rule fits.
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
        """One token more in each row, at positions `at_B`: the new state and the keys (B, 1, K).

        Does in constant time what `keys` does for whole rows; a test holds the two together.
        """
        place_BT, cells_B, first_B, last_B, cursor_B, segment_B = state
        role_B = self.role[token_B]
        opens_B = role_B == BOUNDARY
        is_cell_B = role_B > STEP
        # A cell is entered in the table; anything else is written to the spare last column.
        place_BT.scatter_(1, cells_B.where(is_cell_B, place_BT.shape[1] - 1)[:, None], at_B[:, None])
        if self.queue:  # here segment_B tells whether the cursor moves yet, and first_B stays 0
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
    """Where the cursor of each row is, in cell numbers."""

    place_BT: Tensor  # the position of each cell
    cells_B: Tensor  # how many cells there are
    first_B: Tensor  # the boundaries of the segment that the cursor is on
    last_B: Tensor
    cursor_B: Tensor
    segment_B: Tensor  # the number of the segment being written; 0 is the input


def rope_tables(at: Tensor, D: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle of each position and channel: (T) or (B, T) -> two tables (..., T, 1, D)."""
    frequency = 10_000.0 ** (-torch.arange(0, D, 2, device=at.device) / D)  # (D/2)
    angle = (at[..., None, None] * frequency).repeat_interleave(2, dim=-1)
    return angle.cos(), angle.sin()


def rotate(x_BTHD: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of neighbouring channels by the position's angle; dot products then depend on distance only."""
    cosine, sine = rotation
    turned = torch.stack((-x_BTHD[..., 1::2], x_BTHD[..., 0::2]), dim=-1).flatten(-2)  # each pair by a right angle
    return x_BTHD * cosine + turned * sine


def distance_bias(scheme: str, H: int, query_at: Tensor, key_at: Tensor) -> Tensor:
    """What `alibi` and `hard-alibi` add to the scores; -inf hides the future.

    Queries at (T) or (B, 1, T), keys at (S): -> (H, T, S) or (B, H, T, S).
    """
    distance = query_at[..., None] - key_at
    head_H11 = torch.arange(1, H + 1, device=key_at.device).view(H, 1, 1)
    if scheme == "alibi":
        bias = -(2.0 ** (-8.0 * head_H11 / H)) * distance
    else:  # hard-alibi: head h of the first half sees the last h tokens, the others see all
        hidden = (head_H11 <= H // 2) & (distance >= head_H11)
        bias = torch.zeros(hidden.shape, device=key_at.device).masked_fill(hidden, float("-inf"))
    return bias.masked_fill(distance < 0, float("-inf"))
