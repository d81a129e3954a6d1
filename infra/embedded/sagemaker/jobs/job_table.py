"""All training jobs, by region and name, under one lock, with the quotas that bound them."""

import time
from collections.abc import Iterable
from typing import Any

from infra.embedded.http.protocols import ACCOUNT, AwsError
from infra.embedded.sagemaker.jobs import warm_pools
from infra.embedded.sagemaker.jobs.quotas import Quotas
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.state.ledger import Ledger


class TrainingJobs:
    """All training jobs. `changed` is the lock; it is notified of every change of a job, and saves it."""

    def __init__(self, quotas: Quotas, changed: Ledger) -> None:
        self.quotas, self.changed = quotas, changed
        self._held: dict[tuple[str, str], TrainingJob] = {}
        self._busy: list[TrainingJob] = []  # those that are not over or have a pool, among others

    def add(self, request: dict[str, Any], region: str, **more: Any) -> TrainingJob:
        """A new job, Starting. Raises AwsError if its name is taken, the quota is used up, or it cannot be saved."""
        name = request["TrainingJobName"]
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:training-job/{name.lower()}"
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        job = TrainingJob(request, region, arn, created=time.time(), tags=tags, **more)
        with self.changed:
            if held := self._held.get((region, name.lower())):
                raise AwsError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a training job with this "
                    f"name already exists ({held.arn})",
                )
            self._busy = [one for one in self._busy if one.pool or not one.is_over]
            beside = [one for one in self._busy if one.region == region]
            warm_pools.update(beside)
            pool = warm_pools.matching(job, beside)
            busy = [other for other in beside if (not other.is_over or other.has_pool) and other is not pool]
            self.quotas.check(job, busy)
            if pool:
                pool.pool |= {"Status": "Reused", "ReusedByJob": job.name}
            job.enter("Starting", "InProgress")
            self.changed.record(job)
            job.join(self.changed)
            self._held[region, name.lower()] = job
            self._busy.append(job)
            warm_pools.update([job])
        return job

    def find(self, region: str, name: str) -> TrainingJob:
        """The job of this name. Raises AwsError if there is none."""
        with self.changed:
            if job := self._held.get((region, name.lower())):
                warm_pools.update([job])
                return job
        raise AwsError("ValidationException", "Requested resource not found.")

    def with_arn(self, arn: str) -> TrainingJob | None:
        """The job of this ARN."""
        with self.changed:
            return next((job for job in self._held.values() if job.arn == arn.lower()), None)

    def remove(self, job: TrainingJob) -> None:
        """Remove a job; its name is free again. Raises AwsError if that cannot be saved."""
        with self.changed:
            self.changed.record(job, gone=True)
            del self._held[job.region, job.name.lower()]
            self._busy = [one for one in self._busy if one is not job]

    def all(self, region: str | None = None) -> list[TrainingJob]:
        """The jobs of a region, or of all."""
        with self.changed:
            found = [job for job in self._held.values() if region in (None, job.region)]
            warm_pools.update(found)
            return found

    def restore(self, jobs: Iterable[TrainingJob]) -> None:
        """Take over the jobs of an earlier process; one that was not over has had an internal error."""
        jobs = list(jobs)
        with self.changed:
            warm_pools.terminate(jobs)
            for job in jobs:
                job.join(self.changed)
                if not job.is_over:
                    job.internal_error()
                self._held[job.region, job.name.lower()] = job
            self._busy = list(self._held.values())
