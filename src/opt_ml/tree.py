"""The /opt/ml tree of one training job in a folder of this machine: what SageMaker would prepare, and what came out."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahx.errors import InputError, StorageError
from opt_ml.paths import OptMl

HOST = "algo-1"
_MOST_FAILURE = 1 << 16  # bytes that are read of a failure file
Source = str | os.PathLike[str]


@dataclass(frozen=True)
class Group:
    """Hosts of one instance type. A job has one group, called so, or several with names of their own."""

    name: str = "homogeneousCluster"
    instance_type: str = "local"
    hosts: Sequence[str] = (HOST,)


def build(
    folder: Source,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Source | Sequence[Source]],
    *,
    copy: bool = False,
    told: Mapping[str, Mapping[str, Any]] | None = None,
    groups: Sequence[Group] = (Group(),),
    current_host: str = HOST,
    files: Mapping[str, Any] | None = None,
) -> OptMl:
    """Make the tree that a training container finds at its start. What is there already, checkpoints say, stays.

    `channels` maps each name to a folder of this machine, or to one or several files; they are linked into the tree, or
    copied. `told` is what inputdataconfig.json says of a channel where that is not the usual; `files` are further files
    beside it, by name. Raises InputError for a channel that is not there, StorageError when the tree cannot be written.
    """
    tree = OptMl(Path(folder).absolute())
    said = told or {}
    try:
        for made in (tree.config, tree.channels, tree.model, tree.output_data, tree.checkpoints):
            made.mkdir(parents=True, exist_ok=True)
        for name, source in channels.items():
            several = [source] if isinstance(source, (str, os.PathLike)) else source
            _channel(tree.channel(name), [Path(one).absolute() for one in several], copy)
        _write(tree.hyperparameters, dict(hyperparameters))
        _write(tree.input_data_config, {name: _USUAL | dict(said.get(name, {})) for name in channels})
        _write(tree.resource_config, _resources(groups, current_host))
        for name, data in (files or {}).items():
            _write(tree.config / name, data)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot make the job's folder {tree.base}: {reason}; choose another place") from error
    return tree


def failure(tree: OptMl) -> str:
    """What the failure file says, its first line a sentence; "" where there is none. It counts when a job failed only:
    while one is running it says what a sudden death would mean."""
    try:
        with open(tree.failure, "rb", opener=_no_link) as file:
            return (file.read(_MOST_FAILURE) or b"").decode(errors="replace").strip()
    except OSError:  # there is none, or something else has its name
        return ""


def _no_link(name: str, flags: int) -> int:
    """A job's program must not have us read what it may not, nor wait for a pipe."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def reason(tree: OptMl) -> str:
    """The first line of the failure file: one sentence, or ""."""
    return failure(tree).partition("\n")[0]


def _channel(place: Path, sources: list[Path], copy: bool) -> None:
    """Put `sources`, one folder or some files, where the channel's folder belongs."""
    if missing := [source for source in sources if not source.exists()]:
        raise InputError(f"channel {place.name}: there is no {missing[0]}; check the path, or run `ahx gen-data`")
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    if len(sources) == 1 and sources[0].is_dir():
        if copy:
            shutil.copytree(sources[0], place)
        else:
            place.symlink_to(sources[0], target_is_directory=True)
        return
    place.mkdir()
    for source in sources:
        link_or_copy(source, place / source.name, copy)


def link_or_copy(source: Path, place: Path, copy: bool = False) -> None:
    """A hard link, which a container sees as a file like any other; a copy on another file system."""
    if not copy:
        with suppress(OSError):
            os.link(source.resolve(), place)
            return
    shutil.copy2(source, place)


_USUAL = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def _resources(groups: Sequence[Group], current_host: str) -> dict[str, Any]:
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


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
