"""Makes the /opt/ml tree of one training job in a folder of this machine, as SageMaker prepares it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ahx.errors import InputError, StorageError
from opt_ml import config
from opt_ml.config import HOST, Group
from opt_ml.paths import OptMl

Source = str | os.PathLike[str]


def build(
    folder: Source,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Source | Sequence[Source]],
    *,
    copy: bool = False,
    channel_configs: Mapping[str, Mapping[str, Any]] | None = None,
    groups: Sequence[Group] = (Group(),),
    current_host: str = HOST,
    files: Mapping[str, Any] | None = None,
) -> OptMl:
    """Make the tree that a training container finds at its start. Existing files, such as checkpoints, are kept.

    `channels` maps each name to a folder of this machine, or to one or several files; they are linked into the tree, or
    copied. `channel_configs` has members of inputdataconfig.json that differ from the usual, by channel; `files` are
    further files beside it, by name. Raises InputError for a missing channel, StorageError when the tree cannot be
    written.
    """
    tree, given = OptMl(Path(folder).absolute()), channel_configs or {}
    try:
        for made in (tree.config, tree.channels, tree.model, tree.output_data, tree.checkpoints):
            made.mkdir(parents=True, exist_ok=True)
        for name, source in channels.items():
            several = [source] if isinstance(source, (str, os.PathLike)) else source
            _channel(tree.channel(name), [Path(one).absolute() for one in several], copy)
        config.write(tree.hyperparameters, dict(hyperparameters))
        config.write(tree.input_data_config, {name: config.channel_json(given.get(name, {})) for name in channels})
        config.write(tree.resource_config, config.resources_json(groups, current_host))
        for name, data in (files or {}).items():
            config.write(tree.config / name, data)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot make the job's folder {tree.base}: {reason}; choose another place") from error
    return tree


def _channel(folder: Path, sources: list[Path], copy: bool) -> None:
    """Put `sources`, one folder or some files, at the channel's folder."""
    if missing := [source for source in sources if not source.exists()]:
        raise InputError(f"channel {folder.name}: there is no {missing[0]}; check the path, or run `ahx gen-data`")
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    if len(sources) == 1 and sources[0].is_dir():
        if copy:
            shutil.copytree(sources[0], folder)
        else:
            folder.symlink_to(sources[0], target_is_directory=True)
        return
    folder.mkdir()
    for source in sources:
        link_or_copy(source, folder / source.name, copy)


def link_or_copy(source: Path, target: Path, copy: bool = False) -> None:
    """A hard link, which a container sees as a file like any other; a copy on another file system."""
    if not copy:
        with suppress(OSError):
            os.link(source.resolve(), target)
            return
    shutil.copy2(source, target)
