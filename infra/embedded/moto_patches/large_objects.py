"""S3 objects of gigabytes: parts are joined, and ranges read, a piece at a time.

moto joins the parts of an upload in memory, and reads a whole object for each range; a client that fetches 2 GB
requests 250 ranges, ten at a time.
"""

import base64
import hashlib
import os
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeKey, FakeMultipart, MultipartChecksumBuilder
from moto.s3.responses import S3Response
from moto.settings import S3_UPLOAD_PART_MIN_SIZE, get_s3_default_key_buffer_size

_PIECE = 1 << 20
_get_object, _value = S3Response.get_object, FakeKey.value
_reading = threading.local()


def patch() -> None:
    FakeMultipart.complete = _complete
    FakeKey.value = property(_contents, _fill)
    S3Response.get_object = _get_object_in_pieces


class _Contents:
    """Reads an object's file like `bytes`, a piece at a time. It may outlive the object."""

    _file = -1

    def __init__(self, key: FakeKey) -> None:
        with key.lock:
            key._value_buffer.flush()
            self._file, self._size = os.dup(key._value_buffer.fileno()), int(key.contentsize)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> bytes:
        begin, end, _ = where.indices(self._size)
        return b"".join(self._pieces(begin, end))

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces(0, self._size)

    def _pieces(self, begin: int, end: int) -> Iterator[bytes]:
        while begin < end:
            piece = os.pread(self._file, min(_PIECE, end - begin), begin)
            if not piece:
                raise OSError("an object's file has been cut short")
            begin += len(piece)
            yield piece


class _Joined:
    """The file of a new object, joined from the parts of its upload."""

    def __init__(self, parts: Sequence[FakeKey]) -> None:
        self.size = sum(part.contentsize for part in parts)
        self.file = tempfile.SpooledTemporaryFile(get_s3_default_key_buffer_size())  # noqa: SIM115  # the object's own
        for part in parts:
            self.file.writelines(_Contents(part))


def _get_object_in_pieces(self: Any) -> Any:
    _reading.in_pieces = True
    try:
        return _get_object(self)
    finally:
        _reading.in_pieces = False


def _contents(key: FakeKey) -> Any:
    if getattr(_reading, "in_pieces", False) and key.contentsize > _PIECE:
        return _Contents(key)
    return _value.fget(key)


def _fill(key: FakeKey, value: Any) -> None:
    if isinstance(value, _Joined):
        key._value_buffer.close()
        key._value_buffer, key.contentsize = value.file, value.size
    else:
        _value.fset(key, value)


def _complete(self: FakeMultipart, body: Iterator[tuple[int, str]]) -> tuple[Any, str, tuple[str, str, int] | None]:
    """As moto's, but joins the parts in a file. moto closes them afterwards."""
    parts: list[FakeKey] = []
    for number, etag in body:
        part = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart()
        if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall()
        parts.append(part)
    if not parts:
        raise MalformedXML
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
    return _Joined(parts), etag, _checksum(self.metadata, parts)


def _checksum(metadata: Mapping[str, str], parts: Iterable[FakeKey]) -> tuple[str, str, int] | None:
    """As moto's; a full-object checksum is CRC32 only, which moto also uses for algorithms whose package is missing."""
    builder = MultipartChecksumBuilder(metadata.get("x-amz-checksum-algorithm"), metadata.get("x-amz-checksum-type"))
    if builder.checksum_type == "COMPOSITE":
        for part in parts:
            builder.addPart(part.value)
        checksum: tuple[str, str, int] | None = builder.build()
        return checksum
    if builder.checksum_algorithm != "CRC32":
        return None
    total = 0
    for piece in chain.from_iterable(map(_Contents, parts)):
        total = zlib.crc32(piece, total)
    return builder.checksum_type, base64.b64encode(total.to_bytes(4, "big")).decode(), 1
