"""Runs a sweep: submits missing jobs, as many at a time as may run, and watches the others.

It keeps no state: everything is read from the backend. So it may be killed at any moment and started again, on another
machine too; a job whose name exists was submitted before. Jobs of several trials are the part of batch_jobs.py.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ahx.errors import ServiceError
from ahx.training.halving import hopeless
from ahx.training.metrics import Evaluation, evaluations
from infra.launch import prices
from infra.launch.backends.backend import (
    FAILED,
    Backend,
    JobExistsError,
    Manifest,
    QuotaExceededError,
    RoleNotReadyError,
    ServiceBusyError,
)
from infra.launch.batch_jobs import MOST_ATTEMPTS, UNLISTED, UNLISTED_SECONDS, Batches
from infra.launch.job_request import JobTemplate, job_name, job_pattern
from infra.launch.trial import SweepState, Trial

ROLE_SECONDS = 90.0  # new roles are assumable within this
PATIENCE_SECONDS = 600.0  # with a service that does not answer
_LOST = ("InternalServerError", "CapacityError")  # FailureReasons that the service is to blame for (API RetryStrategy)
_THREADS = 8


class Engine:
    """One launcher of one sweep."""

    def __init__(
        self,
        backend: Backend,
        sweep: str,
        manifest: Manifest,
        *,
        retry_failed: bool = False,
        on_change: Callable[[SweepState], None] = lambda state: None,
        pace: tuple[float, float] = (0.5, 30.0),
    ) -> None:
        self.backend, self.manifest, self.retry_failed, self.on_change = backend, manifest, retry_failed, on_change
        self.pace = pace
        self.state = SweepState(sweep, [Trial(manifest.templates[n], c, "") for n, c in manifest.entries])
        self._by_name: dict[str, Trial] = {}
        for trial in self.state.trials:
            trial.name = job_name(trial.template, trial.config)
            self._by_name[trial.name] = trial
        self._batches = Batches(backend, self.state.trials, manifest.limits)
        self._cursors: dict[str, Any] = {}
        self._asked_to_stop: set[str] = set()
        self._first_poll = True
        self._room: tuple[int, float] | None = (
            None  # jobs in flight when the quota was last exceeded, and when that was
        )
        self._role_refused: float | None = None
        self._pool = ThreadPoolExecutor(_THREADS)

    def run(self) -> SweepState:
        """Until every job has ended. Raises ServiceError when the backend stays unavailable, or refuses a job."""
        interval, trouble = self.pace[0], None
        try:
            while True:
                try:
                    changed = self.poll()
                    changed = self.submit() or changed
                    trouble = None
                except ServiceBusyError as error:
                    trouble = trouble or time.monotonic()
                    changed, self.state.note = False, str(error)
                    if time.monotonic() - trouble > PATIENCE_SECONDS:
                        raise ServiceError(
                            f"{error}; the jobs continue; to watch them again: `ahx jobs attach {self.state.sweep}`"
                        ) from error
                self.on_change(self.state)
                if self.state.ended:
                    return self.state
                interval = self.pace[0] if changed else min(interval * 1.5, self.pace[1])
                time.sleep(interval)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def poll(self) -> bool:
        """Read the jobs' states; whether anything has changed."""
        jobs = self.backend.jobs(self.state.sweep)
        before = {trial.name: trial.job for trial in self.state.trials}
        pattern = job_pattern(self.state.trials[0].template.stack_id, self.state.sweep) if self.state.trials else None
        batches = {name: job for name, job in jobs.items() if job.trials}
        self._batches.poll(batches, self._is_retried, self._pool)
        for name, job in jobs.items():
            match = pattern.fullmatch(name) if pattern else None
            trial = self._by_name.get(match[1]) if match else None
            attempt = int(match[2] or 1) if match else 0
            if (
                trial is not None
                and attempt >= trial.attempt
                and not (trial.in_batch and trial.job and trial.job.created > job.created)
            ):
                trial.name, trial.attempt, trial.job = name, attempt, job
        now = time.monotonic()
        for trial in [trial for trial in self.state.trials if not trial.in_batch]:
            trial.listed = now if trial.name in jobs else trial.listed
            if trial.job is not None and trial.job.status == FAILED and self._is_retried(trial, trial.job.reason):
                trial.attempt += 1
                trial.name = job_name(trial.template, trial.config, trial.attempt)
                trial.again(trial.job.reason)
            elif trial.job is not None and not trial.job.over and now - trial.listed > UNLISTED_SECONDS:
                if len(trial.lost) >= MOST_ATTEMPTS - 1:
                    trial.job = replace(trial.job, status=FAILED, phase=FAILED, reason=UNLISTED)
                else:
                    trial.again(UNLISTED)
                    self._cursors.pop(trial.name, None)
        self._first_poll = False
        self._read_logs()
        self._halve()
        changed = {trial.name: trial.job for trial in self.state.trials} != before
        if changed or (self._room is not None and time.monotonic() - self._room[1] > self.pace[1]):
            self._room = None
        self.state.ended = not self._batches.running() and all(
            trial.job is not None and trial.job.over for trial in self.state.trials
        )
        return changed

    def _is_retried(self, trial: Trial, reason: str) -> bool:
        """Whether the user asks for it, or the service failed and not the job."""
        if self._first_poll and self.retry_failed:
            return True
        return reason.startswith(_LOST) and trial.attempt < MOST_ATTEMPTS

    def submit(self) -> bool:
        """Submit missing jobs that may run now; whether any was."""
        waiting = [trial for trial in self.state.trials if trial.job is None]
        self.state.note = ""
        if not waiting:
            return False
        n_flying = self._n_flying()
        room = min(int(self.manifest.limits["max_parallel"]), self.backend.slots(waiting[0].template)) - n_flying
        if self._room is not None:
            room = min(room, self._room[0] - n_flying)
        chosen = self._affordable(self._batches.pack(waiting, max(0, room)))
        if not chosen:
            if self._room is not None:
                self.state.note = "waiting for quota"
            elif room > 0 and not n_flying:  # the rest could cost more than is allowed
                self.state.ended = True
            return False
        halt = threading.Event()  # after a refusal, no further request is sent
        refusals = [
            no for no in self._pool.map(lambda trials: self._submit_one(trials, halt), chosen) if no is not None
        ]
        if refusals:
            self._learn_from(refusals, self._n_flying())
        return any(trial.job is not None for trials in chosen for trial in trials)

    def _n_flying(self) -> int:
        return len(self.state.jobs_in_flight().keys() | self._batches.running())

    def _submit_one(self, trials: Sequence[Trial], halt: threading.Event) -> Exception | None:
        """None, or the refusal."""
        if halt.is_set():
            return None
        try:
            request = self._batches.request(trials)
            self.backend.submit(request)
        except JobExistsError:
            pass
        except (QuotaExceededError, ServiceBusyError, RoleNotReadyError) as error:
            halt.set()
            return error
        self._batches.submitted(request, trials)
        self._role_refused = None
        return None

    def _learn_from(self, refusals: Sequence[Exception], flying: int) -> None:
        order = (RoleNotReadyError, QuotaExceededError, ServiceBusyError)
        worst = min(refusals, key=lambda refusal: order.index(type(refusal)))
        if isinstance(worst, RoleNotReadyError):
            self._role_refused = self._role_refused or time.monotonic()
            if time.monotonic() - self._role_refused > ROLE_SECONDS:
                raise ServiceError(
                    f"{worst}; the role is not usable after {ROLE_SECONDS:.0f} s; see `ahx infra doctor`"
                )
            self.state.note = "waiting until the new role can be used"
        elif isinstance(worst, QuotaExceededError):
            self._room = flying, time.monotonic()
            self.state.note = "waiting for quota"
        else:
            self.state.note = f"slowed down: {worst}"

    def _affordable(self, jobs: Sequence[list[Trial]]) -> list[list[Trial]]:
        """The first jobs whose cost stays below the limit even if every job runs to its time limit."""
        most = self.manifest.limits.get("max_cost")
        if not most or not self.backend.costs:
            return list(jobs)
        spent = sum(_at_most(template) for template in self.state.jobs_in_flight().values())
        spent += sum(trial.cost(0.0) for trial in self.state.trials if trial.job is not None and trial.job.over)
        chosen = []
        for trials in jobs:
            spent += _at_most(trials[0].template)
            if spent > float(most):
                self.state.note = f"held back: more jobs could cost more than ${float(most):g}"
                break
            chosen.append(trials)
        return chosen

    def _read_logs(self) -> None:
        """Read new lines of running jobs, and the rest of ended ones."""
        halving = bool(self.manifest.limits.get("halving"))

        def wanted(trial: Trial) -> bool:
            if (
                trial.job is None
                or trial.in_batch
                or (trial.name in self._cursors and self._cursors[trial.name] == "end")
            ):
                return False
            return not trial.job.over or halving or "val_exact" not in trial.job.metrics

        self._each(self._read_log, [trial for trial in self.state.trials if wanted(trial)])

    def _read_log(self, trial: Trial) -> None:
        assert trial.job is not None
        lines, cursor = self.backend.log(trial.name, self._cursors.get(trial.name))
        trial.history += evaluations(lines)
        self._cursors[trial.name] = "end" if trial.job.over and not lines else cursor

    def _halve(self) -> None:
        if not (eta := int(self.manifest.limits.get("halving") or 0)):
            return
        histories = {trial.name: [one for one in trial.history if _can_judge(one)] for trial in self.state.trials}
        to_stop = hopeless(histories, eta) - self._asked_to_stop
        trials = [trial for trial in self.state.in_flight() if trial.name in to_stop and not trial.in_batch]
        self._each(lambda trial: self.backend.stop(trial.name), trials)
        self._asked_to_stop |= {trial.name for trial in trials}

    def _each(self, do: Callable[[Trial], None], trials: Iterable[Trial]) -> None:
        list(self._pool.map(do, trials))


def _can_judge(one: Evaluation) -> bool:
    return {"epoch", "val_exact", "val_loss"} <= set(one)


def _at_most(template: JobTemplate) -> float:
    """US dollars of one job that runs to its time limit, on demand."""
    return prices.usd(template.instance_type, template.max_runtime + prices.STARTING_SECONDS) or 0.0
