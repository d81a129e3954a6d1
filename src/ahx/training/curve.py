"""The learning curve of a run: small evaluations, which decide nothing.

Evaluations on all validation rows cost as much as several steps, so they are far apart. Points of the curve are the
loss and the exact match of a few of these rows, at fixed steps, close together at first. At the steps of an evaluation
they come from its scores; the others take about 1 % of the time (benchmarks/curve.py).
"""

import math
from pathlib import Path

import torch

from ahx.model.batches import to_batch
from ahx.model.scoring import Scores, token_losses
from ahx.training.metrics import MetricsFile
from ahx.training.training_state import Row
from ahx.training.validation import Validation

_ROWS = 10  # or fewer, if there are fewer for validation
_LEAST_STEPS = 6  # between points, with batches of twice as many rows or more
_SHARE = 2  # later, half of the steps so far: by then there are evaluations


class Curve:
    """The points so far, in memory and in a file."""

    def __init__(self, validation: Validation, points: list[Row], path: Path) -> None:
        """Continue after `points`, to which new ones are added. Raises StorageError if the file cannot be written."""
        self.model, self.points, self.file = validation.model, points, MetricsFile(path, points, durable=False)
        self.every = slice(None, None, max(1, -(-len(validation.rows) // _ROWS)))
        marks = validation.data.source.tokenizer
        device = self.model.norm.weight.device
        self.batch = to_batch(validation.rows[self.every], marks.separator, device, restart=marks.configuration)
        self.least = _LEAST_STEPS * max(1, -(-2 * _ROWS // validation.hp.batch_size))

    def is_due(self, step: int) -> bool:
        """Whether it is time for the next point."""
        last = self.points[-1]["step"] if self.points else 0
        return step - last >= max(self.least, last // _SHARE)

    @torch.inference_mode()
    def measure(self, step: int, seconds: float) -> None:
        """Add a point, after `seconds` of training."""
        tokens_BT, scored_R, target_R = self.batch
        if self.model.config.dropout:
            self.model.eval()  # the next step trains again
        logits_RV = self.model(tokens_BT, scored_R).float()
        wrong_R = scored_R[logits_RV.argmax(1) != target_R] // tokens_BT.shape[1]  # rows
        wrong = len(torch.unique(wrong_R))
        self._add(step, float(token_losses(logits_RV, target_R).mean()), 1 - wrong / len(tokens_BT), seconds)

    def take(self, step: int, scores: Scores, seconds: float) -> None:
        """Add the point of an evaluation that has these `scores`."""
        own = Scores(*(one_N[self.every] for one_N in scores))
        self._add(step, own.loss, own.exact, seconds)

    def _add(self, step: int, loss: float, exact: float, seconds: float) -> None:
        if math.isfinite(loss):  # JSON has no other numbers
            point = {"step": step, "val_loss": loss, "val_exact": exact, "seconds": seconds}
            self.points.append(point)
            self.file.write(point)
