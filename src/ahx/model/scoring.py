"""Teacher-forced scoring: whether greedy decoding would write the right output, in one forward pass.

The model is given the right output, and predicts the next token at every place at once. If the right token has the
highest logit everywhere, greedy decoding writes exactly this output: its first token is right, so it has the right
prefix for the second, and so on (by induction). Otherwise it goes wrong at the first place where the highest logit is
another token's. This holds up to rounding between kernels; `tests/model` compares with decoding token by token.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ahx.data.token_rows import FlatRows, Row
from ahx.model.batches import by_length, to_batch
from ahx.model.transformer import Transformer

# Cached decoding and whole rows differ by about 1e-5 logits in float32: a lead below this is decided by decoding.
DOUBTFUL = 1e-3


class Scores(NamedTuple):
    """The result for each of N rows."""

    loss_N: np.ndarray  # mean cross-entropy of a row's output tokens, in nats
    tokens_N: np.ndarray  # how many there are
    wrong_N: np.ndarray  # place of the first wrong output token, -1 when all are right
    log_N: np.ndarray  # log probability of all output tokens, from softmax(logits / calibration), in nats
    margin_N: np.ndarray  # least difference of the right token's logit and the best other one; negative when wrong

    @property
    def exact_N(self) -> np.ndarray:
        return self.wrong_N < 0

    @property
    def exact(self) -> float:
        """The share of rows that are right from end to end."""
        return float(self.exact_N.mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy per output token, in nats."""
        return float((self.loss_N * self.tokens_N).sum() / self.tokens_N.sum())

    @property
    def margin(self) -> float:
        return float(self.margin_N.min())


def token_losses(logits_RV: Tensor, target_R: Tensor, reduction: str = "none") -> Tensor:
    """Cross-entropy in nats: (R), or with reduction "sum" all together."""
    if logits_RV.shape[1] < 32:
        # For few tokens softmax is faster over a strided dimension: 2.5 to 5 times for 8 tokens, slower for 56 or more.
        return F.cross_entropy(logits_RV.T[None], target_R[None], reduction=reduction).squeeze(0)
    return F.cross_entropy(logits_RV, target_R, reduction=reduction)


def margins(logits_RV: Tensor, target_R: Tensor) -> Tensor:
    """The right token's logit minus the best other one: (R). Overwrites `logits_RV`, which saves a copy."""
    right_R = logits_RV.gather(1, target_R[:, None])[:, 0]
    return right_R - logits_RV.scatter_(1, target_R[:, None], float("-inf")).amax(1)


@torch.inference_mode()
def score(
    model: Transformer, rows: Sequence[Row] | FlatRows, separator: int, restart: int = -1, calibration: float = 1.0
) -> Scores:
    """Scores of `rows`, each an input and its right output in tokens (or several: see `to_batch`)."""
    was_training = model.training
    model.eval()
    device = model.norm.weight.device
    flat = FlatRows.of(rows)
    n = len(flat)
    scores = Scores(np.zeros(n), np.zeros(n, np.int64), np.full(n, -1), np.zeros(n), np.full(n, np.inf))
    for group in by_length(flat.lengths):
        batch = to_batch(flat.pick(group), separator, device, restart=restart)
        logits_RV = model(batch.tokens_BT, batch.scored_R).float()
        loss_R = token_losses(logits_RV, batch.target_R).cpu().numpy()
        cooled_R = loss_R
        if calibration != 1.0:
            cooled_R = token_losses(logits_RV / calibration, batch.target_R).cpu().numpy()
        margin_R = margins(logits_RV, batch.target_R).cpu().numpy()
        row_R = (batch.scored_R // batch.tokens_BT.shape[1]).cpu().numpy()
        begin_B = np.searchsorted(row_R, np.arange(len(group)))  # scored places are in order of their rows
        count_B = np.diff(np.append(begin_B, len(row_R)))
        scores.tokens_N[group] = count_B
        scores.loss_N[group] = np.add.reduceat(loss_R, begin_B) / count_B
        scores.log_N[group] = -np.add.reduceat(cooled_R.astype(np.float64), begin_B)
        scores.margin_N[group] = np.minimum.reduceat(margin_R, begin_B)
        place_R = np.where(margin_R > 0, len(margin_R), np.arange(len(margin_R)) - begin_B[row_R])
        first_B = np.minimum.reduceat(place_R, begin_B)
        scores.wrong_N[group] = np.where(first_B == len(margin_R), -1, first_B)
    model.train(was_training)
    return scores
