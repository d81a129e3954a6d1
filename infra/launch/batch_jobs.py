"""Batches: jobs that train several trials, so that their start-up is paid once.

The jobs themselves are the record: a batch's channel `trials` says which trials it has, and trials.jsonl among its
checkpoints holds their states. So trials may be packed differently at any time, and none is trained twice.
"""

import hashlib
import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ahx.training import trial_states
from ahx.training.trial_states import TrialState
from infra.launch.backends.backend import COMPLETED, FAILED, IN_PROGRESS, INTERRUPTED, STOPPED, Backend, Job
from infra.launch.job_request import address_of, batch_job, batch_name, training_job
from infra.launch.sweep import Config, as_strings
from infra.launch.trial import Trial
from opt_ml.trials_channel import CHANNEL, FILE, Trials

MOST_ATTEMPTS = 3  # at a job that the service loses, unless the user asks for more
UNLISTED_SECONDS = 30.0  # after which a job that is not listed is submitted again; lists may lag behind
UNLISTED = "the job is not listed any more: its process, or the service that kept it, has ended"
_FIRST = 4  # trials of a job, until the first jobs show how long a trial takes
_MOST = 1_000  # trials of a job
_LEAST_TRAINING = 9.0  # seconds of training for each second of start-up, which is then a tenth of the job
_OF_LIMIT = 0.5  # share of a job's time limit that its trials are expected to fill


@dataclass
class Batch:
    """A job of several trials, as far as it is known."""

    job: Job
    keys: Sequence[str] = ()
    states: Mapping[str, TrialState] = field(default_factory=dict)
    listed: float = 0.0  # time.monotonic
    final: bool = False  # `states` are those at its end

    @property
    def interrupted(self) -> bool:
        """Whether its process has died; submitted again, it continues."""
        return self.job.phase == INTERRUPTED


