"""The files in /opt/ml/input/config: what SageMaker writes there, and what a job reads.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ahx.errors import InputError
from ahx.safe_files.reading import json_of, text_of
from opt_ml.paths import OptMl

_INSIDE = OptMl()
HOST = "algo-1"  # the only host, or the first


@dataclass(frozen=True)
class Group:
    """Hosts of one instance type. A job has one group with this name, or several with names of their own."""

    name: str = "homogeneousCluster"
    instance_type: str = "local"
    hosts: Sequence[str] = (HOST,)


class Resources(NamedTuple):
    """What a job reads from resourceconfig.json."""

    hosts: tuple[str, ...]
    current_host: str
    network_interface: str


class Channel(NamedTuple):
    """What a job reads from inputdataconfig.json about one channel."""

    mode: str  # File, FastFile or Pipe
    sharded: bool  # each host gets other files


def read(path: Path) -> dict[str, Any]:
    """One of the files. Raises InputError when it is missing or is no JSON object."""
    if not path.exists():
        raise InputError(
            f"{path} is missing; SageMaker writes it, and under docker run it must be mounted (see docs/container.md)"
        )
    data = json_of(text_of(path), path)
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold one JSON object")
    return data


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def resources(path: Path) -> Resources:
    """Read resourceconfig.json. Raises InputError when it names no hosts."""
    data = read(path)
    hosts, current = data.get("hosts"), data.get("current_host")
    if not isinstance(hosts, list) or current not in hosts:
        raise InputError(
            f"resourceconfig.json must list `hosts` with `current_host` among them (got {hosts!r} and {current!r})"
        )
    return Resources(tuple(sorted(map(str, hosts))), str(current), str(data.get("network_interface_name") or ""))


def tensorboard(tree: OptMl, trial: str = "") -> Path:
    """The folder for TensorBoard's files, those of one `trial` of several.

    SageMaker uploads the LocalPath of a job's TensorBoardOutputConfig. A job without one has them in its output.
    """
    file = tree.config / "tensorboardoutputconfig.json"
    if not file.exists():
        return tree.output_data / trial / "tensorboard"
    inside = Path(read(file).get("LocalPath") or _INSIDE.tensorboard)
    own = inside.is_relative_to(_INSIDE.base)
    return (tree.base / inside.relative_to(_INSIDE.base) if own else inside) / trial


def channels(path: Path) -> dict[str, Channel]:
    """Read inputdataconfig.json. Raises InputError."""
    found = {name: about if isinstance(about, dict) else {} for name, about in read(path).items()}
    return {
        name: Channel(about.get("TrainingInputMode", "File"), about.get("S3DistributionType") == "ShardedByS3Key")
        for name, about in found.items()
    }


def resources_json(groups: Sequence[Group], current_host: str) -> dict[str, Any]:
    """resourceconfig.json, as "Distributed Training Configuration" in SageMaker's guide has it."""
    own = next(group for group in groups if current_host in group.hosts)
    return {
        "current_host": current_host,
        "current_instance_type": own.instance_type,
        "current_group_name": own.name,
        "hosts": sorted(host for group in groups for host in group.hosts),
        "instance_groups": [
            {
                "instance_group_name": group.name,
                "instance_type": group.instance_type,
                "hosts": sorted(group.hosts),
            }
            for group in groups
        ],
        "network_interface_name": "eth0",
    }


def channel_json(given: Mapping[str, Any]) -> dict[str, Any]:
    """A channel in inputdataconfig.json: the usual members, overridden by `given`."""
    usual = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    return usual | dict(given)
