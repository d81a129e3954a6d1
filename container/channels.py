"""The input channels of a job: their files for training and for validation, and a model to start from."""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ahx.data.files.names import data_sets, likely, set_name, stem
from ahx.data.source import DataFiles
from ahx.errors import CheckpointError, InputError, StorageError
from ahx.safe_files.archive import unpack
from ahx.text.suggest import did_you_mean
from opt_ml import config
from opt_ml.paths import OptMl

#: The channels that a job may have, by all their names; SageMaker's SDK calls a single one `training`.
NAMES = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "model": "model",
    "trials": "trials",
}  # fmt: skip
_WAIT_SECONDS = 60.0  # for the files of a FastFile channel, which may appear late
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Channel:
    """One channel of inputdataconfig.json."""

    name: str  # as the job calls it
    folder: Path
    streamed: bool  # FastFile: files appear late, and are read once, in order
    sharded: bool  # each host of the job has other files

    def files(self) -> list[Path]:
        """Its data files, those of sub-folders too; caches and hidden files are not data. Raises InputError."""
        for _ in range(int(_WAIT_SECONDS * 10) if self.streamed else 1):
            found = sorted(path for path in self.folder.rglob("*") if self._is_data(path))
            if found or not self.streamed:
                break
            time.sleep(0.1)
        if not self.folder.is_dir():
            raise InputError(
                f"channel {self.name}: its folder {self.folder} is missing; "
                f"mount the data there, or give the channel an S3 location"
            )
        if not found:
            raise InputError(f"channel {self.name}: {self.folder} has no files; check where its data should come from")
        return found

    def _is_data(self, path: Path) -> bool:
        parts = path.relative_to(self.folder).parts
        return (
            path.exists()
            and not path.is_dir()
            and not any(part.startswith(".") or part.endswith(".ahxcache") for part in parts)
        )


def channels(tree: OptMl) -> dict[str, Channel]:
    """The job's channels by name. Raises InputError for an unknown one."""
    found: dict[str, Channel] = {}
    for name, given in config.channels(tree.input_data_config).items():
        usual = NAMES.get(name)
        if usual is None:
            near = did_you_mean(name, NAMES, "channels are called train, validation and model")
            raise InputError(f"channel {name!r} is not one that training reads{near}")
        if usual in found:
            raise InputError(f"channels {found[usual].name} and {name} mean the same; keep one of the two")
        if given.mode not in ("File", "FastFile"):
            raise InputError(f"channel {name}: input mode {given.mode} cannot be read; use File or FastFile")
        found[usual] = Channel(name, tree.channel(name), given.mode == "FastFile", given.sharded)
    if "validation" in found and "train" not in found:
        raise InputError(f"there is a channel {found['validation'].name}, but none called train; add it")
    return found


def data_files(given: Mapping[str, Channel], infile: str | None, scratch: Path, again: bool = True) -> DataFiles | None:
    """The files of the channels for training and validation; None where there is no channel train.

    `infile` picks among several data sets, by a file's name or the `NAME` in NAME_train.txt. FastFile channels can be
    read only once and in order, so they are copied to `scratch` first. Raises InputError, StorageError.
    """
    if "train" not in given:
        return None
    name = infile.rstrip("/").rpartition("/")[2] if infile else None
    train, val, test = _pick(given["train"], name)
    if "validation" in given:
        own = _pick(given["validation"], name)
        val = own.val or own.train or own.test
    if given["train"].streamed:
        train = tuple(copied(path, scratch / "train", again) for path in train)
    if given.get("validation", given["train"]).streamed:
        val = tuple(copied(path, scratch / "validation", again) for path in val)
    return DataFiles(train, val, test)


def model_folder(channel: Channel, scratch: Path) -> Path:
    """A folder with the model of channel `model`: its files, or those of its model.tar.gz."""
    files = channel.files()
    packed = [path for path in files if path.name.endswith(".tar.gz")]
    if packed:
        return _unpacked(packed[0], scratch / "model")
    configs = [path for path in files if path.name == "config.json"]
    if not configs:
        raise InputError(f"channel {channel.name}: {channel.folder} has no config.json and no model.tar.gz of a model")
    folder = min(configs, key=lambda path: len(path.parts)).parent
    if channel.streamed:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                copied(path, scratch / "model")
        return scratch / "model"
    return folder


def copied(source: Path, folder: Path, again: bool = True) -> Path:
    """A copy of `source` in `folder`, read from its first byte to its last. Raises StorageError.

    Without `again` an existing copy is used: another process of this machine has just made it.
    """
    place = folder / source.name
    if not again and place.exists():
        return place
    partial = place.with_name(f".{place.name}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(source, "rb", buffering=0) as stream, open(partial, "wb") as file:
            while data := stream.read(_CHUNK):
                file.write(data)
        os.replace(partial, place)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise StorageError(
            f"cannot copy {source} to {folder}: {reason}; give the instance a larger volume, or use File mode"
        ) from error
    return place


def _pick(channel: Channel, name: str | None) -> DataFiles:
    """The data set to use: the one that is named, the only one, or the only one with `train` or `val` in its names."""
    files = channel.files()
    sets = data_sets(files if name is not None else likely(files))
    if name is not None:
        named = sets.get(set_name(Path(name))) or sets.get(name)
        if named is not None or len(files) == 1:
            return named or next(iter(sets.values()))
    elif len(sets) == 1:
        return next(iter(sets.values()))
    elif len(marked := [own for key, own in sets.items() if any(key != stem(path) for path in sum(own, ()))]) == 1:
        return marked[0]
    shown = ", ".join(path.name for path in files[:5]) + (", ..." if len(files) > 5 else "")
    if name is not None:
        raise InputError(f"channel {channel.name} has no data set {name!r} (infile); its files are {shown}")
    raise InputError(
        f"channel {channel.name} has several data files ({shown}); name one with the hyperparameter infile"
    )


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack a model; the folder that holds its config.json."""
    shutil.rmtree(folder, ignore_errors=True)
    unpack(archive, folder)
    configs = sorted(folder.rglob("config.json"), key=lambda path: len(path.parts))
    if not configs:
        raise CheckpointError(f"{archive} holds no config.json of a model; give the model.tar.gz of a job")
    return configs[0].parent
