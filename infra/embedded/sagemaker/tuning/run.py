"""One tuning job from its first training job to its end, in a thread of its own."""

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from math import fsum
from statistics import median
from typing import Any

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.training.operations import TrainingOperations
from infra.embedded.sagemaker.tuning.checks import child_name, training_request
from infra.embedded.sagemaker.tuning.job import ALL_FAILED, TuningJob, resources
from infra.embedded.sagemaker.tuning.space import Point
from infra.embedded.sagemaker.tuning.strategies import Search, Tried

INTERNAL = "InternalServerError: We encountered an internal error. Please try again."
_POLL_SECONDS = 0.5  # while a quota is used up
_FEWEST_CURVES = 3  # of earlier training jobs, before one is stopped early; AWS documents no number


class TuningRun:
    """`searches` choose the points, one for each definition; `known` are results of parents, for a warm start.

    `jobs` returns the training jobs of the tuning job. All changes are made under the training jobs' lock.
    """

    def __init__(
        self,
        job: TuningJob,
        training: TrainingOperations,
        searches: list[Search],
        known: list[Tried],
        jobs: Callable[[TuningJob], list[TrainingJob]],
    ) -> None:
        self._job, self._training, self._known = job, training, known
        self._searches: dict[int, Search] = dict(enumerate(searches))
        self._jobs, self._changed = jobs, training.jobs.changed
        self._is_enough = False
        # Whether results are needed before the end: reading those of thousands of training jobs takes a while.
        early = job.config.get("TrainingJobEarlyStoppingType") == "Auto"
        self._learns = job.config["Strategy"] == "Bayesian"
        self._needs_results = self._learns or early or bool(job.config.get("TuningJobCompletionCriteria"))
        self._running: list[TrainingJob] = []
        self._until = time.monotonic() + job.config["ResourceLimits"].get("MaxRuntimeInSeconds", float("inf"))
        self.thread = threading.Thread(target=self._run, name=f"tuning {job.name}", daemon=True)

    def stop(self) -> None:
        """Stop as StopHyperParameterTuningJob does. The caller holds the lock."""
        self._job.status = "Stopping"
        self._touch()
        self._stop_jobs()

    def _run(self) -> None:
        try:
            self._tune()
        except Exception:  # a bug here must end this tuning job, which would stay InProgress
            traceback.print_exc()
            with self._changed:
                self._job.failure_reason = INTERNAL
                self._stop_jobs()
                self._end("Failed")

    def _tune(self) -> None:
        """Start training jobs within the limits, until there are enough and all are over."""
        chosen: tuple[int, Point] | None = None
        while True:
            with self._changed:
                jobs = self._jobs(self._job) if self._needs_results else []
                self._apply_limits(jobs)
                self._running = [one for one in self._running if not one.is_over]
                is_ending = self._job.status != "InProgress" or self._is_enough
                if is_ending and not self._running:
                    return self._conclude()
                if is_ending or len(self._running) >= self._job.config["ResourceLimits"]["MaxParallelTrainingJobs"]:
                    self._changed.wait(_POLL_SECONDS)
                    continue
                tried = {origin: self._tried(origin, jobs) if self._learns else ([], []) for origin in self._searches}
            chosen = chosen or self._choose(tried)  # without the lock: it may take a while
            with self._changed:
                if chosen is None:
                    self._is_enough = True
                elif self._job.status == "InProgress":
                    if self._start(*chosen):
                        chosen = None
                    else:
                        self._changed.wait(_POLL_SECONDS)

    def _choose(self, tried: dict[int, tuple[list[Tried], list[Point]]]) -> tuple[int, Point] | None:
        """The next point, of the definitions in turn; None when there are no more."""
        while self._searches and len(self._job.children) < self._job.total:
            origin, search = next(iter(self._searches.items()))
            del self._searches[origin]
            if (point := search(*tried[origin])) is not None:
                self._searches[origin] = search  # now last in turn
                return origin, point
        return None

    def _tried(self, origin: int, jobs: list[TrainingJob]) -> tuple[list[Tried], list[Point]]:
        """The finished points of a definition with their values, and the running ones."""
        tried, trying = list(self._known), []
        for one in jobs:
            if self._job.origins.get(one.name, 0) == origin:
                point = self._job.children[one.name]
                if one.is_over:
                    value = self._job.value(one)
                    tried.append((point, None if value is None else self._job.sign * value))
                else:
                    trying.append(point)
        return tried, trying

    def _start(self, origin: int, point: Point) -> bool:
        """Start the training job for a point, on the first instances within quotas. Returns False if there are none."""
        job = self._job
        definition = job.definitions[origin]
        name = child_name(job.name, len(job.children) + 1)
        more: dict[str, Any] = {"tuning_arn": job.arn}
        if job.config.get("TrainingJobEarlyStoppingType") == "Auto":
            more["watched"] = definition["TuningObjective"]["MetricName"]
        job.children[name], job.origins[name] = point, origin
        for resource in resources(definition):
            request = training_request(definition, resource, name, point)
            if tags := job.request.get("Tags"):
                request["Tags"] = tags
            try:
                self._training.create(request, job.region, **more)
            except AwsError as error:
                if error.code != "ResourceLimitExceeded" and error.status < 500:
                    job.failure_reason = error.message
                    break
            else:
                self._running.append(self._training.jobs.find(job.region, name))
                self._touch()
                return True
        del job.children[name], job.origins[name]
        if job.failure_reason:  # something that existed at create is gone
            self._is_enough = True
            self._stop_jobs()
        return False

    def _apply_limits(self, jobs: list[TrainingJob]) -> None:
        """Stop the tuning job at its limits, or training jobs by early stopping."""
        job = self._job
        if job.status == "Stopping":
            self._stop_jobs()  # one may have started since, or could not be stopped
        elif job.status == "InProgress" and time.monotonic() >= self._until:
            self.stop()
        elif self._is_complete(jobs):
            self._is_enough = True
            self._stop_jobs()
        elif job.config.get("TrainingJobEarlyStoppingType") == "Auto":
            over = [one.curve for one in jobs if one.is_over]
            for one in jobs:
                if one.status == "InProgress" and is_behind(one.curve, over, job.sign):
                    self._stop_jobs([one])

    def _is_complete(self, jobs: list[TrainingJob]) -> bool:
        """Whether a completion criterion is met."""
        criteria = self._job.config.get("TuningJobCompletionCriteria", {})
        target = criteria.get("TargetObjectiveMetricValue")
        best = self._job.best(jobs)
        value = self._job.value(best) if best else None
        if target is not None and value is not None and self._job.sign * value >= self._job.sign * target:
            return True
        most = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        return most is not None and best is not None and self._job.not_improving(jobs) >= most

    def _stop_jobs(self, jobs: list[TrainingJob] | None = None) -> None:
        for one in self._running if jobs is None else jobs:
            if not one.is_over and one.status != "Stopping":
                with suppress(AwsError):  # it is over, or gone; otherwise the next call retries
                    self._training.stop({"TrainingJobName": one.name}, one.region)

    def _conclude(self) -> None:
        jobs = self._jobs(self._job)
        if self._job.status == "Stopping":
            self._end("Stopped")
        elif self._job.failure_reason or all(one.status == "Failed" for one in jobs):
            self._job.failure_reason = self._job.failure_reason or ALL_FAILED
            self._end("Failed")
        else:
            self._end("Completed")

    def _end(self, status: str) -> None:
        self._job.end(status)
        self._touch()

    def _touch(self) -> None:
        """The caller holds the lock."""
        self._job.modified = time.time()


def is_behind(curve: list[float], others: list[list[float]], sign: int) -> bool:
    """Whether a training job is worse than the median of the others' averages up to its epoch.

    Follows "How Early Stopping Works" of the Developer Guide; a reported value stands for an epoch.
    """
    at = len(curve)
    averages = [fsum(value / at for value in other[:at]) for other in others if 0 < at <= len(other)]
    return len(averages) >= _FEWEST_CURVES and sign * curve[-1] < sign * median(averages)
