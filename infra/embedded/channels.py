"""A job's input channels: which S3 objects belong to each, and where they go below /opt/ml/input/data/CHANNEL.

Follows API_S3DataSource: a prefix takes every key that begins so; a manifest is a list of a prefix and of suffixes.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.embedded.checks import bucket_and_key

_THREADS = 4


class DownloadError(Exception):
    """Inputs cannot be read: what the job's FailureReason says."""


def fetch(s3: Any, channel: dict[str, Any], folder: Path, host: int, hosts: int) -> None:
    """Copy the channel's objects into `folder`; with ShardedByS3Key, host number `host` of `hosts` gets its part."""
    source = channel["DataSource"]["S3DataSource"]
    wanted = list(_objects(s3, source))
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        wanted = wanted[host::hosts]
    fetch_all(s3, wanted, folder)


def fetch_prefix(s3: Any, uri: str, folder: Path) -> None:
    """Copy all objects below `uri`, of which there may be none, into `folder`."""
    bucket, prefix = bucket_and_key(uri)
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    fetch_all(s3, list(_below(s3, bucket, prefix)), folder)


def fetch_all(s3: Any, wanted: list[tuple[str, str, str]], folder: Path) -> None:
    """Copy objects (bucket, key, path below `folder`). Raises DownloadError."""
    folder.mkdir(parents=True, exist_ok=True)
    top = folder.resolve()
    for _, key, path in wanted:
        if not (top / path).resolve().is_relative_to(top):
            raise DownloadError(f"the key {key} leads out of the channel's folder")

    def one(item: tuple[str, str, str]) -> None:
        bucket, key, path = item
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "wb") as file:
            shutil.copyfileobj(s3.get_object(Bucket=bucket, Key=key)["Body"], file, 1 << 20)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, wanted))


def _objects(s3: Any, source: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    bucket, key = bucket_and_key(source["S3Uri"])
    if source["S3DataType"] == "S3Prefix":
        yield from _below(s3, bucket, key)
        return
    try:
        first, *suffixes = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        bucket, prefix = bucket_and_key(first["prefix"])
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"the manifest {source['S3Uri']} is not a list of a prefix and of keys") from error
    yield from ((bucket, prefix + suffix, suffix) for suffix in suffixes)


def _below(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Every object whose key begins with `prefix`, its path being the rest, or its last part where that is less."""
    folder = prefix if prefix.endswith("/") or not prefix else None
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            key = item["Key"]
            if key.endswith("/"):
                continue  # a "folder" made in a console
            cut = folder or (f"{prefix}/" if key.startswith(f"{prefix}/") else prefix[: prefix.rfind("/") + 1])
            yield bucket, key, key[len(cut) :]
