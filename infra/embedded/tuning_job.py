"""A hyperparameter tuning job as SageMaker keeps it, and what it tells of its training jobs."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from infra.embedded.job import TrainingJob
from infra.embedded.ledger import Kept

ALL_FAILED = "All training jobs failed. Please take a look at the training job failures to get more details."


@dataclass
class TuningJob(Kept):
    """`children` are the names of its training jobs with the hyperparameters that were chosen for each."""

    created: float
    total: int
    status: str = "InProgress"
    modified: float = 0.0
    ended: float | None = None
    failure_reason: str = ""
    children: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    section: ClassVar[str] = "tuning_jobs"

    @property
    def name(self) -> str:
        return str(self.request["HyperParameterTuningJobName"])

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.request["HyperParameterTuningJobConfig"]
        return config

    @property
    def objective(self) -> dict[str, str]:
        """Type and MetricName; the metric is "" where none is named."""
        told: dict[str, str] = self.config.get(
            "HyperParameterTuningJobObjective", {"Type": "Maximize", "MetricName": ""}
        )
        return told

    @property
    def is_over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")

    def value(self, job: TrainingJob) -> float | None:
        """The objective's value of one of its jobs, once that is over."""
        found = job.metrics.get(self.objective["MetricName"])
        return found[0] if found and job.is_over else None

    def best(self, jobs: list[TrainingJob]) -> TrainingJob | None:
        """The completed job with the best value of the objective."""
        done = [job for job in jobs if job.status == "Completed" and self.value(job) is not None]
        sign = 1 if self.objective["Type"] == "Maximize" else -1
        return max(done, key=lambda job: sign * (self.value(job) or 0.0), default=None)

    def summary(self, jobs: list[TrainingJob]) -> dict[str, Any]:
        """A row of ListHyperParameterTuningJobs."""
        row = {
            "HyperParameterTuningJobName": self.name,
            "HyperParameterTuningJobArn": self.arn,
            "HyperParameterTuningJobStatus": self.status,
            "Strategy": self.config["Strategy"],
            "CreationTime": self.created,
            "LastModifiedTime": max([self.modified, *(job.modified for job in jobs)]),
            "TrainingJobStatusCounters": self._counts(jobs),
            "ObjectiveStatusCounters": self._objectives(jobs),
            "ResourceLimits": self.config["ResourceLimits"],
        }
        return row | ({"HyperParameterTuningEndTime": self.ended} if self.ended else {})

    def describe(self, jobs: list[TrainingJob]) -> dict[str, Any]:
        """The answer of DescribeHyperParameterTuningJob."""
        told = self.summary(jobs)
        for name in ("Strategy", "ResourceLimits"):
            del told[name]
        told["HyperParameterTuningJobConfig"] = self.config
        told["TrainingJobDefinition"] = self.request["TrainingJobDefinition"]
        if best := self.best(jobs):
            told["BestTrainingJob"] = self.child(best)
        if self.failure_reason:
            told["FailureReason"] = self.failure_reason
        return told

    def child(self, job: TrainingJob) -> dict[str, Any]:
        """A row of ListTrainingJobsForHyperParameterTuningJob."""
        value = self.value(job)
        row: dict[str, Any] = {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "CreationTime": job.created,
            "TrainingJobStatus": job.status,
            "TunedHyperParameters": self.children[job.name],
            "ObjectiveStatus": self._objective_status(job),
        }
        if job.started:
            row["TrainingStartTime"] = job.started
        if job.ended:
            row["TrainingEndTime"] = job.ended
        if job.failure_reason:
            row["FailureReason"] = job.failure_reason
        if value is not None:
            row["FinalHyperParameterTuningJobObjectiveMetric"] = self.objective | {"Value": value}
        return row

    def _objective_status(self, job: TrainingJob) -> str:
        if not job.is_over:
            return "Pending"
        return "Succeeded" if job.status == "Completed" and self.value(job) is not None else "Failed"

    def _counts(self, jobs: list[TrainingJob]) -> dict[str, int]:
        statuses = [job.status for job in jobs]
        return {
            "Completed": statuses.count("Completed"),
            "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
            "RetryableError": 0,
            "NonRetryableError": statuses.count("Failed"),
            "Stopped": statuses.count("Stopped"),
        }

    def _objectives(self, jobs: list[TrainingJob]) -> dict[str, int]:
        statuses = [self._objective_status(job) for job in jobs]
        return {name: statuses.count(name) for name in ("Succeeded", "Pending", "Failed")}
