"""A container's files in /opt/ml/input/config, and its folders that are copied to S3 while the job runs.

Follows "How SageMaker Provides Training Information" of the SageMaker Developer Guide, and AWS's libraries that read
these files in a container (sagemaker-training, smdebug).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.embedded.sagemaker.s3_uris import joined
from opt_ml.config import Group
from opt_ml.paths import OptMl

Request = dict[str, Any]
_INSIDE = OptMl()

# Members of the request with a file of their own: its name, and the default of LocalPath.
FILES = {
    "CheckpointConfig": ("checkpointconfig.json", _INSIDE.checkpoints),
    "TensorBoardOutputConfig": ("tensorboardoutputconfig.json", _INSIDE.tensorboard),
    "DebugHookConfig": ("debughookconfig.json", _INSIDE.output / "tensors"),
    "ProfilerConfig": ("profilerconfig.json", _INSIDE.output / "profiler"),
}
# Those whose LocalPath is copied: the folder below S3OutputPath/NAME.
_COPIED = {
    "TensorBoardOutputConfig": "tensorboard-output",
    "DebugHookConfig": "debug-output",
    "ProfilerConfig": "profiler-output",
}


@dataclass(frozen=True)
class Synced:
    """A folder of each host that is copied to S3 while the job runs, and with `restored` back to a new instance."""

    inside: Path  # its path in a container
    uri: str
    restored: bool = False


def folder_of(tree: OptMl, inside: Path) -> Path:
    """The folder of a host that is `inside` in its container."""
    if inside.is_relative_to(_INSIDE.base):
        return tree.base / inside.relative_to(_INSIDE.base)
    return tree.base / "elsewhere" / inside.relative_to("/")


def synced(request: Request) -> Iterator[Synced]:
    """The folders of a job that are copied."""
    if given := request.get("CheckpointConfig"):
        yield Synced(_folder("CheckpointConfig", given), given["S3Uri"], restored=True)
    for member, name in _COPIED.items():
        given = request.get(member)
        if given and given.get("S3OutputPath") and not given.get("DisableProfiler"):
            yield Synced(_folder(member, given), joined(given["S3OutputPath"], request["TrainingJobName"], name))


def _folder(member: str, given: Mapping[str, Any]) -> Path:
    return Path(given.get("LocalPath") or FILES[member][1])


def groups(request: Request) -> list[Group]:
    """The hosts algo-1, algo-2, ... of a job by instance group; without InstanceGroups, there is one group."""
    resources, made, number = request["ResourceConfig"], [], 0
    for given in resources.get("InstanceGroups") or [resources]:
        count = int(given["InstanceCount"])
        hosts = tuple(f"algo-{number + one}" for one in range(1, count + 1))
        made.append(Group(given.get("InstanceGroupName", Group.name), given["InstanceType"], hosts))
        number += count
    return made


def hosts_of(channel: Mapping[str, Any], among: list[Group]) -> list[str]:
    """The hosts that receive a channel."""
    wanted = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    return [host for group in among if not wanted or group.name in wanted for host in group.hosts]


def channel(given: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """A channel's entry in inputdataconfig.json."""
    source = given["DataSource"]["S3DataSource"]
    entry = {
        "TrainingInputMode": given.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"],
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": given.get("RecordWrapperType", "None"),
    }
    return entry | {name: given[name] for name in ("ContentType", "CompressionType", "ShuffleConfig") if name in given}


def files(request: Request) -> dict[str, Any]:
    """The further files in /opt/ml/input/config, by name."""
    definitions = request["AlgorithmSpecification"].get("MetricDefinitions", [])
    made: dict[str, Any] = {
        "metric-definition-regex.json": definitions,
        "trainingjobconfig.json": request,
        "upstreamoutputdataconfig.json": [],
    }
    for member, (name, folder) in FILES.items():
        if given := request.get(member):
            made[name] = {"LocalPath": str(folder)} | given
    return made
