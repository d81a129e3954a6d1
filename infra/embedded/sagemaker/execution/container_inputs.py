"""What a program is told of its job in /opt/ml/input/config, and which of its folders are copied to S3 while it runs.

Follows "How SageMaker Provides Training Information" of the SageMaker Developer Guide, and what the libraries that AWS
has published for inside a container read (sagemaker-training, smdebug).
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

# Members of the request that have a file of their own, and the folder where what it configures is written by default.
FILES = {
    "CheckpointConfig": ("checkpointconfig.json", _INSIDE.checkpoints),
    "TensorBoardOutputConfig": ("tensorboardoutputconfig.json", _INSIDE.output / "tensorboard"),
    "DebugHookConfig": ("debughookconfig.json", _INSIDE.output / "tensors"),
    "ProfilerConfig": ("profilerconfig.json", _INSIDE.output / "profiler"),
}
# Of those, where below S3OutputPath/NAME the folder is copied.
_COPIED = {
    "TensorBoardOutputConfig": "tensorboard-output",
    "DebugHookConfig": "debug-output",
    "ProfilerConfig": "profiler-output",
}


@dataclass(frozen=True)
class Synced:
    """A folder of each host that is copied to S3 while the job runs. `comes_back`: with a new instance, from there."""

    inside: Path  # as the program knows it
    uri: str
    comes_back: bool = False


def place(tree: OptMl, inside: Path) -> Path:
    """Where a folder is, of a host with this tree, that its program knows as `inside`."""
    if inside.is_relative_to(_INSIDE.base):
        return tree.base / inside.relative_to(_INSIDE.base)
    return tree.base / "elsewhere" / inside.relative_to("/")


def synced(request: Request) -> Iterator[Synced]:
    """The folders of a job that are copied."""
    if given := request.get("CheckpointConfig"):
        yield Synced(_folder("CheckpointConfig", given), given["S3Uri"], comes_back=True)
    for member, name in _COPIED.items():
        given = request.get(member)
        if given and given.get("S3OutputPath") and not given.get("DisableProfiler"):
            yield Synced(_folder(member, given), joined(given["S3OutputPath"], request["TrainingJobName"], name))


def _folder(member: str, given: Mapping[str, Any]) -> Path:
    return Path(given.get("LocalPath") or FILES[member][1])


def groups(request: Request) -> list[Group]:
    """The hosts algo-1, algo-2, ... of a job by instance group; one that names no groups has one."""
    resources, made, number = request["ResourceConfig"], [], 0
    for given in resources.get("InstanceGroups") or [resources]:
        count = int(given["InstanceCount"])
        hosts = tuple(f"algo-{number + one}" for one in range(1, count + 1))
        made.append(Group(given.get("InstanceGroupName", Group.name), given["InstanceType"], hosts))
        number += count
    return made


def hosts_of(channel: Mapping[str, Any], among: list[Group]) -> list[str]:
    """The hosts that a channel's data are for."""
    wanted = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    return [host for group in among if not wanted or group.name in wanted for host in group.hosts]


def channel(given: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """What inputdataconfig.json says of a channel."""
    source = given["DataSource"]["S3DataSource"]
    said = {
        "TrainingInputMode": given.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"],
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": given.get("RecordWrapperType", "None"),
    }
    return said | {name: given[name] for name in ("ContentType", "CompressionType", "ShuffleConfig") if name in given}


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
