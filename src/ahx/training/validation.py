"""Validation of a model in training: its scores, and whether they are a reason to stop."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ahx.data.token_rows import Row
from ahx.model.scoring import Scores, score
from ahx.model.transformer import Transformer
from ahx.text.plural import counted
from ahx.training.data import TrainingData
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.signals import StopRequest

#: "Exact" requires this lead of the right token's logit over the next best. Of 18 runs of benchmarks/learning.py that
#: stopped at the first 10,000 right samples whatever the lead, 2 were wrong on one or two of the next 10,000.
SAFE_MARGIN = 1.0
#: Rows that are scored between checks for a stop request.
ROWS_AT_ONCE = 10_000

Evaluation = Mapping[str, float | int]


class Validation:
    """Scores `model` on the validation rows of `data`, always the same ones."""

    def __init__(
        self, hp: Hyperparameters, data: TrainingData, model: Transformer, stop: StopRequest, say: Callable[[str], None]
    ) -> None:
        self.hp, self.data, self.model, self.stop, self.say = hp, data, model, stop, say
        self.rows = data.source.validation_rows(hp.val_samples)

    def scores(self, rows: Sequence[Row]) -> Scores | None:
        """The scores of `rows`; None when training was asked to stop before they were complete."""
        parts = []
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            if self.stop.signal is not None:
                return None
            own, marks = rows[begin : begin + ROWS_AT_ONCE], self.data.source.tokenizer
            parts.append(score(self.model, own, marks.separator, marks.configuration))
        return Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def good_enough(self, scores: Scores, history: Sequence[Evaluation]) -> str | None:
        """Why to end after the last evaluation of `history`, which has these `scores`; "" to continue.

        None when training was asked to stop before that was known.
        """
        hp = self.hp
        if hp.min_loss and scores.loss < hp.min_loss:
            return f"validation loss {scores.loss:.2g} is below {hp.min_loss:g}"
        recent, before = history[-hp.patience :], history[: -hp.patience]
        if hp.patience and before and max(map(quality, recent)) <= max(map(quality, before)):
            return f"no better validation in {counted(hp.patience, 'evaluation')}"
        if scores.exact != 1.0:
            return ""
        if hp.until_exact and (ended := self._all_exact(int(history[-1]["step"]))) != "":
            return ended
        if self.data.check is not None:
            check = self.data.check(self.model)
            self.say(str(check))
            if check.complete:
                return f"all {check.windows:,} windows are certified"
        return ""

    def _all_exact(self, step: int) -> str | None:
        """The same for hp.until_exact fresh samples; where none can be drawn, for as many validation lines."""
        hp, source = self.hp, self.data.source
        rows, what, least = source.fresh_rows(hp.until_exact, step), "fresh samples", SAFE_MARGIN
        if rows is None and hp.infile:
            rows, what, least = source.validation_rows(hp.until_exact), "validation lines", 0.0
        if rows is None:
            return ""
        fresh = self.scores(rows)
        if fresh is None:
            return None
        self.say(f"{int(fresh.exact_N.sum()):,} of {len(rows):,} {what} are exact, least margin {fresh.margin:.2f}")
        return f"all of {len(rows):,} {what} are exact" if fresh.exact == 1.0 and fresh.margin >= least else ""


def quality(evaluation: Evaluation) -> tuple[float, float]:
    """What is greater for a better model: right answers first, then the loss."""
    return evaluation["val_exact"], -evaluation["val_loss"]


def metrics_of(scores: Scores) -> dict[str, float]:
    """The metrics of validation."""
    return {"val_loss": scores.loss, "val_exact": scores.exact, "val_margin": scores.margin}
