"""The body of a request: read to memory or disk, and checked against length, checksums and signature in its headers.

Signed chunks ("Transferring Payload in Multiple Chunks" of the S3 API Reference) are decoded here.
"""

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from awscrt import checksums

from infra.embedded.access.signatures import HEADERS, UNSIGNED, Signed
from infra.embedded.http.protocols import AwsError, Environ

_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_LONGEST = 5 << 30  # S3's limit for one request
_LONGEST_FORM = 128 << 20  # of a body that is read before its sender is authenticated
_LONGEST_LINE = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIGNED_CHUNKS = {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
_CHUNKS = {*_SIGNED_CHUNKS, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}


class _Crc:
    """A CRC with the interface of hashlib."""

    def __init__(self, add: Callable[[bytes, int], int], size: int) -> None:
        self._add, self._size, self._value = add, size, 0

    def update(self, data: bytes) -> None:
        self._value = self._add(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


# By the header that states it, in base64.
_CHECKSUMS: dict[str, Callable[[], Any]] = {
    "content-md5": hashlib.md5,
    "x-amz-checksum-sha1": hashlib.sha1,
    "x-amz-checksum-sha256": hashlib.sha256,
    "x-amz-checksum-crc32": lambda: _Crc(zlib.crc32, 4),
    "x-amz-checksum-crc32c": lambda: _Crc(checksums.crc32c, 4),
    "x-amz-checksum-crc64nvme": lambda: _Crc(checksums.crc64nvme, 8),
}


class Payload:
    """The body of a request, read once when first needed. Close it when the request is answered."""

    def __init__(self, environ: Environ, folder: Path) -> None:
        self._environ, self._folder = environ, folder
        self._file: SpooledTemporaryFile[bytes] | None = None

    def sha256(self) -> str:
        """The SHA-256 of the body as sent. Raises AwsError."""
        file = self._read(self._pieces(_LONGEST_FORM), None)
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        file.seek(0)
        return digest.hexdigest()

    def check(self, signed: Signed | None, unauthenticated: bool = False) -> None:
        """Read the body, if it is not yet read, and put it into the environment; a short one if `unauthenticated`.

        Raises AwsError if it does not match the signature or a header.
        """
        headers = self._environ[HEADERS]
        payload = signed.payload if signed else headers.get("X-Amz-Content-Sha256", UNSIGNED)
        chunked = payload in _CHUNKS or "aws-chunked" in headers.get("Content-Encoding", "").lower()
        if payload not in _CHUNKS and payload != UNSIGNED and not _SHA256.fullmatch(payload):
            raise AwsError(
                "InvalidArgument",
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING keyword, or a valid sha256 value.",
            )
        of_object = self._environ["REQUEST_METHOD"] == "POST" and "uploadId=" in self._environ.get("QUERY_STRING", "")
        names = (
            ["content-md5"] if of_object else list(_CHECKSUMS)
        )  # CompleteMultipartUpload states the checksum of the object
        stated = {name: value for name in names if (value := headers.get(name)) is not None}
        if self._file is None:
            trailer: dict[str, str] = {}
            sums = {
                name: _CHECKSUMS[name]()
                for name in {*stated, *_names(headers.get("X-Amz-Trailer", "")) & _CHECKSUMS.keys()}
            }
            whole = hashlib.sha256() if _SHA256.fullmatch(payload) else None
            signer = signed if signed and payload in _SIGNED_CHUNKS else None
            body = self._pieces(_LONGEST_FORM if unauthenticated else _LONGEST)
            pieces = _dechunked(body, signer, trailer) if chunked else body
            file = self._read(pieces, [*sums.values(), *([whole] if whole else [])])
            if whole and whole.hexdigest() != payload:
                raise AwsError(
                    "XAmzContentSHA256Mismatch",
                    "The provided 'x-amz-content-sha256' header does not match what was computed.",
                )
            for name, value in (stated | {name: value for name, value in trailer.items() if name in sums}).items():
                _compare(name, value, sums[name].digest())
            if chunked:
                self._plain(file, trailer)
        self._environ["wsgi.input"] = self._file

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _read(self, pieces: Iterator[bytes], sums: list[Any] | None) -> SpooledTemporaryFile[bytes]:
        if self._file is None:
            file = SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115  # closed by `close`
            self._file = file
            for piece in pieces:
                for one in sums or ():
                    one.update(piece)
                file.write(piece)
            size = file.tell()
            file.seek(0)
            self._environ["CONTENT_LENGTH"] = str(size)
            self._environ.pop("HTTP_TRANSFER_ENCODING", None)
            self._environ.pop("wsgi.input_terminated", None)
        return self._file

    def _pieces(self, most: int = _LONGEST) -> Iterator[bytes]:
        """The body as sent: of its Content-Length or, with chunked transfer encoding, to its end."""
        source, length = self._environ["wsgi.input"], self._environ.get("CONTENT_LENGTH") or "0"
        endless = bool(self._environ.get("wsgi.input_terminated"))
        if not re.fullmatch(r"\d{1,15}", length) or (endless and length != "0"):
            raise AwsError(
                "InvalidRequest", f"Content-Length is {length!r}, which contradicts the rest of the request."
            )
        left = most + 1 if endless else int(length)
        if left > most and not endless:
            raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        while left > 0:
            piece = source.read(min(_PIECE, left))
            if not piece:
                if endless:
                    return
                raise AwsError(
                    "IncompleteBody",
                    "You did not provide the number of bytes specified by the Content-Length HTTP header",
                )
            left -= len(piece)
            yield piece
        if endless:
            raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")

    def _plain(self, file: SpooledTemporaryFile[bytes], trailer: dict[str, str]) -> None:
        """Make the request look as if its body had been sent in one piece."""
        stated = self._environ[HEADERS].get("X-Amz-Decoded-Content-Length")
        if stated is not None and stated != self._environ["CONTENT_LENGTH"]:
            raise AwsError("IncompleteBody", "The body is not as long as x-amz-decoded-content-length says.")
        for name in ("HTTP_X_AMZ_DECODED_CONTENT_LENGTH", "HTTP_X_AMZ_TRAILER", "HTTP_X_AMZ_CONTENT_SHA256"):
            self._environ.pop(name, None)
        codings = [word.strip() for word in self._environ.pop("HTTP_CONTENT_ENCODING", "").split(",")]
        if kept := [word for word in codings if word and word.lower() != "aws-chunked"]:
            self._environ["HTTP_CONTENT_ENCODING"] = ",".join(kept)
        for name, value in trailer.items():
            self._environ["HTTP_" + name.upper().replace("-", "_")] = value


def _dechunked(pieces: Iterator[bytes], signed: Signed | None, trailer: dict[str, str]) -> Iterator[bytes]:
    """The data after each line SIZE[;chunk-signature=SIGNATURE]; trailing headers go to `trailer`."""
    reader = _Lines(pieces)
    previous = signed.signature if signed else ""
    while True:
        size, _, rest = reader.line().partition(b";")
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size) or int(size, 16) > _IN_MEMORY * 16:
            raise AwsError("InvalidChunkSizeError", "A chunk of the body has no size, or too large a one.")
        data = reader.take(int(size, 16))
        if signed:
            wanted = signed.of_chunk(previous, data)
            if not hmac.compare_digest(b"chunk-signature=" + wanted.encode(), rest):
                raise AwsError("SignatureDoesNotMatch", "The signature of a chunk of the body does not match.", 403)
            previous = wanted
        if not data:
            break
        yield data
        if reader.line():
            raise AwsError("IncompleteBody", "A chunk of the body does not end where its size says.")
    said = b""
    while line := reader.line(at_end=True):
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "x-amz-trailer-signature":
            if signed and not hmac.compare_digest(signed.of_trailer(previous, said), value.strip()):
                raise AwsError("SignatureDoesNotMatch", "The signature of the trailing headers does not match.", 403)
            signed = None
        else:
            trailer[name.lower()] = value.strip()
            said += f"{name.lower()}:{value.strip()}\n".encode("latin-1")
    if signed and said:
        raise AwsError("SignatureDoesNotMatch", "The trailing headers are not signed.", 403)


class _Lines:
    """Reads lines and blocks from pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, bytearray()

    def line(self, at_end: bool = False) -> bytes:
        """Up to the next CRLF, without it; b"" at the end of the body, if that may be here."""
        while (end := self._held.find(b"\r\n")) < 0:
            piece = next(self._pieces, b"")
            if not piece and at_end and not self._held:
                return b""
            if not piece or len(self._held) > _LONGEST_LINE + _PIECE:
                raise AwsError("IncompleteBody", "The body ends within a chunk.")
            self._held += piece
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line

    def take(self, size: int) -> bytes:
        while len(self._held) < size:
            piece = next(self._pieces, b"")
            if not piece:
                raise AwsError("IncompleteBody", "The body ends within a chunk.")
            self._held += piece
        data = bytes(self._held[:size])
        del self._held[:size]
        return data


def _names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


def _compare(name: str, stated: str, found: bytes) -> None:
    try:
        right = base64.b64decode(stated.partition("-")[0], validate=True)
    except binascii.Error:
        right = b""
    kind = name.removeprefix("x-amz-checksum-").upper()
    if len(right) != len(found):
        if name == "content-md5":
            raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
        raise AwsError("InvalidRequest", f"Value for {name} header is invalid.")
    if right != found:
        message = (
            "The Content-MD5 you specified did not match what we received."
            if name == "content-md5"
            else (f"The {kind} you specified did not match the calculated checksum.")
        )
        raise AwsError("BadDigest", message)
