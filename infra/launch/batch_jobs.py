"""The jobs of a sweep. Each trains a batch of trials, so that their start-up is paid once.

The jobs themselves are the record: a job's channel `trials` says which trials it has, and trials.jsonl among its
checkpoints holds their states. So trials may be packed differently at any time, and none is trained twice.
"""

import hashlib
import itertools
import json
import math
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from ahx.training import trial_states
from ahx.training.metrics import Evaluation
from ahx.training.tracking.choice import NONE
from ahx.training.trial_states import TrialState
from infra.launch.backends.backend import COMPLETED, FAILED, IN_PROGRESS, INTERRUPTED, STOPPED, Backend, Job
from infra.launch.job_request import JobTemplate, address_of, batch_name, key_of, only_trial, training_job
from infra.launch.sweep import Config, as_strings
from infra.launch.trial import Trial
from opt_ml.trials_channel import CHANNEL, FILE, Trials

MOST_ATTEMPTS = 3  # at a job that the service loses, unless the user asks for more
UNLISTED_SECONDS = 30.0  # after which a job that is not listed is submitted again; lists may lag behind
UNLISTED = "the job is not listed any more: its process, or the service that kept it, has ended"
_FIRST = 4  # trials of a job at least, until the first jobs show how long a trial takes
_MOST = 1_000  # trials of a job
_LEAST_TRAINING = 9.0  # seconds of training for each second of start-up, which is then a tenth of the job
_OF_LIMIT = 0.5  # share of a job's time limit that its trials are expected to fill


@dataclass
class Batch:
    """A job and its trials, as far as they are known."""

    job: Job
    keys: Sequence[str] = ()
    states: Mapping[str, TrialState] = field(default_factory=dict)
    listed: float = 0.0  # time.monotonic
    final: bool = False  # `states` are those at its end
    histories: Mapping[str, list[Evaluation]] = field(default_factory=dict)  # of its trials
    superfluous: bool = False  # another job was training one of its trials when it was submitted

    @property
    def interrupted(self) -> bool:
        """Whether its process has died; submitted again, it continues."""
        return self.job.phase == INTERRUPTED

    def left(self) -> list[str]:
        """The trials that are not over."""
        return [key for key in self.keys if key not in self.states or not self.states[key].over]

    def was_training(self, key: str, when: float) -> bool:
        """Whether the job was under way at that time, and the trial not over."""
        ends = (self.job.ended or 0.0) if self.job.over else math.inf
        if (state := self.states.get(key)) is not None and state.over:
            ends = min(ends, state.ended or 0.0)
        return self.job.created <= when < ends


