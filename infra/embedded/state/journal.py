"""An append-only file of the changes since the snapshot of the same number.

    ahx-aws journal 1\\n
    record, record, ...        kind, length and two checksums (of the head and of the payload), then the payload

A record cut off at the end of the file was never answered, and is dropped; any other mismatch is damage. The record of
a request that failed is marked void in place, which needs no space on a full disk.
"""

import os
import struct
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

from ahx.errors import StorageError

REQUEST, IMAGE, OWN = b"R", b"I", b"O"  # a request to moto, a request to the registry, a change of our own state
_VOID = b"-"
_MAGIC = b"ahx-aws journal 1\n"
_HEAD = struct.Struct(">QI")  # after the kind: the payload's length and its CRC-32
_CHECK = struct.Struct(">I")
_HEAD_BYTES = 1 + _HEAD.size + _CHECK.size


class Journal:
    """Open for appending. `append` and `sync` are thread-safe. Errors are OSErrors."""

    def __init__(self, path: Path) -> None:
        """A new file, or one that `read` has checked."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._file)  # threads may still wait for it when its successor is in use
        self._adding, self._syncing = threading.Lock(), threading.Condition()
        self._end = os.fstat(self._file).st_size
        self._synced, self._is_syncing = 0, False
        self._broken: OSError | None = None  # after a failed write that could not be undone
        if self._end == 0:
            try:
                self._write(_MAGIC)
            except OSError:
                path.unlink()
                raise

    @property
    def size(self) -> int:
        return self._end

    @property
    def is_empty(self) -> bool:
        return self._end == len(_MAGIC)

    @property
    def is_broken(self) -> bool:
        """Whether it accepts no more records, because its contents are uncertain."""
        return self._broken is not None

    def append(self, kind: bytes, *payload: bytes) -> int:
        """Append a record as a whole. Returns its offset."""
        length, checksum = 0, 0
        for part in payload:
            length, checksum = length + len(part), zlib.crc32(part, checksum)
        head = _HEAD.pack(length, checksum)
        with self._adding:
            where = self._end
            self._write(kind + head + _CHECK.pack(zlib.crc32(head)), *payload)
            return where

    def void(self, where: int) -> None:
        """Mark the record at an offset void."""
        with self._adding:
            try:
                os.pwrite(self._file, _VOID, where)
            except OSError as error:
                self._broken = error
                raise

    def sync(self, end: int | None = None) -> None:
        """Wait until everything up to `end` (default: all) is on disk. One waiting thread syncs for all."""
        end = self._end if end is None else end
        with self._syncing:
            while self._synced < end:
                if self._broken:
                    raise self._broken
                if self._is_syncing:
                    self._syncing.wait()
                    continue
                self._is_syncing, upto = True, self._end
                self._syncing.release()
                error = None
                try:
                    os.fdatasync(self._file)
                except OSError as failed:
                    error = failed  # the contents of the disk are uncertain now
                finally:
                    self._syncing.acquire()
                    self._is_syncing = False
                    self._syncing.notify_all()
                if error:
                    self._broken = error
                    raise error
                self._synced = upto

    def _write(self, *parts: bytes) -> None:
        if self._broken:
            raise self._broken
        at = self._end
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    written = os.pwrite(self._file, rest, at)
                    at, rest = at + written, rest[written:]
        except OSError:
            try:
                os.ftruncate(self._file, self._end)
            except OSError as error:
                self._broken = error
            raise
        self._end = at


def read(path: Path, is_last: bool) -> Iterator[tuple[bytes, bytes]]:
    """The kind and payload of each record that is not void. A cut-off end of the last file is removed.

    Raises StorageError if the file is damaged.
    """
    with open(path, "r+b" if is_last else "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(_MAGIC)) != _MAGIC[:size] or (size < len(_MAGIC) and not is_last):
            raise _damage(path, 0)
        at = good = min(size, len(_MAGIC))
        if size < len(_MAGIC):
            good = 0
        while at < size:
            begun = file.read(_HEAD_BYTES)
            if not begun.strip(b"\0") and is_last and not file.read().strip(b"\0"):
                break  # space that the file system had allocated before a power cut
            if len(begun) < _HEAD_BYTES:
                if not is_last:
                    raise _damage(path, at)
                break
            kind, head = begun[:1], begun[1 : 1 + _HEAD.size]
            length, checksum = _HEAD.unpack(head)
            is_whole = _CHECK.unpack(begun[1 + _HEAD.size :])[0] == zlib.crc32(head)
            if not is_whole or kind not in (REQUEST, IMAGE, OWN, _VOID):
                raise _damage(path, at)
            end = at + _HEAD_BYTES + length
            payload = file.read(length) if end <= size else b""
            if end > size or zlib.crc32(payload) != checksum:
                if is_last and end >= size:
                    break
                raise _damage(path, at)
            at = good = end
            if kind != _VOID:
                yield kind, payload
        if good < size:
            file.truncate(good)


def _damage(path: Path, at: int) -> StorageError:
    return StorageError(
        f"{path} is damaged at byte {at:,}; to go on with what was kept before that, run: truncate -s {at} {path}"
    )
