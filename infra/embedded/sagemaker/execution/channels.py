"""A job's input channels: the S3 objects of each, and their paths below /opt/ml/input/data/CHANNEL.

Follows API_S3DataSource: a prefix selects every key that begins with it; a manifest lists a prefix and suffixes.
"""

import json
import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.embedded.sagemaker.s3_uris import bucket_and_key

_THREADS = 4
_LONGEST_NAME = 255  # bytes of one part of a path, on Linux's file systems
_LARGEST_MANIFEST = 100 << 20  # bytes; not a limit of AWS


class DownloadError(Exception):
    """Inputs cannot be read. The message goes to the job's FailureReason."""


@dataclass(frozen=True)
class Wanted:
    """An object, and its path below the channel's folder."""

    bucket: str
    key: str
    path: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def fetch(s3: Any, channel: dict[str, Any], folders: Sequence[Path]) -> None:
    """Download the channel's objects to the folders of all its hosts, or with ShardedByS3Key a part to each."""
    source = channel["DataSource"]["S3DataSource"]
    wanted = list(_objects(s3, source))
    if shuffle := channel.get("ShuffleConfig"):
        random.Random(shuffle["Seed"]).shuffle(wanted)
    sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
    for number, folder in enumerate(folders):
        _download_all(s3, wanted[number :: len(folders)] if sharded else wanted, folder)


def fetch_prefix(s3: Any, uri: str, folder: Path) -> None:
    """Download all objects below `uri`, if any, into `folder`."""
    bucket, prefix = bucket_and_key(uri)
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    _download_all(s3, list(_below(s3, bucket, prefix)), folder)


def _download_all(s3: Any, wanted: Iterable[Wanted], folder: Path) -> None:
    """Download objects. Raises DownloadError."""
    unique = {one.path: one for one in wanted}
    for one in unique.values():
        if reason := _not_a_path(one.path):
            raise DownloadError(f"{one} {reason}; rename the object".encode(errors="replace").decode())
    for one in unique.values():
        parts = one.path.split("/")
        for end in range(1, len(parts)):
            if file := unique.get("/".join(parts[:end])):
                raise DownloadError(f"{file} would be a file and, for {one}, a folder too; rename one of them")
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda one: _download(s3, one, folder / one.path), unique.values()))


def _download(s3: Any, one: Wanted, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:
            shutil.copyfileobj(s3.get_object(Bucket=one.bucket, Key=one.key)["Body"], file, 1 << 20)
    except ClientError as error:
        raise DownloadError(f"{one}: {error.response['Error'].get('Message', error)}") from error
    except FileExistsError:
        raise DownloadError(
            f"{one} has the name of another object on this machine, whose file system does not distinguish upper "
            "and lower case; rename one of them"
        ) from None
    except OSError as error:
        raise DownloadError(f"{one} cannot be a file here: {(error.strerror or str(error)).lower()}") from error


def _not_a_path(path: str) -> str:
    """Why an object of this name cannot be a file below a channel's folder; "" if it can."""
    parts = path.split("/")
    if "" in parts:
        return "has an empty name between, before or after slashes (//), which no file can have"
    if ".." in parts or "." in parts:
        return "has . or .. among its parts, and would lead out of the channel's folder"
    if "\0" in path:
        return "has a NUL in its name, which no file can have"
    if any("\ud800" <= letter <= "\udfff" for letter in path):
        return "is not Unicode, which a key in S3 is"
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        return f"has a part of more than {_LONGEST_NAME} bytes, which no file's name can have"
    return ""


def _objects(s3: Any, source: dict[str, Any]) -> Iterator[Wanted]:
    bucket, key = bucket_and_key(source["S3Uri"])
    if source["S3DataType"] == "S3Prefix":
        yield from _below(s3, bucket, key)
    else:
        yield from _listed(s3, source["S3Uri"], bucket, key)


def _listed(s3: Any, uri: str, bucket: str, key: str) -> Iterator[Wanted]:
    """The objects that a manifest lists."""
    what = f"the manifest {uri}"
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > _LARGEST_MANIFEST:
            raise DownloadError(f"{what} has {answer['ContentLength']:,} bytes; {_LARGEST_MANIFEST:,} are read at most")
        manifest = json.loads(answer["Body"].read())
    except ClientError as error:
        raise DownloadError(f"{what}: {error.response['Error'].get('Message', error)}") from error
    except (ValueError, RecursionError) as error:
        raise DownloadError(f"{what} is not valid JSON: {error}") from error
    first = manifest[0] if isinstance(manifest, list) and manifest else None
    prefix = first.get("prefix") if isinstance(first, dict) else None
    if not isinstance(manifest, list) or not isinstance(prefix, str) or not prefix:
        raise DownloadError(f'{what} must be a list that begins with {{"prefix": "s3://BUCKET/..."}}')
    try:
        bucket, start = bucket_and_key(prefix)
    except ValueError as error:
        raise DownloadError(f"{what}: {error}") from None
    for suffix in manifest[1:]:
        if not isinstance(suffix, str):
            raise DownloadError(f"{what} lists {json.dumps(suffix)[:80]}, which is not a string")
        yield Wanted(bucket, start + suffix, suffix)


def _below(s3: Any, bucket: str, prefix: str) -> Iterator[Wanted]:
    """Every object whose key begins with `prefix`. Its path is relative to the last folder of the prefix."""
    folder = prefix if prefix.endswith("/") or not prefix else None
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            key = item["Key"]
            if key.endswith("/") and not item["Size"]:
                continue  # a "folder" created in a console
            cut = folder or (f"{prefix}/" if key.startswith(f"{prefix}/") else prefix[: prefix.rfind("/") + 1])
            yield Wanted(bucket, key, key[len(cut) :])
