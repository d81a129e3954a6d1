"""Rows of token numbers as tensors: padded on the right, with the places that are scored and what belongs there."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ahx.data.dataset import Row

#: Enough for matrix products to be fast, few enough to stay in the cache.
TOKENS_PER_BATCH = 16_384


class Batch(NamedTuple):
    """`tokens_BT` and, for each of the R scored places in the flattened B * T, the token that should come next."""

    tokens_BT: Tensor
    scored_R: Tensor
    target_R: Tensor


def to_batch(rows: Sequence[Row], separator: int, device: torch.device | str = "cpu", length: int = 0) -> Batch:
    """Pad `rows` to the longest (or to `length`) and score everything after the first separator.

    The loss is taken on the output only: the input is random, and a model that tries to predict it learns noise.
    """
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    T = max(int(lengths.max()), length)
    tokens = np.zeros((len(rows), T), np.int64)
    at = np.arange(T)
    tokens[at < lengths[:, None]] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    prompt = (tokens == separator).argmax(1)  # a row's place for its first scored token
    scored = np.flatnonzero((at >= prompt[:, None]) & (at < lengths[:, None] - 1))
    target = tokens.reshape(-1)[scored + 1]
    return Batch(*(torch.from_numpy(a).to(device, non_blocking=True) for a in (tokens, scored, target)))


def by_length(rows: Sequence[Row], tokens_per_batch: int = TOKENS_PER_BATCH) -> Iterator[list[int]]:
    """The numbers of `rows` in groups of similar length, each of about `tokens_per_batch` tokens with its padding."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    group: list[int] = []
    for i in order:
        if group and len(rows[i]) * (len(group) + 1) > tokens_per_batch:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
