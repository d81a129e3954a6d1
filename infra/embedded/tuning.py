"""The operations of the SageMaker API on hyperparameter tuning jobs, with the strategies Grid and Random."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from infra.embedded.constraints import check
from infra.embedded.job import TrainingJob
from infra.embedded.listing import page, within
from infra.embedded.training_jobs import TrainingJobs
from infra.embedded.tuning_job import ALL_FAILED, TuningJob
from infra.embedded.tuning_members import TUNING_JOB
from infra.embedded.tuning_space import Point, points
from infra.embedded.wire import ACCOUNT, AwsError

Request = dict[str, Any]
_POLL_SECONDS = 0.5  # while a quota is used up
_INTERNAL = "InternalServerError: We encountered an internal error. Please try again."


class TuningJobs:
    """All tuning jobs. Like training jobs they change under the one lock, `changed` of the training jobs."""

    def __init__(self, training: TrainingJobs) -> None:
        self._training, self._changed = training, training.jobs.changed
        self._held: dict[tuple[str, str], TuningJob] = {}
        self._threads: list[threading.Thread] = []
        self.operations: dict[str, Callable[[Request, str], dict[str, Any]]] = {
            "CreateHyperParameterTuningJob": self.create,
            "DescribeHyperParameterTuningJob": self.describe,
            "ListHyperParameterTuningJobs": self.list_jobs,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_children,
            "StopHyperParameterTuningJob": self.stop,
            "DeleteHyperParameterTuningJob": self.delete,
        }

    def create(self, request: Request, region: str) -> dict[str, Any]:
        check("CreateHyperParameterTuningJob", request)
        TUNING_JOB.refuse(request)
        name, config = request["HyperParameterTuningJobName"], request["HyperParameterTuningJobConfig"]
        _check_definition(request)
        total, chosen = points(config, name)
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:hyper-parameter-tuning-job/{name.lower()}"
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        now = time.time()
        job = TuningJob(request, region, arn, now, total, modified=now, tags=tags)
        with self._changed:
            if (region, name.lower()) in self._held:
                raise AwsError(
                    "ResourceInUse",
                    "Hyperparameter tuning job names must be unique within an AWS account and region, and a "
                    f"hyperparameter tuning job with this name already exists ({arn})",
                )
            self._changed.record(job)
            job.join(self._changed)
            self._held[region, name.lower()] = job
        thread = threading.Thread(target=self._tune, args=(job, chosen), name=f"tuning {name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return {"HyperParameterTuningJobArn": arn}

    def describe(self, request: Request, region: str) -> dict[str, Any]:
        check("DescribeHyperParameterTuningJob", request)
        with self._changed:
            job = self._find(region, request["HyperParameterTuningJobName"])
            return job.describe(self._children(job))

    def list_jobs(self, request: Request, region: str) -> dict[str, Any]:
        check("ListHyperParameterTuningJobs", request)
        status, part = request.get("StatusEquals"), request.get("NameContains", "").lower()
        with self._changed:
            rows = [job.summary(self._children(job)) for job in self.all(region) if part in job.name.lower()]
        rows = [
            row
            for row in rows
            if status in (None, row["HyperParameterTuningJobStatus"])
            and within(request, "CreationTime", row["CreationTime"])
            and within(request, "LastModifiedTime", row["LastModifiedTime"])
        ]
        columns = {"Name": "HyperParameterTuningJobName", "Status": "HyperParameterTuningJobStatus"}
        by = columns.get(request.get("SortBy", "Name"), "CreationTime")
        descending = request.get("SortOrder") == "Descending"
        shown, more = page(
            rows, lambda row: row[by], lambda row: row["HyperParameterTuningJobName"], request, descending
        )
        return {"HyperParameterTuningJobSummaries": shown} | more

    def list_children(self, request: Request, region: str) -> dict[str, Any]:
        check("ListTrainingJobsForHyperParameterTuningJob", request)
        with self._changed:
            job = self._find(region, request["HyperParameterTuningJobName"])
            rows = [job.child(child) for child in self._children(job)]
        status = request.get("StatusEquals")
        rows = [row for row in rows if status in (None, row["TrainingJobStatus"])]
        by = request.get("SortBy", "Name")
        if by == "FinalObjectiveMetricValue":
            rows = [row for row in rows if "FinalHyperParameterTuningJobObjectiveMetric" in row]
        keys: dict[str, Callable[[Any], Any]] = {
            "CreationTime": lambda row: row["CreationTime"],
            "Status": lambda row: row["TrainingJobStatus"],
            "FinalObjectiveMetricValue": lambda row: row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
        }
        key = keys.get(by, lambda row: row["TrainingJobName"])
        descending = request.get("SortOrder") == "Descending"
        shown, more = page(rows, key, lambda row: row["TrainingJobName"], request, descending)
        return {"TrainingJobSummaries": shown} | more

    def stop(self, request: Request, region: str) -> dict[str, Any]:
        check("StopHyperParameterTuningJob", request)
        with self._changed:
            job = self._find(region, request["HyperParameterTuningJobName"])
            if job.is_over:
                message = f"The request was rejected because the hyperparameter tuning job is in status {job.status}."
                raise AwsError("ValidationException", message)
            with self._changed.changing(job):
                job.status = "Stopping"
            self._stop(job)
        return {}

    def delete(self, request: Request, region: str) -> dict[str, Any]:
        check("DeleteHyperParameterTuningJob", request)
        with self._changed:
            job = self._held.get((region, request["HyperParameterTuningJobName"].lower()))
            if job and not job.is_over:
                raise AwsError("ResourceInUse", f"The tuning job {job.arn} is in status {job.status}; stop it first.")
            if job:
                self._changed.record(job, gone=True)
                del self._held[region, job.name.lower()]
        return {}

    def all(self, region: str | None = None) -> list[TuningJob]:
        """The tuning jobs of a region, or of all."""
        with self._changed:
            return [job for job in self._held.values() if region in (None, job.region)]

    def described(self, region: str) -> Iterator[tuple[TuningJob, dict[str, Any]]]:
        """Every tuning job with its description."""
        with self._changed:
            yield from [(job, job.describe(self._children(job))) for job in self.all(region)]

    def with_arn(self, arn: str) -> TuningJob | None:
        """The tuning job of this ARN."""
        return next((job for job in self.all() if job.arn == arn.lower()), None)

    def restore(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take over the jobs of an earlier run; those that were not over have been cut off, and fail."""
        with self._changed:
            for one in saved:
                job = TuningJob.from_json(one)
                job.join(self._changed)
                if not job.is_over:
                    job.failure_reason = _INTERNAL
                    self._end(job, "Failed")
                self._held[job.region, job.name.lower()] = job

    def close(self) -> None:
        """Stop all tuning jobs, so that they start nothing more."""
        with self._changed:
            for job in self.all():
                if not job.is_over:
                    self._stop(job)

    def forget(self) -> None:
        """Remove all tuning jobs, as soon as none starts anything more."""
        for thread in self._threads:
            thread.join()
        with self._changed:
            for job in self.all():
                self._changed.record(job, gone=True)
            self._held.clear()

    def _find(self, region: str, name: str) -> TuningJob:
        if job := self._held.get((region, name.lower())):
            return job
        raise AwsError("ResourceNotFound", f"Hyperparameter tuning job {name} does not exist.")

    def _children(self, job: TuningJob) -> list[TrainingJob]:
        return [child for child in self._training.jobs.all(job.region) if child.name in job.children]

    def _tune(self, job: TuningJob, chosen: Iterator[Point]) -> None:
        """Start training jobs as far as limits allow, until there are no more points and all are over."""
        limits = job.config["ResourceLimits"]
        until = job.created + limits.get("MaxRuntimeInSeconds", float("inf"))
        point = next(chosen, None)
        with self._changed:
            while True:
                children = self._children(job)
                busy = sum(not child.is_over for child in children)
                if job.status == "InProgress" and time.time() >= until:
                    self._stop(job)
                if self._is_good_enough(job, children):
                    point = None
                    self._stop_children(children)
                if point is None or job.status != "InProgress":
                    if busy == 0:
                        break
                    self._changed.wait(_POLL_SECONDS)
                elif busy < limits["MaxParallelTrainingJobs"] and self._start(job, point):
                    point = next(chosen, None)
                else:
                    self._changed.wait(_POLL_SECONDS)
            if job.status == "Stopping":
                self._end(job, "Stopped")
            elif all(child.status == "Failed" for child in children):
                job.failure_reason = job.failure_reason or ALL_FAILED
                self._end(job, "Failed")
            else:
                self._end(job, "Completed")

    def _start(self, job: TuningJob, point: Point) -> bool:
        """Start the training job for a point. Returns False while a quota is used up."""
        definition = {k: v for k, v in job.request["TrainingJobDefinition"].items() if k in _SHARED}
        static = job.request["TrainingJobDefinition"].get("StaticHyperParameters", {})
        own = {"_tuning_objective_metric": job.objective["MetricName"]} if job.objective["MetricName"] else {}
        name = f"{job.name}-{len(job.children) + 1:03d}-{secrets.token_hex(4)}"
        request = definition | {"TrainingJobName": name, "HyperParameters": own | static | point}
        if tags := job.request.get("Tags"):
            request["Tags"] = tags
        job.children[name] = point
        try:
            self._training.create(request, job.region, tuning_arn=job.arn)
        except AwsError as error:
            del job.children[name]
            if error.code == "ResourceLimitExceeded" or error.status >= 500:
                return False
            job.failure_reason = error.message
            self._stop_children(self._children(job))
            job.status = "Stopping"
        job.modified = time.time()
        return True

    def _is_good_enough(self, job: TuningJob, children: list[TrainingJob]) -> bool:
        target = job.config.get("TuningJobCompletionCriteria", {}).get("TargetObjectiveMetricValue")
        best = job.best(children)
        value = job.value(best) if best else None
        if target is None or value is None:
            return False
        return bool(value >= target if job.objective["Type"] == "Maximize" else value <= target)

    def _stop(self, job: TuningJob) -> None:
        job.status, job.modified = "Stopping", time.time()
        self._stop_children(self._children(job))
        self._changed.notify_all()

    def _stop_children(self, children: list[TrainingJob]) -> None:
        for child in children:
            if not child.is_over and child.status != "Stopping":
                with suppress(AwsError):  # it cannot be kept now; it is asked for again
                    self._training.stop({"TrainingJobName": child.name}, child.region)

    def _end(self, job: TuningJob, status: str) -> None:
        job.status, job.modified = status, time.time()
        job.ended = job.modified
        self._changed.notify_all()


# Members of a training job's definition in a tuning job that are members of CreateTrainingJob too.
_SHARED = {
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
    "Environment",
}


def _check_definition(request: Request) -> None:
    """Raises AwsError unless there is one definition, and it can measure the objective."""
    if "TrainingJobDefinitions" in request or "TrainingJobDefinition" not in request:
        raise AwsError("ValidationException", "The embedded AWS tunes one TrainingJobDefinition.")
    objective = request["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective", {}).get("MetricName")
    algorithm = request["TrainingJobDefinition"]["AlgorithmSpecification"]
    measured = [one["Name"] for one in algorithm.get("MetricDefinitions", [])]
    if objective and objective not in measured:
        raise AwsError(
            "ValidationException",
            f"The objective metric {objective} must be one of the MetricDefinitions of the training job "
            f"(got {', '.join(measured) or 'none'}).",
        )
