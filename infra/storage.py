"""Files to and from S3, many at once, with a progress line. A transfer that is cut short leaves no partial file.

A download is written beside its target and renamed when it is complete. An upload may name a file that goes last: a
reader that looks for it first sees no partial upload.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

from ahx.errors import InputError, ServiceError, StorageError
from ahx.text import printing

SCHEME = "s3://"
_THREADS = 10  # requests at a time; a client's pool has as many connections


@dataclass(frozen=True)
class Location:
    """A location in S3. Slashes at the end of the key are dropped."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """s3://bucket/some/key. Raises InputError."""
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        key = key.rstrip("/")
        if not text.startswith(SCHEME) or not bucket or not key:
            raise InputError(f"{text!r} is not a location in S3; write it as s3://BUCKET/KEY")
        return cls(bucket, key)

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def __truediv__(self, name: str) -> "Location":
        return Location(self.bucket, f"{self.key}/{name}")

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


class Object(NamedTuple):
    """One object of a bucket. The ETag changes whenever its contents do."""

    key: str
    size: int
    etag: str


def is_s3(place: object) -> bool:
    return isinstance(place, str) and place.startswith(SCHEME)


def client() -> Any:
    """A client of S3. Raises ServiceError."""
    from infra import aws_clients  # it imports boto3, which local work does not need

    return aws_clients.client("s3")


def under(client: Any, folder: Location) -> list[Object]:
    """Everything in a folder of S3, its sub-folders included. Raises ServiceError."""
    return _listed(client, folder, folder.key + "/")


def beginning(client: Any, place: Location) -> list[Object]:
    """Everything whose key begins like this one. Raises ServiceError."""
    return _listed(client, place, place.key)


def at(client: Any, place: Location) -> Object | None:
    """The object with exactly this key, if there is one. Raises ServiceError."""
    found = _listed(client, place, place.key, most=1)
    return found[0] if found and found[0].key == place.key else None


def read(client: Any, place: Location) -> bytes | None:
    """A small object's contents, or None when there is none. Raises ServiceError."""
    with sentences(f"read {place}"):
        try:
            body: bytes = client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
        return body


def write(client: Any, place: Location, contents: bytes) -> None:
    """Write a small object. Raises ServiceError."""
    with sentences(f"write {place}"):
        client.put_object(Bucket=place.bucket, Key=place.key, Body=contents)


def fetch(client: Any, bucket: str, objects: Sequence[Object], base: str, what: str) -> Path:
    """A local folder with `objects`, each named by what follows `base` in its key.

    It is in the cache ($XDG_CACHE_HOME/ahx or ~/.cache/ahx), named after the ETags: what has not changed is not fetched
    again, and two processes that need the same folder fetch it once. Raises ServiceError, StorageError.
    """
    names = {one: _local_name(one.key, base) for one in objects}
    identity = "".join(f"{one.key}\n{one.etag}\n" for one in sorted(objects))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "ahx" / "s3"
    folder = cache / hashlib.sha256(f"{bucket}\n{identity}".encode()).hexdigest()[:20]
    with _alone(folder):
        if not all(_has_size(folder / names[one], one.size) for one in objects):
            partial = folder.with_name(f".{folder.name}.partial")
            for old in (partial, folder):
                shutil.rmtree(old, ignore_errors=True)
            try:
                download(client, bucket, [(one, partial / names[one]) for one in objects], what)
                os.rename(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def download(client: Any, bucket: str, files: Sequence[tuple[Object, Path]], what: str) -> None:
    """Fetch each object into its file. Folders are made. Raises ServiceError; OSError where the disk refuses."""
    from s3transfer.subscribers import BaseSubscriber

    class Known(BaseSubscriber):  # type: ignore[misc]  # s3transfer has no types
        """Saves a request for each file; with its ETag, parts of a file that changes meanwhile are refused."""

        def __init__(self, one: Object) -> None:
            self.one = one

        def on_queued(self, future: Any, **_: object) -> None:
            future.meta.provide_transfer_size(self.one.size)
            future.meta.provide_object_etag(self.one.etag)

    for folder in {path.parent for _, path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    total = sum(one.size for one, _ in files)
    with _manager(client, f"fetch {what}", len(files), total) as (manager, progress):
        _wait(manager.download(bucket, one.key, str(path), subscribers=[Known(one), progress()]) for one, path in files)


def upload(client: Any, files: Sequence[tuple[Path, Location]], what: str, last: Location | None = None) -> None:
    """Copy each file to its location; to `last` only when the others are complete. Raises ServiceError."""
    total = sum(path.stat().st_size for path, _ in files)
    with _manager(client, f"upload {what}", len(files), total) as (manager, progress):
        for chosen in ([f for f in files if f[1] != last], [f for f in files if f[1] == last]):
            _wait(
                manager.upload(str(path), place.bucket, place.key, subscribers=[progress()]) for path, place in chosen
            )


def delete(client: Any, places: Iterable[Location]) -> None:
    """Delete objects; those that do not exist are no error. Raises ServiceError."""
    for place in places:
        with sentences(f"delete {place}"):
            client.delete_object(Bucket=place.bucket, Key=place.key)


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """As aws_clients.sentences, with failures in the middle of a transfer."""
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

    from infra import aws_clients

    with aws_clients.sentences(doing):
        try:
            yield
        except (RetriesExceededError, ConnectionError) as error:
            raise ServiceError(
                f"cannot {doing}: the connection was lost again and again; check the network, and run the command again"
            ) from error
        except S3DownloadFailedError as error:
            raise ServiceError(f"cannot {doing}: it was changed meanwhile; run the command again") from error


def _listed(client: Any, place: Location, prefix: str, most: int | None = None) -> list[Object]:
    settings = {"MaxKeys": most} if most else {}
    with sentences(f"read {place}"):
        found: list[Object] = []
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=prefix, **settings):
            found += [Object(one["Key"], one["Size"], one["ETag"]) for one in page.get("Contents", ())]
            if most:
                break
    return [one for one in found if not one.key.endswith("/")]  # consoles create such keys for empty folders


def _local_name(key: str, base: str) -> str:
    """The key after `base`, a relative path below the folder. Raises StorageError for any other."""
    name = PurePosixPath(key.removeprefix(base))
    if name.is_absolute() or ".." in name.parts or "\0" in key:
        raise StorageError(f"the key {key!r} cannot be a file's name here; rename the object")
    return str(name)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time fetches `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait(transfers: Iterable[Any]) -> None:
    for future in list(transfers):
        future.result()


@contextmanager
def _manager(client: Any, doing: str, n_files: int, size: int) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """A manager of transfers, and a maker of subscribers that move the progress line. An error cancels the rest."""
    from boto3.s3.transfer import TransferConfig
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    from s3transfer.manager import TransferManager
    from s3transfer.subscribers import BaseSubscriber

    console = printing.console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    title = f"{doing}, {n_files:,} files" if n_files > 1 else doing
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        printing.guard()
        task = bar.add_task(printing.one_line(title), total=size)

        class Advance(BaseSubscriber):  # type: ignore[misc]  # s3transfer has no types
            def on_progress(self, future: Any, bytes_transferred: int, **_: object) -> None:
                bar.advance(task, bytes_transferred)

        with sentences(doing), TransferManager(client, TransferConfig(max_concurrency=_THREADS)) as manager:
            yield manager, Advance
