"""A hyperparameter tuning job, and the descriptions of its training jobs."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.state.ledger import Persisted

ALL_FAILED = "All training jobs failed. Please take a look at the training job failures to get more details."
OBJECTIVE = "_tuning_objective_metric"  # a hyperparameter that SageMaker adds to every training job
_NO_OBJECTIVE = {"Type": "Maximize", "MetricName": ""}

Row = dict[str, Any]


@dataclass
class TuningJob(Persisted):
    """`children` maps the names of its training jobs to the hyperparameters chosen for each.

    `origins` maps them to the index of their definition. `inherited` is the best training job of its parents in a warm
    start.
    """

    created: float
    total: int
    status: str = "InProgress"
    modified: float = 0.0
    ended: float | None = None
    failure_reason: str = ""
    children: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)
    inherited: Row | None = None
    begun: float = field(default_factory=time.monotonic)  # by the monotonic clock
    seconds: float | None = None  # its duration, once it is over

    section: ClassVar[str] = "tuning_jobs"

    @property
    def name(self) -> str:
        return str(self.request["HyperParameterTuningJobName"])

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.request["HyperParameterTuningJobConfig"]
        return config

    @cached_property
    def definitions(self) -> list[dict[str, Any]]:
        return definitions(self.request)

    @cached_property
    def sign(self) -> int:
        """1 if the objective is maximised, -1 if minimised, in all definitions."""
        return 1 if self.definitions[0]["TuningObjective"]["Type"] == "Maximize" else -1

    @property
    def is_over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")

    def end(self, status: str) -> None:
        """Enter the last status."""
        self.status, self.modified = status, time.time()
        self.ended, self.seconds = self.modified, time.monotonic() - self.begun

    def definition(self, job: TrainingJob) -> dict[str, Any]:
        """The definition of one of its training jobs."""
        return self.definitions[self.origins.get(job.name, 0)]

    def objective(self, job: TrainingJob) -> dict[str, str]:
        """Type and MetricName; the metric is "" if there is none."""
        objective: dict[str, str] = self.definition(job)["TuningObjective"]
        return objective

    def value(self, job: TrainingJob) -> float | None:
        """The objective's value of one of its jobs, once that is over."""
        found = job.metrics.get(self.objective(job)["MetricName"])
        return found[0] if found and job.is_over else None

    def best(self, jobs: list[TrainingJob]) -> TrainingJob | None:
        """The completed job with the best value of the objective."""
        done = [job for job in jobs if job.status == "Completed" and self.value(job) is not None]
        return max(done, key=lambda job: self.sign * (self.value(job) or 0.0), default=None)

    def not_improving(self, jobs: list[TrainingJob]) -> int:
        """The number of jobs that have ended since the best one."""
        best, since = None, 0
        for job in sorted((job for job in jobs if job.is_over), key=lambda job: job.over_since):
            value = self.value(job) if job.status == "Completed" else None
            if value is not None and (best is None or self.sign * value > self.sign * best):
                best, since = value, 0
            else:
                since += 1
        return since

    def summary(self, jobs: list[TrainingJob]) -> Row:
        """A row of ListHyperParameterTuningJobs."""
        row = {
            "HyperParameterTuningJobName": self.name,
            "HyperParameterTuningJobArn": self.arn,
            "HyperParameterTuningJobStatus": self.status,
            "Strategy": self.config["Strategy"],
            "CreationTime": self.created,
            "LastModifiedTime": max([self.modified, *(job.modified for job in jobs)]),
            "TrainingJobStatusCounters": _counts(jobs),
            "ObjectiveStatusCounters": self._objectives(jobs),
            "ResourceLimits": self.config["ResourceLimits"],
        }
        return row | ({"HyperParameterTuningEndTime": self.ended} if self.ended else {})

    def describe(self, jobs: list[TrainingJob]) -> Row:
        """The answer of DescribeHyperParameterTuningJob."""
        answer = self.summary(jobs)
        for name in ("Strategy", "ResourceLimits"):
            del answer[name]
        answer["HyperParameterTuningJobConfig"] = dict(self.config)
        if ranges := self.config.get("ParameterRanges"):
            answer["HyperParameterTuningJobConfig"]["ParameterRanges"] = _shown_ranges(ranges)
        for name in ("WarmStartConfig", "Autotune"):
            if name in self.request:
                answer[name] = self.request[name]
        shown = [_shown(*both) for both in zip(_given(self.request), self.definitions, strict=True)]
        if "TrainingJobDefinition" in self.request:
            answer["TrainingJobDefinition"] = shown[0]
        else:
            answer["TrainingJobDefinitions"] = shown
        if best := self.best(jobs):
            answer["BestTrainingJob"] = self.child(best)
        if self.request.get("WarmStartConfig", {}).get("WarmStartType") == "IdenticalDataAndAlgorithm":
            rows = [row for row in (answer.get("BestTrainingJob"), self.inherited) if row]
            if rows:
                answer["OverallBestTrainingJob"] = max(rows, key=lambda row: self.sign * value_of(row))
        answer["TuningJobCompletionDetails"] = {"NumberOfTrainingJobsObjectiveNotImproving": self.not_improving(jobs)}
        seconds = time.monotonic() - self.begun if self.seconds is None else self.seconds
        answer["ConsumedResources"] = {"RuntimeInSeconds": round(seconds)}
        if self.failure_reason:
            answer["FailureReason"] = self.failure_reason[:1024]
        return answer

    def child(self, job: TrainingJob) -> Row:
        """A row of ListTrainingJobsForHyperParameterTuningJob."""
        value = self.value(job)
        row: Row = {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "TuningJobName": self.name,
            "CreationTime": job.created,
            "TrainingJobStatus": job.status,
            "TunedHyperParameters": self.children[job.name],
            "ObjectiveStatus": self._objective_status(job),
        }
        if name := self.definition(job).get("DefinitionName"):
            row["TrainingJobDefinitionName"] = name
        if job.started:
            row["TrainingStartTime"] = job.started
        if job.ended:
            row["TrainingEndTime"] = job.ended
        if job.failure_reason:
            row["FailureReason"] = job.failure_reason
        if value is not None:
            row["FinalHyperParameterTuningJobObjectiveMetric"] = self.objective(job) | {"Value": value}
        return row

    def _objective_status(self, job: TrainingJob) -> str:
        if not job.is_over:
            return "Pending"
        return "Succeeded" if job.status == "Completed" and self.value(job) is not None else "Failed"

    def _objectives(self, jobs: list[TrainingJob]) -> dict[str, int]:
        statuses = [self._objective_status(job) for job in jobs]
        return {name: statuses.count(name) for name in ("Succeeded", "Pending", "Failed")}


