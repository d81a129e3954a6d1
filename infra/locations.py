"""Uses of s3://... where a path is expected: data files, a model, a run's folder.

    s3://bucket/data/da              data/da_train.txt and data/da_val.txt, or a file or folder of this name
    s3://bucket/data/part-*.csv      all files that match
    s3://bucket/runs/da              a run's folder: config.json, model.safetensors, ...
    s3://bucket/.../model.tar.gz     what a training job left; also the folder that holds it, or a job's own
    s3://bucket/.../model.tar.gz/KEY one model of a job that trained several

The learning code sees local paths only.
"""

import fnmatch
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ahx.errors import CheckpointError, StorageError
from ahx.safe_files import archive
from infra import storage
from infra.storage import Location

_CONFIG, _CHECKPOINTS, _ARCHIVE = "config.json", "checkpoints", "model.tar.gz"
_TAR = ".tar.gz/"


def data(place: str) -> str:
    """A local path of the data files at `place`. Raises StorageError, ServiceError."""
    if not storage.is_s3(place):
        return place
    from ahx.data.files.names import set_name, stem

    client, wanted = storage.client(), Location.parse(place)
    parent = wanted.key.removesuffix(wanted.name)
    if glob.has_magic(wanted.key):
        every = storage.beginning(client, Location(wanted.bucket, re.split(r"[*?\[]", wanted.key)[0]))
        found = [one for one in every if fnmatch.fnmatchcase(one.key, wanted.key)]
    else:
        name = set_name(Path(wanted.name))
        marked = name != stem(Path(wanted.name))  # da_train.txt: da_val.txt belongs to it
        every = storage.beginning(client, Location(wanted.bucket, parent + name if marked else wanted.key))
        inside = [one for one in every if one.key.rpartition("/")[0] == wanted.key]
        alone = [one for one in every if one.key == wanted.key and not marked]
        beside = [one for one in every if one.key.rpartition("/")[0] + "/" == parent or "/" not in one.key]
        found = inside or alone or [one for one in beside if set_name(Path(one.key)) == name]
        if inside:
            return str(storage.fetch(client, wanted.bucket, found, wanted.key + "/", str(wanted)))
    if not found:
        raise StorageError(f"there is no {wanted}_train.txt and no object {wanted}; upload it, or check the name")
    return str(storage.fetch(client, wanted.bucket, found, parent, str(wanted)) / wanted.name)


def is_given(place: str) -> bool:
    """Whether `place` is a path that exists here, or an address in S3."""
    return storage.is_s3(place) or os.path.exists(place)


@contextmanager
def written(place: str) -> Iterator[str]:
    """A local path; files written there, whose names begin with its own, are at `place` when the block ends well."""
    if not storage.is_s3(place):
        yield place
        return
    client, wanted = storage.client(), Location.parse(place)
    storage.at(client, wanted)  # fail now, not after the work
    with tempfile.TemporaryDirectory(prefix="ahx-") as folder:
        yield str(Path(folder, wanted.name))
        parent = wanted.key.removesuffix(wanted.name)
        files = [(path, Location(wanted.bucket, parent + path.name)) for path in sorted(Path(folder).iterdir())]
        storage.upload(client, files, place, last=files[0][1])


def model(place: str) -> str:
    """A local folder with the model or run at `place`. Raises CheckpointError, ServiceError."""
    if not storage.is_s3(place):
        return place
    client, wanted = storage.client(), Location.parse(place)
    folder = [] if _TAR in f"{wanted.key}/" else storage.under(client, wanted)
    if any(one.key.endswith(f"/{_CONFIG}") for one in folder):
        return str(storage.fetch(client, wanted.bucket, folder, wanted.key + "/", str(wanted)))
    for packed in (wanted, wanted / _ARCHIVE, wanted / "output" / _ARCHIVE):
        if found := unpacked(client, packed):
            return str(found)
    if folder:
        raise CheckpointError(f"{wanted} is not a model, or only a part of one: it has no {_CONFIG}; upload it again")
    raise CheckpointError(f"there is no model at {wanted}; check the name with: aws s3 ls {wanted}")


