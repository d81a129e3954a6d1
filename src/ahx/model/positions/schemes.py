"""The position schemes: how a model knows the position of a token in its row. A new scheme is one entry in this file.

A scheme is a set of formulas over positions. Training evaluates them for whole rows, decoding for one token at a time.
The settings are read from this file before torch is imported, so it uses methods of tensors and does not import torch.

Shapes: B rows, T tokens (queries), S keys, H heads, C channels, D channels of a head.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tensor = Any  # torch.Tensor


@dataclass(frozen=True)
class Scheme:
    """What a scheme adds to the model. None adds nothing."""

    about: str  # for the help of --pos

    #: Added to the embeddings: (positions (..., T), C, the embedding of `trained`) -> (..., T, C).
    vector: Callable[[Tensor, int, Any], Tensor] | None = None

    #: The model has a trained vector for each position, so a row has at most block_size tokens.
    trained: bool = False

    #: By which angle pairs of channels of queries and keys are rotated, so that a head needs an even number of them:
    #: (positions (..., T, 1, 1), first channel of each pair (D/2), D) -> (..., T, 1, D/2).
    angle: Callable[[Tensor, Tensor, int], Tensor] | None = None

    #: Added to the scores of global heads: (position of the query minus that of the key (..., T, S), number of the
    #: head from 1 on (H, 1, 1), H) -> (..., H, T, S). The causal mask is added to it.
    bias: Callable[[Tensor, Tensor, int], Tensor] | None = None

    #: There is a cursor (coupling.py), so heads may be coupled (c) and program heads (p).
    coupled: bool = False


def _rope(at: Tensor, channel: Tensor, D: int) -> Tensor:
    """Su et al. 2021, arXiv 2104.09864."""
    return at * 10_000.0 ** (-channel / D)


def _alibi(distance: Tensor, head: Tensor, H: int) -> Tensor:
    """Press et al. 2021, arXiv 2108.12409."""
    return -(2.0 ** (-8.0 * head / H)) * distance


def _hard_alibi(distance: Tensor, head: Tensor, H: int) -> Tensor:
    """Head h of the first half sees the last h tokens, the others see all (Jelassi et al. 2024, arXiv 2402.01032)."""
    hidden = (head <= H // 2) & (distance >= head)
    return hidden.float().masked_fill(hidden, float("-inf"))  # 0 where it is not hidden


SCHEMES = {
    # The position of an output token is the place in the input that it is made from (Cho et al. 2024,
    # arXiv 2405.20671), here with windows of a few keys around that place. It generalises in length: the window is the
    # same at length 10 and at length 1,000.
    "coupled": Scheme("windows around a cursor, which the output tokens move", coupled=True),
    # GPT-2.
    "learned": Scheme("a trained vector for each position", vector=lambda at, C, trained: trained(at), trained=True),
    # Decoders can count by the causal mask alone (Haviv et al. 2022, arXiv 2203.16634).
    "none": Scheme("the causal mask alone"),
    "rope": Scheme("queries and keys rotated by an angle that grows with the position", angle=_rope),
    "alibi": Scheme("scores lowered in proportion to distance", bias=_alibi),
    "hard-alibi": Scheme("half of the heads see only the last 1, 2, 3, ... tokens", bias=_hard_alibi),
}