def definitions(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The definitions of training jobs, each with TuningObjective and HyperParameterRanges."""
    config = request["HyperParameterTuningJobConfig"]
    objective = config.get("HyperParameterTuningJobObjective", _NO_OBJECTIVE)
    own = {"TuningObjective": objective, "HyperParameterRanges": config.get("ParameterRanges", {})}
    return [own | one for one in _given(request)]


def static(definition: dict[str, Any]) -> dict[str, str]:
    """The static hyperparameters of a definition, with the one that SageMaker adds."""
    metric = definition["TuningObjective"]["MetricName"]
    given: dict[str, str] = definition.get("StaticHyperParameters", {})
    return given | ({OBJECTIVE: metric} if metric else {})


def resources(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """The possible ResourceConfigs of a definition's training jobs, the preferred one first."""
    if "ResourceConfig" in definition:
        return [definition["ResourceConfig"]]
    given = definition["HyperParameterTuningResourceConfig"]
    common = {name: value for name, value in given.items() if name not in ("InstanceConfigs", "AllocationStrategy")}
    return [common | one for one in given.get("InstanceConfigs") or [{}]]


def value_of(row: Row) -> float:
    """The objective's value in a row of a training job."""
    return float(row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def _given(request: dict[str, Any]) -> list[dict[str, Any]]:
    several: list[dict[str, Any]] = request.get("TrainingJobDefinitions") or [request["TrainingJobDefinition"]]
    return several


def _shown(given: dict[str, Any], definition: dict[str, Any]) -> Row:
    """A definition in descriptions: always with ResourceConfig, which the SDKs read."""
    own: Row = {"StaticHyperParameters": static(definition), "ResourceConfig": resources(definition)[0]}
    if ranges := given.get("HyperParameterRanges"):
        own["HyperParameterRanges"] = _shown_ranges(ranges)
    return given | own


def _shown_ranges(ranges: dict[str, Any]) -> Row:
    def scaled(name: str) -> list[Row]:
        return [{"ScalingType": "Auto"} | one for one in ranges.get(name, [])]

    numeric = {name: scaled(name) for name in ("IntegerParameterRanges", "ContinuousParameterRanges")}
    return {"CategoricalParameterRanges": []} | ranges | numeric


def _counts(jobs: list[TrainingJob]) -> dict[str, int]:
    statuses = [job.status for job in jobs]
    # "A failed training job can be retried only if it failed because an internal service error occurred."
    retryable = sum(job.status == "Failed" and job.failure_reason.startswith("InternalServerError") for job in jobs)
    return {
        "Completed": statuses.count("Completed"),
        "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
        "RetryableError": retryable,
        "NonRetryableError": statuses.count("Failed") - retryable,
        "Stopped": statuses.count("Stopped"),
    }
