"""Big objects of the embedded AWS: whole, in any range, checked, and never in memory at once."""

import base64
import random
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

MB = 1 << 20
PARTS = [random.Random(number).randbytes(8 * MB) for number in range(4)] + [b"the end"]
WHOLE = b"".join(PARTS)


@contextmanager
def allocating_at_most(megabytes: int) -> Iterator[None]:
    """Client and server are one process here: their peak together."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MB


def begin(bucket: str, key: str, parts: list[bytes], **more: Any) -> tuple[str, list[dict[str, Any]]]:
    """An upload whose parts are there: its id, and what completes it."""
    s3 = boto3.client("s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    return upload, [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, start=1)
    ]


def complete(bucket: str, key: str, upload: str, parts: list[dict[str, Any]]) -> None:
    boto3.client("s3").complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )


@pytest.fixture
def big(bucket: str) -> str:
    upload, parts = begin(bucket, "big", PARTS)
    with allocating_at_most(25):  # of 32
        complete(bucket, "big", upload, parts)
    return bucket


def test_parts_are_joined_and_any_range_is_read_without_the_rest(big: str) -> None:
    s3 = boto3.client("s3")
    assert s3.get_object(Bucket=big, Key="big")["Body"].read() == WHOLE
    size = len(WHOLE)
    for asked, begin, end in (
        ("bytes=0-0", 0, 1),
        (f"bytes={8 * MB - 2}-{8 * MB + 1}", 8 * MB - 2, 8 * MB + 2),
        (f"bytes={size - 3}-{size + 9}", size - 3, size),
        ("bytes=-9", size - 9, size),
        (f"bytes={size - 5}-", size - 5, size),
    ):
        with allocating_at_most(20):  # werkzeug alone asks for 10
            answer = s3.get_object(Bucket=big, Key="big", Range=asked)
            assert answer["Body"].read() == WHOLE[begin:end], asked
        assert answer["ContentRange"] == f"bytes {begin}-{end - 1}/{size}"
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket=big, Key="big", Range=f"bytes={size}-")


def test_who_reads_an_object_reads_it_to_its_end_whatever_becomes_of_it(big: str) -> None:
    s3 = boto3.client("s3")
    body = s3.get_object(Bucket=big, Key="big")["Body"]
    begun = body.read(MB)
    s3.put_object(Bucket=big, Key="big", Body=b"another")
    s3.delete_object(Bucket=big, Key="big")
    assert begun + body.read() == WHOLE


def test_a_checksum_of_the_whole_is_kept(bucket: str) -> None:
    s3 = boto3.client("s3")
    upload, parts = begin(bucket, "summed", PARTS, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    complete(bucket, "summed", upload, parts)
    answer = s3.get_object(Bucket=bucket, Key="summed", ChecksumMode="ENABLED")
    assert answer["ChecksumCRC32"] == base64.b64encode(zlib.crc32(WHOLE).to_bytes(4, "big")).decode()
    assert answer["ChecksumType"] == "FULL_OBJECT"
    assert answer["Body"].read() == WHOLE  # botocore compares it


@pytest.mark.parametrize(
    ("sizes", "change", "code"),
    [
        ((5 * MB, 1), {"ETag": '"00000000000000000000000000000000"'}, "InvalidPart"),
        ((5 * MB, 1), {"PartNumber": 9}, "InvalidPart"),
        ((5 * MB - 1, 1), {}, "EntityTooSmall"),
    ],
)
def test_what_cannot_be_joined(bucket: str, sizes: tuple[int, int], change: dict[str, Any], code: str) -> None:
    upload, parts = begin(bucket, "refused", [bytes(size) for size in sizes])
    parts[-1].update(change)
    with pytest.raises(ClientError, match=code):
        complete(bucket, "refused", upload, parts)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="refused")
