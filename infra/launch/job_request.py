"""CreateTrainingJob requests. Pure: the same trials, data and image always give the same request.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ahx.training.hyperparameters import facts
from ahx.training.metrics import METRIC_DEFINITIONS
from ahx.training.tracking.choice import EXPERIMENT_VARIABLE, NONE, TENSORBOARD
from infra.launch.options import JobOptions
from infra.launch.sweep import Config
from infra.provision.bucket import Bucket
from infra.provision.role import Role
from infra.provision.stack_id import StackId
from infra.provision.training_jobs import name_prefix
from opt_ml.paths import OptMl
from opt_ml.trials_channel import CHANNEL

_KEY_DIGITS = 10


@dataclass(frozen=True)
class JobTemplate(JobOptions):
    """What all jobs of one sweep share."""

    sweep: str
    stack_id: StackId
    image: str  # address in a registry, with its digest
    image_digest: str  # of the code that runs; another digest makes other jobs
    channels: Mapping[str, str] = field(default_factory=dict)  # channel -> s3://... or a local folder
    data_hash: str = ""  # of all channels' contents
    max_wait: int = 0  # seconds of a spot job with all its waiting; 0 is twice the runtime plus an hour
    volume_gb: int = 10

    def to_json(self) -> dict[str, Any]:
        """As sweeps keep it, with the stack under the key "names"."""
        data = asdict(self)
        named = {"sweep": data.pop("sweep"), "names": data.pop("stack_id")}
        return named | {name: value for name, value in data.items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(stack_id=StackId(**data["names"]), **{key: value for key, value in data.items() if key != "names"})


def key(config: Config, data_hash: str, image_digest: str) -> str:
    """Identifies a trial by its configuration, data and image: 10 hexadecimal digits."""
    config = {name: value for name, value in config.items() if not facts(name).only_watches}
    text = json.dumps([config, data_hash, image_digest], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def key_of(template: JobTemplate, config: Config) -> str:
    """The key of one trial of a sweep."""
    return key(config, template.data_hash, template.image_digest)


def job_name(template: JobTemplate, config: Config, attempt: int = 1) -> str:
    """The name of a trial, and of a job that trains only this one."""
    return batch_name(template, [key_of(template, config)], attempt)


def batch_name(template: JobTemplate, keys: Sequence[str], attempt: int = 1) -> str:
    """ahx-<sweep>-<key> for a job of one trial, ahx-<sweep>-t<9 hex> for one of several, with -r2 for a retry.

    It is the idempotency key of CreateTrainingJob, which has no client token.
    """
    digest = hashlib.sha256(" ".join(sorted(keys)).encode()).hexdigest()[: _KEY_DIGITS - 1]
    name = f"{name_prefix(template.stack_id)}{template.sweep}-{keys[0] if len(keys) == 1 else f't{digest}'}"
    return name if attempt == 1 else f"{name}-r{attempt}"


def job_pattern(stack_id: StackId, sweep: str) -> re.Pattern[str]:
    """Matches the names of the sweep's jobs, and of no other sweep's; groups: the name without attempt, the attempt."""
    return re.compile(
        rf"({re.escape(name_prefix(stack_id) + sweep)}-[0-9a-ft][0-9a-f]{{{_KEY_DIGITS - 1}}})(?:-r(\d+))?"
    )


def only_trial(job: str) -> str:
    """The key of the trial in the name of a job that trains only one; "" for a job of several."""
    found = re.search(rf"-([0-9a-f]{{{_KEY_DIGITS}}})(-r\d+)?$", job)
    return found[1] if found else ""


def training_job(template: JobTemplate, name: str, trials: str, trackers: Iterable[str] = ()) -> dict[str, Any]:
    """The request of a job that trains the trials in the channel at the address `trials`, which report to `trackers`.

    An interrupted spot job continues from its checkpoints; a retry has another name, and none.
    """
    bucket = Bucket(template.stack_id)
    channels = {**template.channels, CHANNEL: trials}
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": Role(template.stack_id).arn,
        "AlgorithmSpecification": {
            "TrainingImage": template.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": METRIC_DEFINITIONS,
        },
        "HyperParameters": {},
        "InputDataConfig": [_channel(channel, source) for channel, source in sorted(channels.items())],
        "OutputDataConfig": {"S3OutputPath": bucket.output_uri},
        "CheckpointConfig": {"S3Uri": bucket.checkpoints_uri(name), "LocalPath": str(OptMl().checkpoints)},
        "ResourceConfig": {
            "InstanceType": template.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": template.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": template.max_runtime},
        "Tags": [{"Key": k, "Value": v} for k, v in {**template.stack_id.tags, "ahx:sweep": template.sweep}.items()],
        "Environment": {"PYTHONUNBUFFERED": "1", "AHX_MAX_RUNTIME": str(template.max_runtime)},
    }
    for tracker in trackers:
        if tracker == TENSORBOARD:
            board = {"S3OutputPath": bucket.output_uri, "LocalPath": str(OptMl().tensorboard)}
            request["TensorBoardOutputConfig"] = board
        elif tracker != NONE:
            request["Environment"][EXPERIMENT_VARIABLE] = template.sweep
    if template.keep_alive:
        request["ResourceConfig"]["KeepAlivePeriodInSeconds"] = template.keep_alive
    if template.spot:
        request["EnableManagedSpotTraining"] = True
        wait = template.max_wait or 2 * template.max_runtime + 3600
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = max(wait, template.max_runtime)
    return request


def _channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def address_of(request: Mapping[str, Any], channel: str) -> str:
    """Where the channel's files are, or "" for a job without it."""
    uris = {
        one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in request.get("InputDataConfig", ())
    }
    return str(uris.get(channel, ""))
