"""The operations of the SageMaker API on training jobs."""

import threading
import time
from collections.abc import Callable
from typing import Any

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.api.constraints import check
from infra.embedded.sagemaker.api.listing import page, within
from infra.embedded.sagemaker.execution.lifecycle import Execution
from infra.embedded.sagemaker.execution.runners import JobHost
from infra.embedded.sagemaker.jobs import warm_pools
from infra.embedded.sagemaker.jobs.job_table import TrainingJobs
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.sagemaker.training.checks import check_training_job, check_warm_pool
from infra.embedded.sagemaker.training.members import TRAINING_JOB, TRAINING_UPDATE

Request = dict[str, Any]


class TrainingOperations:
    """Operations are functions of a request and a region, which return the answer or raise AwsError.

    With `instant`, jobs run nothing: each is Completed after that many seconds, without artifacts or logs.
    """

    def __init__(self, jobs: TrainingJobs, clients: OwnClients, host: JobHost, instant: float | None = None) -> None:
        self.jobs, self._clients, self._host, self._instant = jobs, clients, host, instant
        self._executions: dict[str, Execution] = {}  # by ARN
        self.operations: dict[str, Callable[[Request, str], dict[str, Any]]] = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list_jobs,
            "StopTrainingJob": self.stop,
            "UpdateTrainingJob": self.update,
            "DeleteTrainingJob": self.delete,
        }

    def create(self, request: Request, region: str, **more: Any) -> dict[str, Any]:
        check("CreateTrainingJob", request)
        TRAINING_JOB.refuse(request)
        check_training_job(request, region)
        if self._instant is None:
            self._host.runners.check(request)
        job = self.jobs.add(request, region, **more)
        self._start(job)
        return {"TrainingJobArn": job.arn}

    def resume(self) -> None:
        """Start the jobs that a restart interrupted and that are to be retried."""
        for job in self.jobs.all():
            if not job.is_over and job.arn not in self._executions:
                self._start(job)

    def _start(self, job: TrainingJob) -> None:
        if self._instant is None:
            execution = Execution(job, self.jobs, self._clients, self._host)
            self._executions[job.arn] = execution
            execution.start()
        elif self._instant == 0:
            self._simulate(job)
        else:
            threading.Thread(target=self._simulate, args=(job,), daemon=True).start()

    def describe(self, request: Request, region: str) -> dict[str, Any]:
        check("DescribeTrainingJob", request)
        with self.jobs.changed:
            return self.jobs.find(region, request["TrainingJobName"]).describe()

    def list_jobs(self, request: Request, region: str) -> dict[str, Any]:
        check("ListTrainingJobs", request)
        status, part = request.get("StatusEquals"), request.get("NameContains", "")
        with self.jobs.changed:
            rows = [job.summary() for job in self.jobs.all(region) if part.lower() in job.name.lower()]
        rows = [
            row
            for row in rows
            if within(request, "CreationTime", row["CreationTime"])
            and within(request, "LastModifiedTime", row["LastModifiedTime"])
        ]
        if pool := request.get("WarmPoolStatusEquals"):
            rows = [row for row in rows if row.get("WarmPoolStatus", {}).get("Status") == pool]
        if request.get("TrainingPlanArnEquals"):
            rows = []  # there are no training plans
        if status and "MaxResults" not in request:
            rows = [row for row in rows if row["TrainingJobStatus"] == status]
        by = str(request.get("SortBy", "CreationTime"))
        column = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(by, by)
        descending = request.get("SortOrder", "Ascending" if "SortBy" in request else "Descending") == "Descending"
        shown, more = page(rows, lambda row: row[column], lambda row: row["TrainingJobName"], request, descending)
        if status:  # with MaxResults, pages are formed before the filter, as API_ListTrainingJobs documents
            shown = [row for row in shown if row["TrainingJobStatus"] == status]
        return {"TrainingJobSummaries": shown} | more

    def stop(self, request: Request, region: str) -> dict[str, Any]:
        check("StopTrainingJob", request)
        with self.jobs.changed:
            job = self.jobs.find(region, request["TrainingJobName"])
            if job.is_over:
                message = f"The request was rejected because the training job is in status {job.status}."
                raise AwsError("ValidationException", message)
            if job.status != "Stopping":
                with self.jobs.changed.changing(job):
                    job.enter("Stopping", "Stopping")
            self._stop(job)
        return {}

    def update(self, request: Request, region: str) -> dict[str, Any]:
        check("UpdateTrainingJob", request)
        TRAINING_UPDATE.refuse(request)
        with self.jobs.changed:
            job = self.jobs.find(region, request["TrainingJobName"])
            if job.is_over and not job.has_pool:
                message = f"The request was rejected because the training job is in status {job.status}."
                raise AwsError("ValidationException", message)
            resources = job.request["ResourceConfig"] | request.get("ResourceConfig", {})
            check_warm_pool(job.request | {"ResourceConfig": resources})
            with self.jobs.changed.changing(job):
                job.request["ResourceConfig"] = resources
                warm_pools.update([job])
                job.modified = time.time()
        return {"TrainingJobArn": job.arn}

    def delete(self, request: Request, region: str) -> dict[str, Any]:
        check("DeleteTrainingJob", request)
        with self.jobs.changed:
            job = self.jobs.find(region, request["TrainingJobName"])
            if not job.is_over:
                raise AwsError(
                    "ResourceInUse",
                    f"The training job {job.arn} is in status {job.status}; only jobs in a terminal status can be "
                    "deleted.",
                )
            if job.has_pool:
                raise AwsError(
                    "ResourceInUse",
                    f"The training job {job.arn} retains a warm pool; set its KeepAlivePeriodInSeconds to 0 first.",
                )
            self.jobs.remove(job)
            self._executions.pop(job.arn, None)
        return {}

    def interrupt(self, region: str, name: str, seconds: float) -> None:
        """Interrupt a managed spot job for some seconds. Raises AwsError if it has no spot instances."""
        with self.jobs.changed:
            job = self.jobs.find(region, name)
            execution = self._executions.get(job.arn)
            if not job.is_spot or job.secondary != "Training" or execution is None:
                reason = f"it is {job.secondary}" if job.is_spot else "it is not a managed spot job"
                raise AwsError("ValidationException", f"The job {name} has no spot instances to lose: {reason}.")
            execution.interrupt(seconds)

    def close(self) -> None:
        """Stop all jobs as StopTrainingJob does, and wait for them."""
        with self.jobs.changed:
            for job in self.jobs.all():
                if not job.is_over:
                    self._stop(job)
        for execution in list(self._executions.values()):
            execution.thread.join(self._host.grace_seconds + 60)

    def forget(self) -> None:
        """Remove all jobs, which must be over, and reset quotas."""
        with self.jobs.changed:
            for job in self.jobs.all():
                self.jobs.remove(job)
            self._executions.clear()
            self.jobs.quotas.forget()

    def kill(self) -> None:
        """Kill all jobs."""
        for execution in list(self._executions.values()):
            execution.kill()

    def _stop(self, job: TrainingJob) -> None:
        """The caller holds the lock."""
        if job.status != "Stopping":
            job.enter("Stopping", "Stopping")
        if execution := self._executions.get(job.arn):
            execution.stop()

    def _simulate(self, job: TrainingJob) -> None:
        """Enter the statuses of a job without running anything."""
        with self.jobs.changed:
            job.started = job.created
            job.enter("Training")
            begun = time.monotonic()
            until = begun + (self._instant or 0)
            while (left := until - time.monotonic()) > 0 and job.status == "InProgress":
                self.jobs.changed.wait(left)
            job.instance_seconds = time.monotonic() - begun
            if job.status == "Stopping":
                job.enter("Stopped", "Stopped")
            else:
                job.enter("Uploading")
                job.enter("Completed", "Completed")
