"""Tags and Search of training jobs and tuning jobs; other resources are moto's."""

from collections.abc import Callable
from typing import Any

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.api.constraints import check
from infra.embedded.sagemaker.api.search import search
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.training.operations import TrainingOperations
from infra.embedded.sagemaker.tuning.job import TuningJob
from infra.embedded.sagemaker.tuning.operations import TuningOperations

Request = dict[str, Any]
_MOST_TAGS = 50


class TagsAndSearch:
    """The operations, which return None for resources of moto."""

    def __init__(self, training: TrainingOperations, tuning: TuningOperations) -> None:
        self._training, self._tuning = training, tuning
        self.operations: dict[str, Callable[[Request, str], dict[str, Any] | None]] = {
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
            "Search": self.search,
        }

    def add_tags(self, request: Request, region: str) -> dict[str, Any] | None:
        job = self._job(request)
        if job is None:
            return None
        check("AddTags", request)
        added = job.tags | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(added) > _MOST_TAGS:
            raise AwsError("ResourceLimitExceeded", f"A resource can have at most {_MOST_TAGS} tags.")
        with self._training.jobs.changed.changing(job):
            job.tags.update(added)
        return {"Tags": _shown(job.tags)}

    def list_tags(self, request: Request, region: str) -> dict[str, Any] | None:
        job = self._job(request)
        return None if job is None else {"Tags": _shown(job.tags)}

    def delete_tags(self, request: Request, region: str) -> dict[str, Any] | None:
        job = self._job(request)
        if job is None:
            return None
        check("DeleteTags", request)
        with self._training.jobs.changed.changing(job):
            for key in request["TagKeys"]:
                job.tags.pop(key, None)
        return {}

    def search(self, request: Request, region: str) -> dict[str, Any] | None:
        check("Search", request)
        if request["Resource"] == "TrainingJob":
            with self._training.jobs.changed:
                jobs = self._training.jobs.all(region)
                records = [job.describe() | {"Tags": _shown(job.tags)} for job in jobs]
            return search(records, request, "TrainingJobName")
        if request["Resource"] == "HyperParameterTuningJob":
            records = [described | {"Tags": _shown(job.tags)} for job, described in self._tuning.described(region)]
            return search(records, request, "HyperParameterTuningJobName")
        return None

    def _job(self, request: Request) -> TrainingJob | TuningJob | None:
        """The job with the tags; None for another resource."""
        arn = str(request.get("ResourceArn", ""))
        if ":training-job/" not in arn and ":hyper-parameter-tuning-job/" not in arn:
            return None
        job = self._training.jobs.with_arn(arn) or self._tuning.with_arn(arn)
        if job is None:
            raise AwsError("ValidationException", "Requested resource not found.")
        return job


def _shown(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
