"""Carries a sweep through: submits what is missing, as many at a time as may run, and watches the rest.

It keeps no state of its own. Everything is read back from the place where the jobs run, so it may be killed at any
moment and started again, on another machine too: a name that is taken was submitted before.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ahx.errors import ServiceError
from ahx.training.halving import hopeless
from ahx.training.metrics import Evaluation, evaluations
from infra.launch import prices
from infra.launch.backends.backend import FAILED, IN_PROGRESS, Backend, Busy, Full, Job, Manifest, NotYet, Taken
from infra.launch.job_request import JobTemplate, job_name, job_pattern, training_job
from infra.launch.sweep import Config

ROLE_SECONDS = 90.0  # new roles are assumable within this
PATIENCE_SECONDS = 600.0  # with a service that does not answer
MOST_ATTEMPTS = 3  # at a job that the service loses, unless the user asks for more
_FORGOTTEN_SECONDS = 30.0  # after which a job that its place does not tell of is submitted again; lists may lag behind
_LOST = ("InternalServerError", "CapacityError")  # FailureReasons that are no fault of the job's (API RetryStrategy)
_FORGOTTEN = "it is not among the jobs any more: what ran it, or kept it, was ended"
_THREADS = 8


@dataclass
class Row:
    """One configuration of the sweep and what has become of it."""

    template: JobTemplate
    config: Config
    name: str  # of its latest attempt, or of the one to be submitted
    attempt: int = 1
    job: Job | None = None
    history: list[Evaluation] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # why it was submitted again, each time
    told: float = 0.0  # when the place told of the job last, by the clock that nobody sets

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
        """Have it submitted again, under the name that it has by now."""
        self.lost.append(reason)
        self.job, self.history = None, []


@dataclass
class SweepState:
    """The whole sweep at one moment."""

    sweep: str
    rows: list[Row]
    note: str = ""  # what it waits for
    ended: bool = False

    def in_flight(self) -> list[Row]:
        return [row for row in self.rows if row.job is not None and not row.job.over]

    def cost(self) -> float:
        now = time.time()
        return sum(row.cost(now) for row in self.rows)


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
        self.state = SweepState(sweep, [Row(manifest.templates[n], c, "") for n, c in manifest.entries])
        self._by_name: dict[str, Row] = {}
        for row in self.state.rows:
            row.name = job_name(row.template, row.config)
            self._by_name[row.name] = row
        self._cursors: dict[str, Any] = {}
        self._asked_to_stop: set[str] = set()
        self._first_poll = True
        self._room: tuple[int, float] | None = None  # jobs that fit, by the last refusal for want of quota; and when
        self._role_refused: float | None = None
        self._pool = ThreadPoolExecutor(_THREADS)

    def run(self) -> SweepState:
        """Until every job is over. Raises ServiceError when the place is out of reach for long, or refuses a job."""
        interval, trouble = self.pace[0], None
        try:
            while True:
                try:
                    changed = self.poll()
                    changed = self.submit() or changed
                    trouble = None
                except Busy as error:
                    trouble = trouble or time.monotonic()
                    changed, self.state.note = False, str(error)
                    if time.monotonic() - trouble > PATIENCE_SECONDS:
                        raise ServiceError(
                            f"{error}; jobs go on without me: `ahx jobs attach {self.state.sweep}`"
                        ) from error
                self.on_change(self.state)
                if self.state.ended:
                    return self.state
                interval = self.pace[0] if changed else min(interval * 1.5, self.pace[1])
                time.sleep(interval)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def poll(self) -> bool:
        """Read back what there is; whether anything has changed."""
        jobs = self.backend.jobs(self.state.sweep)
        before = {row.name: row.job for row in self.state.rows}
        pattern = job_pattern(self.state.rows[0].template.names, self.state.sweep) if self.state.rows else None
        for name, job in jobs.items():
            match = pattern.fullmatch(name) if pattern else None
            row = self._by_name.get(match[1]) if match else None
            attempt = int(match[2] or 1) if match else 0
            if row is not None and attempt >= row.attempt:
                row.name, row.attempt, row.job = name, attempt, job
        now = time.monotonic()
        for row in self.state.rows:
            row.told = now if row.name in jobs else row.told
            if row.job is not None and row.job.status == FAILED and self._is_tried_again(row, row.job.reason):
                row.attempt += 1
                row.name = job_name(row.template, row.config, row.attempt)
                row.again(row.job.reason)
            elif row.job is not None and not row.job.over and now - row.told > _FORGOTTEN_SECONDS:
                if len(row.lost) >= MOST_ATTEMPTS - 1:
                    row.job = replace(row.job, status=FAILED, phase=FAILED, reason=_FORGOTTEN)
                else:
                    row.again(_FORGOTTEN)
                    self._cursors.pop(row.name, None)
        self._first_poll = False
        self._read_logs()
        self._halve()
        changed = {row.name: row.job for row in self.state.rows} != before
        if changed or (self._room is not None and time.monotonic() - self._room[1] > self.pace[1]):
            self._room = None
        self.state.ended = all(row.job is not None and row.job.over for row in self.state.rows)
        return changed

    def _is_tried_again(self, row: Row, reason: str) -> bool:
        """Because the user asks for it, or because the service, and not the job, has failed."""
        if self._first_poll and self.retry_failed:
            return True
        return reason.startswith(_LOST) and row.attempt < MOST_ATTEMPTS

    def submit(self) -> bool:
        """Submit what is missing and may run now; whether anything was."""
        waiting = [row for row in self.state.rows if row.job is None]
        self.state.note = ""
        if not waiting:
            return False
        n_flying = len(self.state.in_flight())
        room = min(int(self.manifest.limits["max_parallel"]), self.backend.slots(waiting[0].template)) - n_flying
        if self._room is not None:
            room = min(room, self._room[0] - n_flying)
        chosen = self._affordable(waiting[: max(0, room)])
        if not chosen:
            if self._room is not None:
                self.state.note = "waiting for quota"
            elif room > 0 and not n_flying:  # what is left could cost more than is allowed
                self.state.ended = True
            return False
        halt = threading.Event()  # after a refusal, what is not on its way is not sent
        refusals = [no for no in self._pool.map(lambda row: self._submit_one(row, halt), chosen) if no is not None]
        if refusals:
            self._learn_from(refusals, len(self.state.in_flight()))
        return any(row.job is not None for row in chosen)

    def _submit_one(self, row: Row, halt: threading.Event) -> Exception | None:
        """None, or why not now."""
        if halt.is_set():
            return None
        try:
            self.backend.submit(training_job(row.template, row.config, row.attempt))
        except Taken:
            pass
        except (Full, Busy, NotYet) as error:
            halt.set()
            return error
        row.job, row.told = Job(row.name, IN_PROGRESS, "Starting", created=time.time()), time.monotonic()
        self._role_refused = None
        return None

    def _learn_from(self, refusals: Sequence[Exception], flying: int) -> None:
        worst = next((r for kind in (NotYet, Full, Busy) for r in refusals if isinstance(r, kind)), refusals[0])
        if isinstance(worst, NotYet):
            self._role_refused = self._role_refused or time.monotonic()
            if time.monotonic() - self._role_refused > ROLE_SECONDS:
                raise ServiceError(f"{worst}; the role is not usable after {ROLE_SECONDS:.0f} s: `ahx infra doctor`")
            self.state.note = "waiting until the new role can be used"
        elif isinstance(worst, Full):
            self._room = flying, time.monotonic()
            self.state.note = "waiting for quota"
        else:
            self.state.note = f"slowed down: {worst}"

    def _affordable(self, rows: Sequence[Row]) -> list[Row]:
        """As many of the rows as cannot take the cost above the limit, even if every job runs to its time limit."""
        most = self.manifest.limits.get("max_cost")
        if not most or not self.backend.costs:
            return list(rows)
        spent = sum(_at_most(row.template) for row in self.state.in_flight())
        spent += sum(row.cost(0.0) for row in self.state.rows if row.job is not None and row.job.over)
        chosen = []
        for row in rows:
            spent += _at_most(row.template)
            if spent > float(most):
                self.state.note = f"held back: more jobs could cost more than ${float(most):g}"
                break
            chosen.append(row)
        return chosen

    def _read_logs(self) -> None:
        """What running jobs have printed since; of ended ones what is missing."""
        halving = bool(self.manifest.limits.get("halving"))

        def wanted(row: Row) -> bool:
            if row.job is None or (row.name in self._cursors and self._cursors[row.name] == "end"):
                return False
            return not row.job.over or halving or "val_exact" not in row.job.metrics

        self._each(self._read_log, [row for row in self.state.rows if wanted(row)])

    def _read_log(self, row: Row) -> None:
        assert row.job is not None
        lines, cursor = self.backend.log(row.name, self._cursors.get(row.name))
        row.history += evaluations(lines)
        self._cursors[row.name] = "end" if row.job.over and not lines else cursor

    def _halve(self) -> None:
        if not (eta := int(self.manifest.limits.get("halving") or 0)):
            return
        told = {row.name: [one for one in row.history if _can_judge(one)] for row in self.state.rows}
        to_stop = hopeless(told, eta) - self._asked_to_stop
        rows = [row for row in self.state.in_flight() if row.name in to_stop]
        self._each(lambda row: self.backend.stop(row.name), rows)
        self._asked_to_stop |= {row.name for row in rows}

    def _each(self, do: Callable[[Row], None], rows: Iterable[Row]) -> None:
        list(self._pool.map(do, rows))


def _can_judge(one: Evaluation) -> bool:
    return {"epoch", "val_exact", "val_loss"} <= set(one)


def _at_most(template: JobTemplate) -> float:
    """US dollars of one job that runs to its limit, on demand."""
    return prices.usd(template.instance_type, template.max_runtime + prices.STARTING_SECONDS) or 0.0