def unpacked(client: Any, place: Location) -> Path | None:
    """A local folder with the contents of an archive, or of a folder in it; None where there is none."""
    name, tar, inside = f"{place.key}/".partition(_TAR)
    packed = Location(place.bucket, name + tar.rstrip("/"))
    if not tar or (one := storage.at(client, packed)) is None:
        return None
    home = storage.fetch(client, packed.bucket, [one], packed.key.removesuffix(packed.name), str(packed))
    if not (files := home / "files").is_dir():
        archive.unpack(home / packed.name, files)
    folder = files / inside
    return folder if folder.is_dir() else None


def folder(place: str) -> Path | None:
    """A local folder with the files at `place`: a folder of this machine, or an archive in S3 or a folder in one."""
    if storage.is_s3(place):
        return unpacked(storage.client(), Location.parse(place))
    return Path(place) if Path(place).is_dir() else None


def contents(place: str) -> bytes | None:
    """A small file at `place`; None where there is none. Raises StorageError, ServiceError."""
    if storage.is_s3(place):
        return storage.read(storage.client(), Location.parse(place))
    try:
        return Path(place).read_bytes() if os.path.isfile(place) else None
    except OSError as error:
        raise StorageError(f"cannot read {place}: {(error.strerror or str(error)).lower()}; check the path") from None


@contextmanager
def shared_folder(place: str) -> Iterator[Path]:
    """A local folder. The files in it, without its sub-folders, come from `place` in S3, and go there at the end.

    Files that an earlier call has left on this machine are not fetched. Raises ServiceError.
    """
    if not storage.is_s3(place):
        yield Path(place)
        return
    client, wanted = storage.client(), Location.parse(place)
    folder = Path("runs", wanted.bucket, wanted.key)
    names = {one: one.key.removeprefix(f"{wanted.key}/") for one in storage.under(client, wanted)}
    if missing := [one for one, name in names.items() if "/" not in name and not (folder / name).exists()]:
        fetched = storage.fetch(client, wanted.bucket, missing, wanted.key + "/", str(wanted))
        shutil.copytree(fetched, folder, dirs_exist_ok=True)
    try:
        yield folder
    finally:
        files = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
        storage.upload(client, [(path, wanted / path.name) for path in files], str(wanted))


def run_folder(place: str, resume: bool) -> str:
    """The local folder of a run that goes to `place` in the end; with `resume`, it is fetched from S3."""
    if not storage.is_s3(place):
        return place
    wanted = Location.parse(place)
    folder = Path("runs", wanted.bucket, wanted.key)
    if resume and os.environ.get("RANK", "0") == "0" and not list((folder / _CHECKPOINTS).glob("step-*")):
        client = storage.client()
        if objects := storage.under(client, wanted):
            fetched = storage.fetch(client, wanted.bucket, objects, wanted.key + "/", str(wanted))
            shutil.copytree(fetched, folder, dirs_exist_ok=True)
    return str(folder)


def publish_run(folder: str, place: str, finished: bool) -> str:
    """Upload a run to `place` and say so in a sentence.

    A finished run is its model and metrics; of one that was stopped, the newest checkpoint goes too, to resume from.
    The configuration is deleted first and uploaded last: without it nothing reads the rest.
    """
    client, wanted, run = storage.client(), Location.parse(place), Path(folder)
    here = [*run.iterdir(), *(run / "tensorboard").glob("*")]
    files = [path for path in here if path.is_file() and not path.name.startswith(".")]
    if finished:
        marker = wanted / _CONFIG
    else:
        newest = max((run / _CHECKPOINTS).glob("step-*"))
        files += newest.iterdir()
        marker = wanted / _CHECKPOINTS / newest.name / _CONFIG
    places = [(path, wanted / path.relative_to(run).as_posix()) for path in sorted(files)]
    stale = [Location(wanted.bucket, one.key) for one in storage.under(client, wanted / _CHECKPOINTS)]
    storage.delete(client, [marker, wanted / _CONFIG])
    storage.upload(client, places, str(wanted), last=marker)
    storage.delete(client, set(stale) - {place for _, place in places})
    return f"Uploaded to {wanted}. The checkpoints are kept in {run / _CHECKPOINTS}."
