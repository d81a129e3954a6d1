"""Runs a sweep: submits jobs for the trials that have none, as many at a time as may run, and watches the others.

It keeps no state: everything is read from the backend (batch_jobs.py). So it may be killed at any moment and started
again, on another machine too; a job whose name exists was submitted before.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ahx.errors import ServiceError
from ahx.training.halving import hopeless
from ahx.training.metrics import Evaluation
from infra.launch import prices
from infra.launch.backends.backend import (
    Backend,
    JobExistsError,
    Manifest,
    QuotaExceededError,
    RoleNotReadyError,
    ServiceBusyError,
)
from infra.launch.batch_jobs import MOST_ATTEMPTS, Batches
from infra.launch.job_request import JobTemplate, job_name
from infra.launch.trial import SweepState, Trial

ROLE_SECONDS = 90.0  # new roles are assumable within this
PATIENCE_SECONDS = 600.0  # with a service that does not answer
_LOST = ("InternalServerError", "CapacityError")  # FailureReasons that the service is to blame for (API RetryStrategy)
_THREADS = 8
_REST = 50.0  # seconds between polls for each CPU second that one takes: the jobs may need this processor


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
        for trial in self.state.trials:
            trial.name = job_name(trial.template, trial.config)
        self._batches = Batches(backend, self.state.trials, manifest.limits)
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
                began = time.process_time()
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
                time.sleep(max(interval, _REST * (time.process_time() - began)))
        finally:
            self._pool.shutdown(cancel_futures=True)

    def poll(self) -> bool:
        """Read the states of jobs and trials; whether any trial's has changed."""
        before = {trial.name: trial.job for trial in self.state.trials}
        self._batches.poll(self.backend.jobs(self.state.sweep), self._is_retried, self._pool)
        self._first_poll = False
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
        """Submit missing jobs that may run now, and stop those that are not needed; whether any was submitted."""
        running = self._batches.running()
        behind = self._hopeless()
        self._batches.stop(
            [one for one in running if one.superfluous or (one.left() and behind.issuperset(one.left()))]
        )
        waiting = [trial for trial in self.state.trials if trial.job is None]
        self.state.note = ""
        if not waiting:
            return False
        slots = min(int(self.manifest.limits["max_parallel"]), self.backend.slots(waiting[0].template))
        if slots < 1:
            kind = waiting[0].template.instance_type
            raise ServiceError(f"the quota of {kind} for such jobs is 0; raise it in Service Quotas, or choose another")
        room = (min(slots, self._room[0]) if self._room is not None else slots) - len(running)
        chosen = self._affordable(self._batches.pack(waiting, slots, room))
        if not chosen:
            if self._room is not None:
                self.state.note = "waiting for quota"
            elif room > 0 and not running:  # the rest could cost more than is allowed
                self.state.ended = True
            return False
        halt = threading.Event()  # after a refusal, no further request is sent
        refusals = [
            no for no in self._pool.map(lambda trials: self._submit_one(trials, halt), chosen) if no is not None
        ]
        if refusals:
            self._learn_from(refusals, len(self._batches.running()))
        return any(trial.job is not None for trials in chosen for trial in trials)

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
        running = [self._batches.trials(batch) for batch in self._batches.running()]
        spent = sum(_at_most(trials[0].template) for trials in running if trials)
        spent += sum(trial.cost(0.0) for trial in self.state.trials if trial.job is not None and trial.job.over)
        chosen = []
        for trials in jobs:
            spent += _at_most(trials[0].template)
            if spent > float(most):
                self.state.note = f"held back: more jobs could cost more than ${float(most):g}"
                break
            chosen.append(trials)
        return chosen

    def _hopeless(self) -> set[str]:
        """The trials that halving stops. (A job compares its own trials by itself.)"""
        if not (eta := int(self.manifest.limits.get("halving") or 0)):
            return set()
        judged = {trial.key: [one for one in trial.history if _can_judge(one)] for trial in self.state.trials}
        return hopeless(judged, eta)


def _can_judge(one: Evaluation) -> bool:
    return {"epoch", "val_exact", "val_loss"} <= set(one)


def _at_most(template: JobTemplate) -> float:
    """US dollars of one job that runs to its time limit, on demand."""
    seconds = template.max_runtime + prices.STARTING_SECONDS + (template.keep_alive or 0)
    return prices.usd(template.instance_type, seconds) or 0.0
