"""A training job: its request, its statuses and their history, and its results."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from infra.embedded.sagemaker.api.members import shared
from infra.embedded.sagemaker.s3_uris import joined
from infra.embedded.state.ledger import Persisted

TERMINAL = ("Completed", "Failed", "Stopped", "Deleting")

# StatusMessage by secondary status; API_SecondaryStatusTransition lists some and says that they may change.
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Managed spot training instances were interrupted",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided by the user",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided by the user",
}

# The billed part of a managed spot job's time on instances; AWS's discount varies.
SPOT_PRICE = 0.3

# Members of the request that DescribeTrainingJob returns unchanged.
_ECHOED = shared("CreateTrainingJobRequest", "DescribeTrainingJobResponse")


@dataclass
class TrainingJob(Persisted):
    """Times are seconds since 1970, UTC. Changed only under the lock of the store that holds it."""

    created: float
    status: str = "InProgress"
    secondary: str = "Starting"
    modified: float = 0.0
    transitions: list[dict[str, Any]] = field(default_factory=list)
    failure_reason: str = ""
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)  # name -> (value, when)
    started: float | None = None
    ended: float | None = None
    instance_seconds: float = 0.0  # on instances, over all attempts; waiting for spot capacity does not count
    has_model: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    tuning_arn: str = ""
    watched: str = ""  # the metric by which its tuning job decides on early stopping
    curve: list[float] = field(default_factory=list)
    pool: dict[str, Any] = field(default_factory=dict)  # WarmPoolStatus, as of its last update
    retries: int = 0
    over_since: float = 0.0  # by the monotonic clock

    section: ClassVar[str] = "training_jobs"

    @property
    def name(self) -> str:
        return str(self.request["TrainingJobName"])

    @property
    def instance_count(self) -> int:
        resources = self.request["ResourceConfig"]
        return sum(int(group["InstanceCount"]) for group in resources.get("InstanceGroups") or [resources])

    @property
    def is_spot(self) -> bool:
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def keep_alive(self) -> int:
        """The seconds for which its instances are retained in a warm pool."""
        return int(self.request["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0))

    @property
    def has_pool(self) -> bool:
        """Whether its instances are in a warm pool, as of its last update."""
        return self.pool.get("Status") == "Available"

    @property
    def output(self) -> str:
        """The prefix of its artifacts: S3OutputPath/NAME/output."""
        return joined(self.request["OutputDataConfig"]["S3OutputPath"], self.name, "output")

    def enter(self, secondary: str, status: str | None = None, message: str = "") -> None:
        """Enter a secondary status, and `status` if given."""
        now = time.time()
        if self.transitions and "EndTime" not in self.transitions[-1]:
            self.transitions[-1]["EndTime"] = now
        entry = {"Status": secondary, "StartTime": now, "StatusMessage": message or MESSAGES[secondary]}
        self.status, self.secondary, self.modified = status or self.status, secondary, now
        if self.is_over:
            entry["EndTime"] = self.ended = now
            self.over_since = time.monotonic()
        self.transitions.append(entry)

    def internal_error(self) -> bool:
        """Retry as RetryStrategy allows, or else fail. Returns whether it failed."""
        most = self.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        if self.status != "InProgress" or self.retries >= most:
            self.fail("InternalServerError: We encountered an internal error. Please try again.")
            return True
        self.retries += 1
        self.enter("Starting", "InProgress", "Retrying the training job after an internal error")
        return False

    def fail(self, reason: str) -> None:
        """End as Failed; FailureReason holds 1,024 characters."""
        self.failure_reason = reason[:1024]
        self.enter("Failed", "Failed")

    def measure(self, name: str, value: float, when: float) -> None:
        """Record a metric's value."""
        self.metrics[name] = (value, when)
        if name == self.watched:
            self.curve.append(value)

    def summary(self) -> dict[str, Any]:
        """A row of ListTrainingJobs."""
        row = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
        }
        row |= {"WarmPoolStatus": dict(self.pool)} if self.pool else {}
        return row | ({"TrainingEndTime": self.ended} if self.ended else {})

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeTrainingJob."""
        answer = {name: self.request[name] for name in _ECHOED if name in self.request}
        answer |= self.summary()
        answer["OutputDataConfig"] = {"KmsKeyId": "", "CompressionType": "GZIP"} | self.request["OutputDataConfig"]
        answer["SecondaryStatusTransitions"] = self.transitions
        answer["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": when} for name, (value, when) in self.metrics.items()
        ]
        profiler = self.request.get("ProfilerConfig")
        answer["ProfilingStatus"] = "Enabled" if profiler and not profiler.get("DisableProfiler") else "Disabled"
        if self.tuning_arn:
            answer["TuningJobArn"] = self.tuning_arn
        if self.failure_reason:
            answer["FailureReason"] = self.failure_reason
        packed = self.request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
        model = f"{self.output}/{'model.tar.gz' if packed else 'model/'}" if self.has_model else ""
        answer["ModelArtifacts"] = {"S3ModelArtifacts": model}
        if self.started:
            answer["TrainingStartTime"] = self.started
            if self.is_over:
                answer["TrainingTimeInSeconds"] = max(1, math.ceil(self.instance_seconds))
                price = SPOT_PRICE if self.is_spot else 1.0
                answer["BillableTimeInSeconds"] = max(1, math.ceil(price * self.instance_seconds))
        return answer

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return super().from_json(
            saved | {"metrics": {name: tuple(answer) for name, answer in saved["metrics"].items()}}
        )