class Batches:
    """All batches of a sweep."""

    def __init__(self, backend: Backend, trials: Sequence[Trial], limits: Mapping[str, Any]) -> None:
        self.backend, self.limits = backend, limits
        self._by_key = {trial.key: trial for trial in trials}
        self._batches: dict[str, Batch] = {}

    def poll(self, listed: Mapping[str, Job], is_retried: Callable[[Trial, str], bool], pool: Executor) -> None:
        """Read what batches say of their trials. Of two batches with the same trial, the later one counts."""
        now = time.monotonic()
        for name, job in listed.items():
            batch = self._batches.setdefault(name, Batch(job))
            batch.job, batch.listed, batch.final = job, now, batch.final and job.over
        for batch in self._batches.values():
            if not batch.job.over and now - batch.listed > UNLISTED_SECONDS:
                batch.job = replace(batch.job, status=FAILED, phase=INTERRUPTED, reason=UNLISTED, ended=time.time())
        list(pool.map(self._read, self._batches.values()))
        for batch in sorted(self._batches.values(), key=lambda batch: batch.job.created):
            for trial in self._trials(batch):
                if batch.job.name not in trial.left and (trial.job is None or trial.in_batch):
                    self._take(trial, batch, is_retried)

    def _read(self, batch: Batch) -> None:
        """Read the keys of a batch once, and its record until the batch has ended."""
        if not batch.keys:
            listed = Trials.parse(self.backend.trials(batch.job), batch.job.trials)
            batch.keys = tuple(trial.key for trial in listed.trials)
        if not batch.final:
            batch.final = batch.job.over
            batch.states = trial_states.parse(self.backend.states(batch.job))

    def _take(self, trial: Trial, batch: Batch, is_retried: Callable[[Trial, str], bool]) -> None:
        """Let `trial` have the state that `batch` gives it, or wait to be trained again."""
        job = _job_of(trial.key, batch, time.time())
        may_go_on = len(trial.lost) < MOST_ATTEMPTS - 1
        if job is None and not may_go_on:
            job = replace(batch.job, status=FAILED, phase=FAILED)
        if job is None or (job.status == FAILED and may_go_on and is_retried(trial, job.reason)):
            trial.left.add(batch.job.name)
            trial.again(batch.job.reason or (job.reason if job else f"its job ended before it: {batch.job.phase}"))
        else:
            trial.job, trial.history = job, [dict(job.metrics)] if job.metrics else []

    def running(self) -> set[str]:
        """The names of batches that have not ended."""
        return {batch.job.name for batch in self._batches.values() if not batch.job.over}

    def pack(self, waiting: Sequence[Trial], room: int) -> list[list[Trial]]:
        """The trials of the next jobs, at most `room` jobs. An interrupted batch continues unchanged."""
        again = [self._trials(batch) for batch in self._batches.values() if batch.interrupted]
        again = [
            trials
            for trials in again
            if any(trial.job is None for trial in trials)
            and all(trial.job is None or trial.job.over for trial in trials)
        ]
        taken = {trial.key for trials in again for trial in trials}
        left = [trial for trial in waiting if trial.key not in taken and trial.template == waiting[0].template]
        n = max(1, self._size(len(left), room - len(again), waiting[0].template.max_runtime))
        return (again + [left[i : i + n] for i in range(0, len(left), n)])[: max(0, room)]

    def _size(self, n_waiting: int, room: int, max_runtime: int) -> int:
        per_job = str(self.limits.get("trials_per_job", 1))
        if per_job != "auto":
            return int(per_job)
        if not self.backend.costs:  # one pool has all processors
            return min(n_waiting, _MOST)
        measured = [one for batch in self._batches.values() if (one := _measure(batch)) is not None]
        return size(n_waiting, max(1, room), measured, max_runtime)

    def request(self, trials: Sequence[Trial]) -> dict[str, Any]:
        """The request of a job: with hyperparameters for one trial, with a file of trials for several."""
        template = trials[0].template
        if len(trials) == 1:
            return training_job(template, trials[0].config, trials[0].attempt)
        keys = [trial.key for trial in trials]
        names = (batch_name(template, keys, attempt) for attempt in itertools.count(1))
        name = next(name for name in names if name not in self._batches or self._batches[name].interrupted)
        text = _trials_json(
            {trial.key: trial.config for trial in trials}, template.max_runtime, self.limits.get("halving")
        )
        with tempfile.TemporaryDirectory(prefix="ahx-") as folder:
            path = Path(folder, FILE)
            path.write_text(text, "utf-8")
            address = self.backend.share([path], hashlib.sha256(text.encode()).hexdigest()[:20])
        return batch_job(template, name, address)

    def submitted(self, request: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """Take note of a job before the backend lists it."""
        address, now = address_of(request, CHANNEL), time.monotonic()
        job = Job(request["TrainingJobName"], IN_PROGRESS, "Starting", created=time.time(), trials=address)
        if address:
            self._batches[job.name] = Batch(job, tuple(trial.key for trial in trials), listed=now)
        for trial in trials:
            if trial.job is None:
                trial.left.discard(job.name)
                trial.job, trial.listed = job, now

    def _trials(self, batch: Batch) -> list[Trial]:
        return [self._by_key[key] for key in batch.keys if key in self._by_key]


class Measured(NamedTuple):
    """What one job has shown, in seconds."""

    start: float  # from its submission to its first trial
    trial: float  # of the job for each trial


def _measure(batch: Batch) -> Measured | None:
    """None for a job that has not ended, or in which no trial has."""
    ended = [(state.started, state.ended) for state in batch.states.values() if state.over and state.ended is not None]
    if not batch.job.over or not ended:
        return None
    began = min(started for started, _ in ended)
    return Measured(max(0.0, began - batch.job.created), (max(end for _, end in ended) - began) / len(ended))


def size(n_waiting: int, room: int, measured: Sequence[Measured], max_runtime: int) -> int:
    """How many trials each of the next jobs takes, with `room` for as many jobs.

    Start-up is at most a tenth of a job, and as many jobs as may run share the trials as far as that allows.

    >>> size(100, 4, [], 3600), size(984, 4, [Measured(120, 1)], 3600), size(984, 4, [Measured(1, 30)], 3600)
    (4, 984, 60)
    """
    if not measured:
        return _FIRST
    start, trial = (max(1e-3, float(statistics.median(values))) for values in zip(*measured, strict=True))
    n_jobs = min(room, max(1, n_waiting // math.ceil(_LEAST_TRAINING * start / trial)))
    fitting = int(_OF_LIMIT * max_runtime / trial)
    return max(1, min(math.ceil(n_waiting / n_jobs), fitting, _MOST))


def _trials_json(configs: Mapping[str, Config], max_seconds: int, halving: int | None) -> str:
    """The file of the channel `trials`, the same for the same trials."""
    trials = [{"key": key, "hyperparameters": as_strings(config)} for key, config in sorted(configs.items())]
    how = {"max_seconds": max_seconds, "halving": halving, "evaluate": False}  # metrics have what ranks trials
    return json.dumps({"format": 1, "trials": trials, **how}) + "\n"


def _job_of(key: str, batch: Batch, now: float) -> Job | None:
    """The trial as if it had a job of its own. None for one without an outcome although its batch has ended."""
    job, state = batch.job, batch.states.get(key)
    own = replace(job, metrics={}, model="", reason="", started=None, ended=None, seconds=0.0, billed_seconds=0.0)
    if state is not None:
        total = sum(one.elapsed for one in batch.states.values())
        seconds = job.billed_seconds or job.seconds or max(0.0, (job.ended or now) - (job.started or now))
        own = replace(
            own,
            started=state.started,
            ended=state.ended,
            seconds=state.elapsed,
            billed_seconds=seconds * state.elapsed / total if total else 0.0,
            metrics=state.metrics,
        )
        if state.over:
            model = job.model if job.over and state.status != FAILED else ""
            return replace(own, status=state.status, phase=state.status, reason=state.reason, model=model)
    if not job.over:
        return replace(own, phase="Waiting" if state is None and job.phase == "Training" else job.phase, ended=None)
    if job.status == COMPLETED or (job.status == STOPPED and job.phase == STOPPED):
        return replace(own, status=job.status, phase=job.status)
    if job.status == FAILED and not batch.interrupted:
        return replace(own, status=FAILED, phase=FAILED, reason=job.reason)
    return None
