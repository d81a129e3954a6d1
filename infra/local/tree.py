"""The /opt/ml tree of one training job in a folder of this machine: what SageMaker would prepare, and what came out."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ahx.errors import InputError, StorageError
from ahx.training.opt_ml import OptMl

HOST = "algo-1"
Source = str | os.PathLike[str]


def build(
    folder: Source,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Source | Sequence[Source]],
    *,
    copy: bool = False,
    input_modes: Mapping[str, str] | None = None,
    hosts: Sequence[str] = (HOST,),
    current_host: str = HOST,
    instance_type: str = "local",
    network_interface: str = "eth0",
) -> OptMl:
    """Make the tree that a training container finds at its start. What is there already, checkpoints say, stays.

    `channels` maps each name to a folder of this machine, or to one or several files; they are linked into the tree, or
    copied. `input_modes` says File or FastFile for those that are not File. Raises InputError for a channel that is not
    there, StorageError when the tree cannot be written.
    """
    tree = OptMl(Path(folder).absolute())
    modes = dict(input_modes or {})
    try:
        for made in (tree.config, tree.channels, tree.model, tree.output_data, tree.checkpoints):
            made.mkdir(parents=True, exist_ok=True)
        for name, source in channels.items():
            several = [source] if isinstance(source, (str, os.PathLike)) else source
            _channel(tree.channel(name), [Path(one).absolute() for one in several], copy)
        _write(tree.hyperparameters, dict(hyperparameters))
        _write(tree.input_data_config, {name: _channel_config(modes.get(name, "File")) for name in channels})
        _write(
            tree.resource_config,
            {
                "current_host": current_host,
                "current_instance_type": instance_type,
                "current_group_name": "homogeneousCluster",
                "hosts": sorted(hosts),
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": instance_type,
                        "hosts": sorted(hosts),
                    }
                ],
                "network_interface_name": network_interface,
            },
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot make the job's folder {tree.base}: {reason}; choose another place") from error
    return tree


def failure(tree: OptMl) -> str:
    """What the failure file says, its first line a sentence; "" where there is none. It counts when a job failed only:
    while one is running it says what a sudden death would mean."""
    try:
        return tree.failure.read_text("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


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
        _link_or_copy(source, place / source.name, copy)


def _link_or_copy(source: Path, place: Path, copy: bool) -> None:
    """A hard link, which a container sees as a file like any other; a copy on another file system."""
    if not copy:
        with suppress(OSError):
            os.link(source.resolve(), place)
            return
    shutil.copy2(source, place)


def _channel_config(mode: str) -> dict[str, str]:
    return {"TrainingInputMode": mode, "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
