"""The operations of the SageMaker API on hyperparameter tuning jobs."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from infra.embedded.http.protocols import ACCOUNT, AwsError
from infra.embedded.sagemaker.api.constraints import check
from infra.embedded.sagemaker.api.listing import page, within
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.training.operations import TrainingOperations
from infra.embedded.sagemaker.tuning.checks import check_tuning_job, check_warm_start
from infra.embedded.sagemaker.tuning.job import TuningJob, definitions, static, value_of
from infra.embedded.sagemaker.tuning.members import TUNING_JOB
from infra.embedded.sagemaker.tuning.run import INTERNAL, TuningRun
from infra.embedded.sagemaker.tuning.space import Space
from infra.embedded.sagemaker.tuning.strategies import Tried, search

Request = dict[str, Any]


class TuningOperations:
    """All tuning jobs and their operations. They change under the lock of the training jobs."""

    def __init__(self, training: TrainingOperations) -> None:
        self._training, self._changed = training, training.jobs.changed
        self._held: dict[tuple[str, str], TuningJob] = {}
        self._runs: dict[str, TuningRun] = {}  # by ARN
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
        total, spaces = check_tuning_job(request, region, self._training.jobs.quotas)
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:hyper-parameter-tuning-job/{name.lower()}"
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        now = time.time()
        job = TuningJob(request, region, arn, now, total, modified=now, tags=tags)
        seed = config.get("RandomSeed", name)
        searches = [search(config["Strategy"], space, f"{seed}/{number}") for number, space in enumerate(spaces)]
        with self._changed:
            if (region, name.lower()) in self._held:
                raise AwsError(
                    "ResourceInUse",
                    "Hyperparameter tuning job names must be unique within an AWS account and region, and a "
                    f"hyperparameter tuning job with this name already exists ({arn})",
                )
            known = self._inherit(job)
            self._changed.record(job)
            job.join(self._changed)
            self._held[region, name.lower()] = job
            self._runs[arn] = run = TuningRun(job, self._training, searches, known, self._children)
        run.thread.start()
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
            self._runs[job.arn].stop()
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
                self._runs.pop(job.arn, None)
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
        """Take over the jobs of an earlier process; those that were not over fail."""
        with self._changed:
            for one in saved:
                job = TuningJob.from_json(one)
                job.join(self._changed)
                if not job.is_over:  # its duration is known by the wall clock only
                    job.begun = time.monotonic() - max(0.0, time.time() - job.created)
                    job.failure_reason = INTERNAL
                    job.end("Failed")
                self._held[job.region, job.name.lower()] = job

    def close(self) -> None:
        """Stop all tuning jobs."""
        with self._changed:
            for job in self.all():
                if not job.is_over:
                    self._runs[job.arn].stop()

    def forget(self) -> None:
        """Remove all tuning jobs, after they have ended."""
        for run in list(self._runs.values()):
            run.thread.join()
        with self._changed:
            for job in self.all():
                self._changed.record(job, gone=True)
            self._held.clear()
            self._runs.clear()

    def _find(self, region: str, name: str) -> TuningJob:
        if job := self._held.get((region, name.lower())):
            return job
        raise AwsError("ResourceNotFound", f"Hyperparameter tuning job {name} does not exist.")

    def _children(self, job: TuningJob) -> list[TrainingJob]:
        return [child for child in self._training.jobs.all(job.region) if child.name in job.children]

    def _inherit(self, job: TuningJob) -> list[Tried]:
        """The results of its parents. Raises AwsError if they do not match."""
        given = job.request.get("WarmStartConfig")
        if not given:
            return []
        names = [one["HyperParameterTuningJobName"] for one in given["ParentHyperParameterTuningJobs"]]
        parents = [self._find(job.region, name) for name in names]
        check_warm_start(job.request, parents)
        known: list[Tried] = []
        (own,) = definitions(job.request)
        space = Space(own["HyperParameterRanges"])
        for parent in parents:
            children = self._children(parent)
            (theirs,) = parent.definitions
            for child in children:
                value = parent.value(child)
                point = space.parts(static(theirs) | parent.children[child.name])
                if value is not None and point is not None:
                    known.append((point, job.sign * value))
            if best := parent.best(children):
                rows = [parent.child(best)] + ([job.inherited] if job.inherited else [])
                job.inherited = max(rows, key=lambda row: job.sign * value_of(row))
        return known