class Batches:
    """All jobs of a sweep."""

    def __init__(self, backend: Backend, trials: Sequence[Trial], limits: Mapping[str, Any]) -> None:
        self.backend, self.limits = backend, limits
        self._by_key = {trial.key: trial for trial in trials}
        self._batches: dict[str, Batch] = {}
        self._asked_to_stop: set[str] = set()

    def poll(self, listed: Mapping[str, Job], is_retried: Callable[[Trial, str], bool], pool: Executor) -> None:
        """Read the states of all trials. Of two jobs with the same trial, the later one counts."""
        now = time.monotonic()
        for name, job in listed.items():
            batch = self._batches.setdefault(name, Batch(job))
            batch.job, batch.listed, batch.final = job, now, batch.final and job.over
        for batch in self._batches.values():
            if not batch.job.over and now - batch.listed > UNLISTED_SECONDS:
                batch.job = replace(batch.job, status=FAILED, phase=INTERRUPTED, reason=UNLISTED, ended=time.time())
        list(pool.map(self._read, self._batches.values()))
        of_trial: dict[str, list[Batch]] = defaultdict(list)
        for batch in sorted(self._batches.values(), key=lambda batch: (batch.job.created, batch.job.name)):
            earlier = [one for key in batch.keys for one in of_trial[key] if one.was_training(key, batch.job.created)]
            batch.superfluous, left = bool(earlier), set(batch.left())
            for key in batch.keys:
                # What a superfluous job leaves is trained by the other job, or, once this one has ended, by a new one.
                if not (batch.superfluous and key in left and (batch.job.over or of_trial[key])):
                    of_trial[key].append(batch)
        for key, trial in self._by_key.items():
            trial.attempt = max(1, len(of_trial[key]))
            if not of_trial[key]:
                trial.job = None
            elif (latest := of_trial[key][-1]).job.name not in trial.left and not _is_settled(trial, latest):
                self._take(trial, latest, is_retried)

    def _read(self, batch: Batch) -> None:
        """Read the keys of a job's trials once, and its record until the job has ended."""
        job = batch.job
        if not batch.keys and (key := only_trial(job.name)):
            batch.keys = (key,)
        if not batch.keys:
            listed = Trials.parse(self.backend.trials(job), job.trials)
            batch.keys = tuple(trial.key for trial in listed.trials)
        if not batch.final:
            batch.final, histories = job.over, defaultdict(list)
            record = trial_states.lines(self.backend.states(job)) if job.trials else []
            for state in record:
                if state.metrics:
                    histories[state.key].append(dict(state.metrics))
            batch.states, batch.histories = {state.key: state for state in record}, histories

    def _take(self, trial: Trial, batch: Batch, is_retried: Callable[[Trial, str], bool]) -> None:
        """Let `trial` have the state that `batch` gives it, or wait to be trained again."""
        job = _job_of(trial.key, batch, time.time())
        reason = batch.job.reason or (job.reason if job else f"its job ended before it: {batch.job.phase}")
        if job is None and len(trial.lost) >= MOST_ATTEMPTS - 1:
            job = replace(batch.job, status=FAILED, phase=FAILED)
        elif job is not None and job.status == FAILED and is_retried(trial, job.reason):
            job = None
        if job is None:
            trial.left.add(batch.job.name)
            trial.again(reason)
        else:
            trial.job, trial.history = job, batch.histories.get(trial.key, [])

    def running(self) -> list[Batch]:
        """The jobs that have not ended."""
        return [batch for batch in self._batches.values() if not batch.job.over]

    def trials(self, batch: Batch) -> list[Trial]:
        """The trials of a job, without those that are no longer of the sweep."""
        return [self._by_key[key] for key in batch.keys if key in self._by_key]

    def stop(self, batches: Sequence[Batch]) -> None:
        """Ask these jobs to stop, once."""
        for batch in batches:
            if batch.job.name not in self._asked_to_stop:
                self.backend.stop(batch.job.name)
                self._asked_to_stop.add(batch.job.name)

    def pack(self, waiting: Sequence[Trial], slots: int, room: int) -> list[list[Trial]]:
        """The trials of the next jobs, at most `room` jobs, where `slots` may run at once.

        An interrupted job continues unchanged.
        """
        again = [self.trials(batch) for batch in self._batches.values() if batch.interrupted]
        again = [
            trials
            for trials in again
            if any(trial.job is None for trial in trials)
            and all(trial.job is None or trial.job.over for trial in trials)
        ]
        taken = {trial.key for trials in again for trial in trials}
        left = [trial for trial in waiting if trial.key not in taken and trial.template == waiting[0].template]
        n = max(1, self._size(len(left), slots, waiting[0].template))
        return (again + [left[i : i + n] for i in range(0, len(left), n)])[: max(0, room)]

    def _size(self, n_waiting: int, slots: int, template: JobTemplate) -> int:
        per_job = str(self.limits.get("trials_per_job", 1))
        if per_job != "auto":
            return int(per_job)
        if not self.backend.costs:  # one pool has all processors
            return min(n_waiting, _MOST)
        measured = [one for batch in self._batches.values() if (one := _measure(batch)) is not None]
        if not measured:
            return max(_FIRST, n_processors(template.instance_type))
        return size(n_waiting, slots, measured, template.max_runtime)

    def request(self, trials: Sequence[Trial]) -> dict[str, Any]:
        """The request of a job with these trials, whose file is put where the job can read it."""
        template, keys = trials[0].template, [trial.key for trial in trials]
        names = (batch_name(template, keys, attempt) for attempt in itertools.count(1))
        name = next(name for name in names if name not in self._batches or self._batches[name].interrupted)
        configs = [trial.config for trial in trials]
        request, text = job_of_trials(self.backend, template, configs, name, self.limits.get("halving"))
        with tempfile.TemporaryDirectory(prefix="ahx-") as folder:
            path = Path(folder, FILE)
            path.write_text(text, "utf-8")
            self.backend.share([path], _digest(text))
        return request

    def submitted(self, request: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """Take note of a job before the backend lists it."""
        address, now = address_of(request, CHANNEL), time.time()
        job = Job(request["TrainingJobName"], IN_PROGRESS, "Starting", created=now, trials=address)
        self._batches[job.name] = Batch(job, tuple(trial.key for trial in trials), listed=time.monotonic())
        for trial in trials:
            if trial.job is None:
                trial.left.discard(job.name)
                trial.job = job


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


def size(n_waiting: int, slots: int, measured: Sequence[Measured], max_runtime: int) -> int:
    """How many trials each of the next jobs takes, where `slots` jobs may run at once.

    Start-up is at most a tenth of a job, and as many jobs as may run share the trials as far as that allows.

    >>> size(984, 4, [Measured(120, 1)], 3600), size(984, 4, [Measured(1, 30)], 3600)
    (984, 60)
    """
    start, trial = (max(1e-3, float(statistics.median(values))) for values in zip(*measured, strict=True))
    n_jobs = min(slots, max(1, n_waiting // math.ceil(_LEAST_TRAINING * start / trial)))
    fitting = int(_OF_LIMIT * max_runtime / trial)
    return max(1, min(math.ceil(n_waiting / max(1, n_jobs)), fitting, _MOST))


def n_processors(instance_type: str) -> int:
    """The virtual processors of an instance, from the name of its size.

    >>> n_processors("ml.m5.large"), n_processors("ml.c5.xlarge"), n_processors("ml.c5.9xlarge")
    (2, 4, 36)
    """
    found = re.search(r"\.(\d*)xlarge$", instance_type)
    return 4 * int(found[1] or 1) if found else 2


def job_of_trials(
    backend: Backend, template: JobTemplate, configs: Sequence[Config], name: str, halving: int | None
) -> tuple[dict[str, Any], str]:
    """The request of a job with these trials, and its trials.json, the same for the same trials."""
    trials = [{"key": key_of(template, config), "hyperparameters": as_strings(config)} for config in configs]
    trials.sort(key=itemgetter("key"))
    # evaluation.json costs as much as many a trial, and metrics have what ranks trials.
    how = {"max_seconds": template.max_runtime, "halving": halving, "evaluate": len(configs) == 1}
    text = json.dumps({"format": 1, "trials": trials, **how}) + "\n"
    trackers = {str(config.get("track", NONE)) for config in configs}
    return training_job(template, name, backend.shared_at(_digest(text)), trackers), text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _is_settled(trial: Trial, batch: Batch) -> bool:
    """Whether the trial has the state that the job has given it at its end."""
    return batch.final and trial.job is not None and trial.job.over and trial.job.name == batch.job.name


def _job_of(key: str, batch: Batch, now: float) -> Job | None:
    """The trial as if it had a job of its own. None for one without an outcome although its job has ended."""
    job, state = batch.job, batch.states.get(key)
    if not job.trials:  # of an earlier version: its state is that of its trial
        model = job.model if job.status in (COMPLETED, STOPPED) else ""
        return None if batch.interrupted else replace(job, model=model)
    own = replace(job, metrics={}, model="", output="", reason="", started=None, ended=None, seconds=0.0)
    own = replace(own, billed_seconds=0.0)
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
        if job.over and state.status in (COMPLETED, STOPPED):
            own = replace(own, model=f"{job.model}/{key}", output=f"{job.output}/{key}")
        if state.over:
            return replace(own, status=state.status, phase=state.status, reason=state.reason)
    if not job.over:
        return replace(own, phase="Waiting" if state is None and job.phase == "Training" else job.phase, ended=None)
    # A job that was too long: its only trial gets no more time; several trials go on in other jobs.
    if job.status == COMPLETED or (job.status == STOPPED and (job.phase == STOPPED or len(batch.keys) == 1)):
        return replace(own, status=job.status, phase=job.phase)
    if job.status == FAILED and not batch.interrupted:
        return replace(own, status=FAILED, phase=FAILED, reason=job.reason)
    return None
