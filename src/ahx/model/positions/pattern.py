"""What each attention head may look at: one `Pattern` for a batch, shared by all layers.

`whole_rows` makes it for rows that are known from end to end (training, scoring), `Steps` for one more token in each
of many rows (decoding). Both evaluate the same description of the position scheme (schemes.py).

Shapes: B rows, T tokens in a row, S tokens that may be keys, H heads, D channels of a head, K keys in a window.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ahx.model.config import TransformerConfig
from ahx.model.positions import ngrams
from ahx.model.positions.coupling import Coupling


class Pattern(NamedTuple):
    """Windows for heads of the kinds `s` and `c`, masks for `g` and `p`, angles for all of them, and n-grams."""

    windows: Mapping[str, Tensor] = {}  # the keys of each token (B, T, K), places in its row; -1 stands for no key
    masks: Mapping[str, Tensor] = {}  # added to scores: (H, T, S) or (B, H, T, S), where H may be 1; none means causal
    rotation: tuple[Tensor, Tensor] | None = None  # cosine and sine, for queries and keys
    grams: Tensor | None = None  # the n-grams of each token (B, T, G), for the embedding

    def mask(self, kind: str, a: int, b: int, dtype: torch.dtype) -> Tensor | None:
        """The mask of the heads from `a` to before `b`. It ends where its kind of heads sees nothing more."""
        mask = self.masks.get(kind)
        if mask is not None and mask.shape[-3] > 1:  # one for each head
            mask = mask[..., a:b, :, :]
        return None if mask is None else mask.to(dtype)  # torch 2.13 misreads a float32 mask of float64 queries

    def rotate(self, x_BTHD: Tensor) -> Tensor:
        """Queries or keys, with each pair of neighbouring channels rotated by the angle of their position."""
        if self.rotation is None:
            return x_BTHD
        cosine, sine = self.rotation
        quarter_BTHD = torch.stack((-x_BTHD[..., 1::2], x_BTHD[..., 0::2]), dim=-1).flatten(-2)  # by a right angle
        return x_BTHD * cosine + quarter_BTHD * sine


def causal(q_BTHD: Tensor, k_BSHD: Tensor) -> Tensor:
    """The mask that hides from each query the keys after it: (T, S)."""
    return q_BTHD.new_full((q_BTHD.shape[1], k_BSHD.shape[1]), float("-inf")).triu(1)


def whole_rows(
    config: TransformerConfig, coupling: Coupling | None, tokens_BT: Tensor, begin_BT: Tensor | None = None
) -> Pattern:
    """The pattern of whole rows. With `begin_BT`, a row is several that lie end to end (see `fast_path.pack`)."""
    at_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
    windows, masks = {}, {}
    if "s" in config.kinds:
        windows["s"] = _last_tokens(at_T.expand_as(tokens_BT), config.window, begin_BT)
    if "c" in config.kinds and coupling is not None:
        windows["c"] = coupling.keys(tokens_BT, begin_BT)
    if "p" in config.kinds and coupling is not None:
        masks["p"] = coupling.program(tokens_BT)
    if config.scheme.bias:
        masks["g"] = _bias(config, at_T, at_T)
    grams = None
    if config.ngrams:
        last_BTK = _last_tokens(at_T.expand_as(tokens_BT), ngrams.LAST, begin_BT)
        grams = ngrams.numbers(config, tokens_BT, last_BTK, windows.get("c"))
    return Pattern(windows, masks, _rotation(config, at_T), grams)


class Steps:
    """The patterns of B rows that get one more token at a time. A token is known by its column in a memory of S.

    Prompts are padded on the right to T tokens, and all rows write from column T on. The padding between is hidden from
    the heads, and positions and windows are counted without it.
    """

    def __init__(
        self, config: TransformerConfig, coupling: Coupling | None, prompt_BT: Tensor, length_B: Tensor, S: int
    ) -> None:
        self.config, self.coupling, (B, self.T) = config, coupling, prompt_BT.shape
        at_T = torch.arange(self.T, device=prompt_BT.device)
        known_BT, self.gap_B1 = at_T < length_B[:, None], self.T - length_B[:, None]
        # The mask of global heads: hides the columns that hold nothing, or padding.
        self.mask_BS = torch.full((B, S), float("-inf"), device=prompt_BT.device)
        self.mask_BS[:, : self.T].masked_fill_(known_BT, 0.0)
        self.cursor = coupling.begin(B, S) if coupling is not None else None
        padded_BT = prompt_BT * known_BT  # padding (token 0) neither writes nor moves: it changes nothing
        # Only n-grams look up tokens. Without them nothing is kept, as `keep` copies it.
        self.tokens_BS = F.pad(padded_BT, (0, S - self.T)) if config.ngrams else padded_BT[:, :0]
        for t in range(self.T if self.cursor is not None else 0):
            self._advance(padded_BT[:, t], at_T[t].expand(B))
        self.prompt = whole_rows(config, coupling, prompt_BT)
        program = self.prompt.masks.get("p")
        self.program = None if program is None else program[:, :, -1:]  # tokens after the program see all of it

    def step(self, token_B: Tensor, column: int, used: int) -> tuple[Tensor, Pattern]:
        """One more token in each row, in `column`: its position (B, 1), and its pattern over the first `used` columns.

        Positions stay below the limit that the scheme sets: rows that have ended go on until they are dropped.
        """
        config, gap_B1, windows, masks = self.config, self.gap_B1, {}, {}
        at_B1 = column - gap_B1
        if config.limit is not None:
            at_B1 = at_B1.clamp_max(config.limit - 1)
        if "s" in config.kinds:
            windows["s"] = self._last(at_B1, config.window)
        if (keys_B1K := self._advance(token_B, torch.full_like(token_B, column))) is not None:
            windows["c"] = keys_B1K
        if self.program is not None:
            masks["p"] = self.program
        if "g" in config.kinds:
            self.mask_BS[:, column] = 0.0
            masks["g"] = self.mask_BS[:, None, None, :used]
            if config.scheme.bias:
                key_S = torch.arange(used, device=token_B.device)
                key_at_BS = torch.where(key_S < self.T, key_S, key_S - gap_B1)
                masks["g"] = masks["g"] + _bias(config, at_B1[:, None], key_at_BS[:, None, None])
        grams = None
        if config.ngrams:
            self.tokens_BS[:, column] = token_B
            grams = ngrams.numbers(config, self.tokens_BS, self._last(at_B1, ngrams.LAST), windows.get("c"))
        return at_B1, Pattern(windows, masks, _rotation(config, at_B1), grams)

    def keep(self, rows: Tensor) -> None:
        """Continue with some of the rows only."""
        self.gap_B1, self.mask_BS, self.tokens_BS = self.gap_B1[rows], self.mask_BS[rows], self.tokens_BS[rows]
        if self.cursor is not None:
            self.cursor = type(self.cursor)(*(part[rows] for part in self.cursor))
        if self.program is not None:
            self.program = self.program[rows]

    def _last(self, at_B1: Tensor, size: int) -> Tensor:
        """The columns of the last `size` tokens: (B, 1, K)."""
        key_at_B1K = _last_tokens(at_B1, size)
        own_B1K = key_at_B1K >= (self.T - self.gap_B1)[:, None]  # what the row wrote stands behind the padding
        return key_at_B1K + own_B1K * self.gap_B1[:, None]

    def _advance(self, token_B: Tensor, at_B: Tensor) -> Tensor | None:
        """Moves the cursor: the cells around it (B, 1, K)."""
        if self.cursor is None or self.coupling is None:
            return None
        self.cursor, keys_B1K = self.coupling.advance(self.cursor, token_B, at_B)
        return keys_B1K


def first_bias(kind: str, H: int, config: TransformerConfig) -> Tensor:
    """What the trained biases of neighbouring heads start with: (H, K).

    A windowed head starts with +4, a weight of about 0.95 among four, on one key of its own. So it need not find out by
    trial where to look, which is most of what makes training fast. For `s` heads that key is not the token itself. For
    `p` heads the only entry is the logarithm of a factor on the scores.
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
