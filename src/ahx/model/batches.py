"""Rows of token numbers as tensors: padded on the right, with the places that are scored and their targets."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ahx.data.ragged import Ints
from ahx.data.token_rows import FlatRows, Row

#: Enough for matrix products to be fast, few enough to stay in the cache.
TOKENS_PER_BATCH = 16_384


class Batch(NamedTuple):
    """`tokens_BT` and, for each of the R scored places in the flattened B * T, the token that should come next."""

    tokens_BT: Tensor
    scored_R: Tensor
    target_R: Tensor


def to_batch(
    rows: Sequence[Row] | FlatRows,
    separator: int,
    device: torch.device | str = "cpu",
    length: int = 0,
    restart: int = -1,
) -> Batch:
    """Pad `rows` to the longest (or to `length`) and score everything after the first separator.

    The loss is on the output only: the input is random and cannot be predicted. So a further input, from a token
    `restart` to the next separator, is not scored either.
    """
    flat = FlatRows.of(rows)
    tokens = flat.padded(length)
    at = np.arange(tokens.shape[1])
    prompt = (tokens == separator).argmax(1)  # the first scored place of each row
    scored = np.flatnonzero((at >= prompt[:, None]) & (at < flat.lengths[:, None] - 1))
    if restart >= 0:
        given = (tokens == restart).cumsum(1) > (tokens == separator).cumsum(1)
        scored = scored[~given.reshape(-1)[scored] & (tokens.reshape(-1)[scored + 1] != restart)]
    target = tokens.reshape(-1)[scored + 1]
    return Batch(*(torch.from_numpy(a).to(device, non_blocking=True) for a in (tokens, scored, target)))


def by_length(lengths: Sequence[int] | Ints, tokens_per_batch: int = TOKENS_PER_BATCH) -> Iterator[Ints]:
    """Row numbers in groups of similar length, each of about `tokens_per_batch` tokens including padding."""
    lengths = np.asarray(lengths, np.int64)
    order = np.argsort(lengths, kind="stable")
    begin = 0
    while begin < len(order):
        most = max(1, tokens_per_batch // max(1, int(lengths[order[begin]])))
        ahead = lengths[order[begin : begin + most]]
        size = max(1, int((ahead * np.arange(1, len(ahead) + 1) <= tokens_per_batch).sum()))
        yield order[begin : begin + size]
        begin += size
