"""What each attention head may look at: one `Pattern` for a batch, shared by all layers.

`whole_rows` makes it for rows that are known from end to end (training, scoring), `Steps` for one more token in each
of many rows (decoding). Both evaluate the same description of the position scheme (schemes.py).

Shapes: B rows, T tokens in a row, S tokens that may be keys, H heads, D channels of a head, K keys in a window,
P tokens at the beginning of a row that hold its program.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ahx.model.config import TransformerConfig
from ahx.model.positions.coupling import Coupling


class Pattern(NamedTuple):
    """Positions, windows and masks. A key is a place in its row; -1 stands for no key."""

    sequence_BTK: Tensor | None = None  # for `s` heads: the last K tokens
    coupled_BTK: Tensor | None = None  # for `c` heads: the cells around the cursor
    bias_HTS: Tensor | None = None  # for `g` heads: added to the scores; None means a plain causal mask
    rotation: tuple[Tensor, Tensor] | None = None  # cosine and sine, for queries and keys
    program_1TP: Tensor | None = None  # for `p` heads: added to the scores of the first P tokens, a batch of (1, T, P)

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

    def rotate(self, x_BTHD: Tensor) -> Tensor:
        """Queries or keys with each pair of neighbouring channels rotated by the angle of their position.

        The dot product of a query and a key then depends on their distance only.
        """
        if self.rotation is None:
            return x_BTHD
        cosine, sine = self.rotation
        quarter_BTHD = torch.stack((-x_BTHD[..., 1::2], x_BTHD[..., 0::2]), dim=-1).flatten(-2)  # by a right angle
        return x_BTHD * cosine + quarter_BTHD * sine

    @staticmethod
    def causal(q_BTHD: Tensor, k_BSHD: Tensor) -> Tensor:
        """The mask that hides from each query the keys after it: (T, S), added to the scores."""
        return q_BTHD.new_full((q_BTHD.shape[1], k_BSHD.shape[1]), float("-inf")).triu(1)


def whole_rows(
    config: TransformerConfig, coupling: Coupling | None, tokens_BT: Tensor, begin_BT: Tensor | None = None
) -> Pattern:
    """The pattern of whole rows. With `begin_BT`, a row is several that lie end to end (see `fast_path.pack`)."""
    kinds = set("".join(config.heads))
    at_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
    return Pattern(
        _last_tokens(at_T.expand_as(tokens_BT), config.window, begin_BT) if "s" in kinds else None,
        coupling.keys(tokens_BT, begin_BT) if coupling is not None else None,
        _bias(config, at_T, at_T) if config.scheme.bias else None,
        _rotation(config, at_T),
        coupling.program(tokens_BT) if coupling is not None and "p" in kinds else None,
    )


class Steps:
    """The patterns of B rows that get one more token at a time. Tokens are known by their column in a memory of S.

    Prompts are padded on the right to T tokens, and all rows write from column T on. The padding between is hidden from
    the heads, and positions and windows are counted without it.
    """

    def __init__(
        self, config: TransformerConfig, coupling: Coupling | None, prompt_BT: Tensor, length_B: Tensor, S: int
    ) -> None:
        self.config, self.coupling, self.kinds, (B, T) = config, coupling, set("".join(config.heads)), prompt_BT.shape
        at_T = torch.arange(T, device=prompt_BT.device)
        known_BT = at_T < length_B[:, None]
        self.T, self.gap_B1 = T, T - length_B[:, None]
        # Added to the scores of global heads: hides the columns that hold nothing, or padding.
        self.bias_BS = torch.full((B, S), float("-inf"), device=prompt_BT.device)
        self.bias_BS[:, :T].masked_fill_(known_BT, 0.0)
        self.cursor = None
        if coupling is not None:
            self.cursor = coupling.begin(B, S)
            padded_BT = prompt_BT * known_BT  # padding (token 0) neither writes nor moves: it changes nothing
            for t in range(T):
                self.cursor, _ = coupling.advance(self.cursor, padded_BT[:, t], at_T[t].expand(B))
        self.prompt = whole_rows(config, coupling, prompt_BT)
        program_1TP = self.prompt.program_1TP  # what comes after the program sees all of it
        self.program_11P = None if program_1TP is None else program_1TP[:, :, -1:]

    def step(self, token_B: Tensor, column: int, used: int) -> tuple[Tensor, Pattern]:
        """One more token in each row, in `column`: its position (B, 1), and its pattern over the first `used` columns.

        Positions are below the limit that the scheme sets: rows that have ended go on until they are dropped.
        """
        config, gap_B1 = self.config, self.gap_B1
        at_B1 = column - gap_B1
        if config.limit is not None:
            at_B1 = at_B1.clamp_max(config.limit - 1)
        sequence_BTK = coupled_BTK = bias = None
        if "s" in self.kinds:
            key_at_B1K = _last_tokens(at_B1, config.window)
            own_B1K = key_at_B1K >= (self.T - gap_B1)[:, None]  # what the row wrote stands behind the padding
            sequence_BTK = key_at_B1K + own_B1K * gap_B1[:, None]
        if self.cursor is not None and self.coupling is not None:
            self.cursor, coupled_BTK = self.coupling.advance(self.cursor, token_B, torch.full_like(token_B, column))
        if "g" in self.kinds:
            self.bias_BS[:, column] = 0.0
            bias = self.bias_BS[:, None, None, :used]
            if config.scheme.bias:
                key_S = torch.arange(used, device=token_B.device)
                key_at_BS = torch.where(key_S < self.T, key_S, key_S - gap_B1)
                bias = bias + _bias(config, at_B1[:, None], key_at_BS[:, None, None])
        return at_B1, Pattern(sequence_BTK, coupled_BTK, bias, _rotation(config, at_B1), self.program_11P)

    def keep(self, rows: Tensor) -> None:
        """Continue with some of the rows only."""
        self.gap_B1, self.bias_BS = self.gap_B1[rows], self.bias_BS[rows]
        if self.cursor is not None:
            self.cursor = type(self.cursor)(*(part[rows] for part in self.cursor))
        if self.program_11P is not None:
            self.program_11P = self.program_11P[rows]


def first_bias(kind: str, H: int, config: TransformerConfig) -> Tensor:
    """What the trained biases of neighbouring heads start with: (H, K).

    A windowed head starts with +4, a weight of about 0.95 among four, on one key of its own. So it need not find out by
    trial where to look, which is most of what makes training fast. For `s` heads that key is not the token itself. For
    `p` heads it is the logarithm of a factor on the scores (H, 1).
    """
    if kind == "p":
        return torch.ones(H, 1)
    K, first = (config.window, 1) if kind == "s" else (len(config.offsets), 0)
    bias_HK, head_H = torch.zeros(H, K), torch.arange(H)
    bias_HK[head_H, (head_H + first) % K] = 4.0
    return bias_HK


def _last_tokens(at_BT: Tensor, size: int, begin_BT: Tensor | None = None) -> Tensor:
    """The positions of the last `size` tokens, the token itself first: (B, T) -> (B, T, K)."""
    keys_BTK = at_BT[..., None] - torch.arange(size, device=at_BT.device)
    return keys_BTK.clamp_min(-1) if begin_BT is None else keys_BTK.where(keys_BTK >= begin_BT[..., None], -1)


def _rotation(config: TransformerConfig, at: Tensor) -> tuple[Tensor, Tensor] | None:
    """Cosine and sine of the angle of each position and channel: (T) or (B, T) -> two tables (..., T, 1, D)."""
    if config.scheme.angle is None:
        return None
    D = config.n_embd // config.n_head
    angle = config.scheme.angle(at[..., None, None], torch.arange(0, D, 2, device=at.device), D)
    angle = angle.repeat_interleave(2, dim=-1)
    return angle.cos(), angle.sin()


def _bias(config: TransformerConfig, query_at: Tensor, key_at: Tensor) -> Tensor:
    """The scheme's bias with the causal mask: (T), (S) -> (H, T, S); (B, 1, T), (B, 1, 1, S) -> (B, H, T, S)."""
    assert config.scheme.bias is not None
    distance, H = query_at[..., None] - key_at, config.n_head
    head_H11 = torch.arange(1, H + 1, device=key_at.device).view(H, 1, 1)
    bias: Tensor = config.scheme.bias(distance, head_H11, H).masked_fill(distance < 0, float("-inf"))
    return bias
