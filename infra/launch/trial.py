"""A trial of a sweep: one configuration, and the job that trains it, alone or with others."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ahx.training.metrics import Evaluation
from infra.launch import prices
from infra.launch.backends.backend import Job
from infra.launch.job_request import JobTemplate, key_of
from infra.launch.sweep import Config


@dataclass
class Trial:
    """One configuration of the sweep, with its job."""

    template: JobTemplate
    config: Config
    name: str
    attempt: int = 1  # the number of jobs it has been in, this one included
    job: Job | None = None  # as if it had no other trials
    history: list[Evaluation] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # the reason of each repeated submission
    left: set[str] = field(default_factory=set)  # jobs that no longer count, as it is to be trained again

    @cached_property
    def key(self) -> str:
        return key_of(self.template, self.config)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The latest ones."""
        final = self.job.metrics if self.job else {}
        return {**(self.history[-1] if self.history else {}), **final}

    def elapsed(self, now: float) -> float:
        """Seconds on instances so far."""
        if self.job is None or self.job.started is None:
            return 0.0
        return self.job.seconds or max(0.0, (self.job.ended or now) - self.job.started)

    def cost(self, now: float) -> float:
        """US dollars so far, by the table of prices."""
        seconds = self.job.billed_seconds if self.job and self.job.billed_seconds else self.elapsed(now)
        return prices.usd(self.template.instance_type, seconds) or 0.0

    def again(self, reason: str) -> None:
        """Train it again, in another job."""
        self.lost.append(reason)
        self.job, self.history = None, []


@dataclass
class SweepState:
    """The whole sweep at one moment."""

    sweep: str
    trials: list[Trial]
    note: str = ""  # what the launcher waits for
    ended: bool = False

    def in_flight(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.job is not None and not trial.job.over]

    def cost(self) -> float:
        now = time.time()
        return sum(trial.cost(now) for trial in self.trials)
