"""The training loop: step, evaluate, keep, stop.

Everything random is a function of the seed and the step, never of what happened before: batches, dropout and evaluation
draws. The state of training is therefore the weights, the optimiser's two moments and the step
number; a run that is stopped or killed at any moment and resumed ends with the same bits as one that was not. That
holds for runs without max_seconds: with it the learning rate follows the clock, and a resumed run has the time left.

Of a run on files the best model is kept: at every evaluation that is better than all before there is a checkpoint.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import torch
import torch.distributed as dist

from ahx.errors import AhxError
from ahx.model import checkpoint
from ahx.model.transformer import Transformer
from ahx.text.plural import counted
from ahx.training.curve import Curve
from ahx.training.data import TrainingData
from ahx.training.examples import examples
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.metrics import MetricsFile
from ahx.training.progress import Reporter
from ahx.training.run_paths import RunPaths
from ahx.training.schedule import UNLIMITED, planned_steps, scale
from ahx.training.signals import StopRequest
from ahx.training.step import TrainingStep
from ahx.training.time_limit import EVALUATIONS, TimeLimit
from ahx.training.training_state import Row, TrainingState
from ahx.training.validation import Validation, metrics_of, quality


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    step: int
    reason: str  # a sentence
    metrics: dict[str, float | int]
    signal: Signals | None = None


class Loop:
    """Trains `model` on `data` until one of the stopping conditions of `hp` is met, or a signal asks it to stop."""

    def __init__(
        self, hp: Hyperparameters, data: TrainingData, model: Transformer, step: TrainingStep, paths: RunPaths,
        reporter: Reporter, about: dict[str, Any], stop: StopRequest, began: float | None = None,
    ) -> None:  # fmt: skip
        """`began` is when the run began, by time.monotonic(): a time limit counts from there."""
        self.hp, self.data, self.model, self.train_step = hp, data, model, step
        self.paths, self.reporter, self.about, self.stop = paths, reporter, about, stop
        self.first = step.rank == 0
        self.validation = Validation(hp, data, model, stop, reporter.say) if self.first else None
        epoch = data.steps_per_epoch
        self.total, self.plan = planned_steps(hp, epoch)
        self.evaluate_every, self.checkpoint_every = (
            max(1, self.total // EVALUATIONS if interval is None else round(min(interval * epoch, UNLIMITED)))
            for interval in (hp.eval_interval, hp.checkpoint_interval)
        )
        self.keeps_best = hp.infile is not None
        self.limit = TimeLimit(hp.max_seconds, began)
        self.step = 0
        self.seconds = 0.0  # of training so far, in all runs together
        self.best: Row = {}  # the best evaluation among checkpoints
        self.due: dict[str, float] | None = None  # what training measured for an evaluation still to be made
        self.history: list[Row] = []  # all evaluations
        self.points: list[Row] = []  # of the learning curve
        self.reason = ""  # why training ended, once it has
        self.kept = False  # whether the newest checkpoint holds the present state

    @property
    def metrics(self) -> dict[str, float | int]:
        """The last evaluation."""
        return self.history[-1] if self.history else {}

    @property
    def best_folder(self) -> Path:
        """The checkpoint of the best evaluation."""
        return self.paths.run / checkpoint.CHECKPOINTS / _name(self.best)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs besides the weights."""
        kept = {name: getattr(self, name) for name in TrainingState.model_fields if name != "optimizer"}
        return {**kept, "optimizer": self.train_step.optimizer.state()}

    def restore(self, state: dict[str, Any], same_limits: bool) -> None:
        """Continue from `state`. A run that had ended stays ended, unless its limits have changed.

        Raises CheckpointError for the state of another version or of another model.
        """
        kept = TrainingState.of(state)
        self.train_step.optimizer.load_state(kept.optimizer)
        self.step, self.seconds, self.best = kept.step, kept.seconds, kept.best
        self.due, self.history, self.points = state["due"], kept.history, kept.points
        self.reason = kept.reason if same_limits else ""
        self.kept = True
        if self.best and self.first:
            if self.best_folder.is_dir():
                checkpoint.mark_best(self.paths.run, self.best_folder.name, self.best)
            else:  # deleted after a later checkpoint, which is broken
                self.best = {}

    def __call__(self) -> Outcome:
        file = curve = None
        if self.validation is not None:
            file = MetricsFile(self.paths.metrics, self.history)
            curve = Curve(self.validation, self.points, self.paths.curve)
        began, seconds_before = time.monotonic(), self.seconds
        self.limit.start(self.seconds)
        losses: list[torch.Tensor] = []
        tokens, since = 0, time.monotonic()
        self.stop.prepared()
        while True:
            if self.due is not None:
                self._evaluate(self.due, file, curve)
                losses, tokens, since = [], 0, time.monotonic()
            if self.due is None and not self.reason:
                self.reason = self._limit()
            flags = self.first and bool(self.reason), self.stop.signal is not None
            ended, asked, used = self._agree(*flags, self._time_used)
            if ended or asked or self._is_time_for_a_checkpoint():
                self._refuse_nan(float(losses[-1]) if losses else 0.0)
                self._checkpoint()
            if ended:
                return Outcome(self.step, self.reason or "ended by the first process", self.metrics)
            if asked:
                return Outcome(self.step, "was asked to stop", self.metrics, self.stop.signal or Signals.SIGTERM)
            rows = self.data.source.batch(self.step, self.hp.batch_size)
            rate = scale(self.step, self.total, self.hp.warmup_steps, self.hp.lr_schedule, used)
            losses.append(self.train_step(rows, self.step, rate))
            tokens += sum(map(len, rows))
            self.step, self.kept = self.step + 1, False
            self.seconds = seconds_before + time.monotonic() - began
            if self._limit() or self._is_time_to_evaluate():
                speed = tokens / (time.monotonic() - since)
                self.due = {"train_loss": float(torch.stack(losses).mean()), "tokens_per_second": speed}
                self._refuse_nan(self.due["train_loss"])
            elif self.first and self.step % 10 == 0:
                speed, expected = tokens / (time.monotonic() - since), round(self.step / max(self._time_used, 1e-9))
                self.reporter.step(self.step, float(losses[-1]), speed, min(self.total, expected))
            elif not self.first:
                losses = losses[-1:]
            if curve is not None and self.due is None and curve.is_due(self.step):
                pause = time.monotonic()
                curve.measure(self.step, self.seconds)
                since += time.monotonic() - pause

    @property
    def _time_used(self) -> float:
        """The share of the time limit that has passed. The first process measures it for all."""
        return self.limit.used(self.seconds) if self.first else 0.0

    def _is_time_to_evaluate(self) -> bool:
        if self.hp.eval_interval is None and self.hp.max_seconds is not None:
            return self.first and self.limit.evaluation_is_due(self.seconds)
        return self.step % self.evaluate_every == 0

    def _is_time_for_a_checkpoint(self) -> bool:
        if self.hp.checkpoint_interval is None:  # at each evaluation
            return self.metrics.get("step") == self.step
        return (self.keeps_best and self._is_best()) or (self.step > 0 and self.step % self.checkpoint_every == 0)

    def _limit(self) -> str:
        """The limit that has been reached, as a reason to end; "" for none."""
        if self.step >= self.total:
            return f"reached {counted(self.total, 'step')}"
        if self.step and self._time_used >= 1:
            return f"reached {self.limit.seconds:g} seconds"
        return ""

    def _agree(self, *values: float) -> tuple[float, ...]:
        """In a group of processes, the greatest of each value: they must leave the loop at the same step."""
        if self.train_step.world == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float32, device=self.train_step.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return tuple(shared.tolist())

    def _evaluate(self, measured: dict[str, float], file: MetricsFile | None, curve: Curve | None) -> None:
        """Validate, report, and see whether that is a reason to end. Only the first process of a group does.

        When training is asked to stop meanwhile, the evaluation stays due: a resumed run begins with it.
        """
        if self.validation is None or file is None or curve is None:
            self.due = None
            return
        began, rows = time.monotonic(), self.validation.rows
        scores = self.validation.scores(rows)
        if scores is None:
            return
        metrics = {
            "step": self.step,
            "epoch": self.step / self.data.steps_per_epoch,
            "train_loss": measured["train_loss"],
            **metrics_of(scores),
            "tokens_per_second": measured["tokens_per_second"],
            "seconds": self.seconds,
        }
        self.reporter.evaluation(metrics, examples(self.model, self.data.source.tokenizer, rows, scores))
        reason = self.validation.good_enough(scores, [*self.history, metrics])
        if reason is not None:
            self.due, self.kept, self.reason = None, False, reason
            self.history.append(metrics)
            file.write(metrics)
            curve.take(self.step, scores, self.seconds)
        self.limit.evaluating, self.limit.evaluated = time.monotonic() - began, self.seconds

    def validate(self) -> dict[str, float]:
        """The metrics of validation for the model as it is; none when training was asked to stop meanwhile."""
        scores = self.validation.scores(self.validation.rows) if self.validation is not None else None
        return {} if scores is None else metrics_of(scores)

    def _refuse_nan(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise AhxError(
                f"the loss became {loss} before step {self.step}; start again with a smaller learning_rate "
                f"(now {self.hp.learning_rate:g}) or continue from the last checkpoint with --resume"
            )

    def _checkpoint(self) -> None:
        if not self.first or self.kept:
            return
        began, run, name = time.monotonic(), self.paths.run, _name({"step": self.step})
        is_best = self._is_best()
        if is_best:
            self.best = {key: self.metrics[key] for key in ("step", "val_exact", "val_loss")}
        about = {**self.about, "step": self.step, "metrics": self.metrics}
        checkpoint.save(
            run / checkpoint.CHECKPOINTS / name, self.model, self.data.source.tokenizer, about, self.state()
        )
        if is_best:
            checkpoint.mark_best(run, name, self.best)
        checkpoint.prune(run, self.hp.keep_checkpoints)
        self.kept, self.limit.writing = True, time.monotonic() - began

    def _is_best(self) -> bool:
        """Whether the model as it is validated better than those of all checkpoints."""
        return self.metrics.get("step") == self.step and (not self.best or quality(self.metrics) > quality(self.best))


def _name(evaluation: Mapping[str, float | int]) -> str:
    """The name of the checkpoint at the step of `evaluation`."""
    return f"step-{evaluation['step']:08d}"
