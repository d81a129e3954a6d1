"""The training loop: step, evaluate, keep, stop.

Everything random is a function of the seed and the number of the step, never of what happened before: batches, dropout
and evaluation draws. The state of training is therefore the weights, the optimiser's two moments and the step
number; a run that is killed and resumed ends with the same bits as one that was not.
"""

import math
import time
from dataclasses import dataclass
from signal import Signals
from typing import Any

import torch
import torch.distributed as dist

from ahx.errors import AhxError
from ahx.model import checkpoint
from ahx.model.decoding import generate
from ahx.model.scoring import score
from ahx.model.transformer import Transformer
from ahx.training.data import TrainingData
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.metrics import MetricsFile
from ahx.training.places import Places
from ahx.training.progress import Example, Reporter
from ahx.training.schedule import scale
from ahx.training.signals import StopRequest
from ahx.training.step import TrainingStep

N_EXAMPLES = 5
#: "Exact" asks for this lead of the right token's logit over the next best. Of 18 runs of benchmarks/learning.py that
#: stopped at the first 10,000 right samples whatever the lead, 2 were wrong on one or two of the next 10,000.
SAFE_MARGIN = 1.0


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
        self, hp: Hyperparameters, data: TrainingData, model: Transformer, step: TrainingStep, places: Places,
        reporter: Reporter, about: dict[str, Any], stop: StopRequest,
    ) -> None:  # fmt: skip
        self.hp, self.data, self.model, self.train_step = hp, data, model, step
        self.places, self.reporter, self.about, self.stop = places, reporter, about, stop
        self.first = step.rank == 0
        self.validation_rows = data.validation() if self.first else []
        epoch = data.steps_per_epoch
        self.total = hp.max_steps or hp.num_epochs * epoch
        self.evaluate_every = max(1, round(hp.eval_interval * epoch))
        self.checkpoint_every = max(1, round(hp.checkpoint_interval * epoch))
        self.step = 0
        self.seconds = 0.0  # of training so far, in all runs together
        self.best = math.inf  # least validation loss among checkpoints
        self.metrics: dict[str, float | int] = {}
        self.reason = ""  # why training ended, once it has

    def state(self) -> dict[str, Any]:
        """What a resumed run needs besides the weights."""
        optimizer = self.train_step.optimizer.state()
        return {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "metrics": self.metrics,
            "reason": self.reason,
            "optimizer": optimizer,
        }

    def restore(self, state: dict[str, Any], same_limits: bool) -> None:
        """Go on from `state`. A run that had ended stays ended, unless its limits are others now."""
        self.step, self.seconds, self.best = int(state["step"]), float(state["seconds"]), float(state["best"])
        self.metrics, self.reason = dict(state["metrics"]), str(state["reason"]) if same_limits else ""
        self.train_step.optimizer.load_state(state["optimizer"])

    def __call__(self) -> Outcome:
        metrics_file = MetricsFile(self.places.metrics, self.step or None) if self.first else None
        began, seconds_before = time.monotonic(), self.seconds
        losses: list[torch.Tensor] = []
        tokens, since = 0, time.monotonic()
        if self.step >= self.total:
            self.reason = self.reason or f"reached {self.total:,} steps"
        self.stop.prepared()
        (interrupted,) = self._agree(self.stop.signal is not None)
        if interrupted and not self.reason:
            return self._stopped()
        while not self.reason:
            rows = self.data.batch(self.step, self.hp.batch_size)
            rate = scale(self.step, self.total, self.hp.warmup_steps, self.hp.lr_schedule)
            losses.append(self.train_step(rows, self.step, rate))
            tokens += sum(map(len, rows))
            self.step += 1
            self.seconds = seconds_before + time.monotonic() - began
            out_of_time = bool(self.hp.max_seconds) and self.seconds >= (self.hp.max_seconds or 0)
            ends = self.step >= self.total or (out_of_time and self.first)
            if ends or self.step % self.evaluate_every == 0:
                train_loss = float(torch.stack(losses).mean())
                speed = tokens / (time.monotonic() - since)
                self._refuse_nan(train_loss)
                self.reason = self._evaluate(train_loss, speed, metrics_file)
                losses, tokens, since = [], 0, time.monotonic()
            elif self.first and self.step % 10 == 0:
                self.reporter.step(self.step, float(losses[-1]), tokens / (time.monotonic() - since))
            if self.step >= self.total:
                self.reason = self.reason or f"reached {self.total:,} steps"
            elif ends:
                self.reason = self.reason or f"reached {self.hp.max_seconds:g} seconds"
            stopped, interrupted = self._agree(bool(self.reason), self.stop.signal is not None)
            if losses and (interrupted or self.step % self.checkpoint_every == 0):
                self._refuse_nan(float(losses[-1]))
            if interrupted and not stopped:
                return self._stopped()
            if stopped:
                self.reason = self.reason or "ended by the first process"
            if stopped or self.step % self.checkpoint_every == 0:
                self._checkpoint()
        return Outcome(self.step, self.reason, self.metrics)

    def _stopped(self) -> Outcome:
        self._checkpoint()
        return Outcome(self.step, "was asked to stop", self.metrics, self.stop.signal or Signals.SIGTERM)

    def _agree(self, *flags: bool) -> tuple[bool, ...]:
        """In a group of processes, what any of them says holds for all: they must leave the loop at the same step."""
        if self.train_step.world == 1:
            return flags
        told = torch.tensor(flags, dtype=torch.int32, device=self.train_step.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in told.tolist())

    def _evaluate(self, train_loss: float, speed: float, file: MetricsFile | None) -> str:
        """Validate, report, and say why to stop ("" to go on). Only the first process of a group does."""
        if file is None:
            return ""
        hp, data = self.hp, self.data
        scores = score(self.model, self.validation_rows, data.tokenizer.separator)
        self.metrics = {
            "step": self.step,
            "epoch": self.step / data.steps_per_epoch,
            "train_loss": train_loss,
            "val_loss": scores.loss,
            "val_exact": scores.exact,
            "val_margin": scores.margin,
            "tokens_per_second": speed,
            "seconds": self.seconds,
        }
        file.write(self.metrics)
        self.reporter.evaluation(self.metrics, self._examples())
        if hp.min_loss and scores.loss < hp.min_loss:
            return f"validation loss {scores.loss:.2g} is below {hp.min_loss:g}"
        if hp.until_exact and data.fresh is not None and scores.exact == 1.0:
            rows = data.fresh(hp.until_exact, self.step)
            fresh = score(self.model, rows, data.tokenizer.separator)
            right = f"{int(fresh.exact_N.sum()):,} of {len(rows):,} fresh samples are exact"
            self.reporter.say(f"{right}, least margin {fresh.margin:.2f}")
            if fresh.margin >= SAFE_MARGIN:
                return f"all of {len(rows):,} fresh samples are exact"
        if data.check is not None and scores.exact == 1.0:
            check = data.check(self.model)
            self.reporter.say(str(check))
            if check.complete:
                return f"all {check.windows:,} windows are certified"
        return ""

    def _examples(self) -> list[Example]:
        """The first few validation samples, really decoded."""
        tokenizer = self.data.tokenizer
        rows = [list(map(int, row)) for row in self.validation_rows[:N_EXAMPLES]]
        ends = [row.index(tokenizer.separator) + 1 for row in rows]
        prompts = [row[:end] for row, end in zip(rows, ends, strict=True)]
        targets = [row[end:] for row, end in zip(rows, ends, strict=True)]
        # A row that is cut off before the machine stops has nothing to be compared with behind its end.
        limits = [2 * len(own) + 8 if own[-1] == tokenizer.stop else len(own) for own in targets]
        outputs = generate(self.model, prompts, tokenizer.stop, limits)
        return [
            Example(tokenizer.spell(prompt), tokenizer.decode(output), tokenizer.decode(target))
            for prompt, output, target in zip(prompts, outputs, targets, strict=True)
        ]

    def _refuse_nan(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise AhxError(
                f"the loss became {loss} before step {self.step}; start again with a smaller learning_rate "
                f"(now {self.hp.learning_rate:g}) or go on from the last checkpoint with --resume"
            )

    def _checkpoint(self) -> None:
        if not self.first:
            return
        run, name = self.places.run, f"step-{self.step:08d}"
        is_best = self.metrics.get("step") == self.step and self.metrics["val_loss"] < self.best
        if is_best:
            self.best = self.metrics["val_loss"]
        about = {**self.about, "step": self.step, "metrics": self.metrics}
        checkpoint.save(run / checkpoint.CHECKPOINTS / name, self.model, self.data.tokenizer, about, self.state())
        if is_best:
            checkpoint.mark_best(run, name, {"val_loss": self.metrics["val_loss"]})
        checkpoint.prune(run, self.hp.keep_checkpoints)
