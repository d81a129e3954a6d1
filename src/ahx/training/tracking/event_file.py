"""Event files, as TensorBoard reads them, without TensorFlow and protobuf.

A file is a sequence of TFRecords, each with an Event in protobuf's encoding. The field numbers are those of
https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto (event, summary, tensor) and of
https://github.com/tensorflow/tensorboard/blob/master/tensorboard/plugins/hparams/plugin_data.proto
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_STARTS = 1  # SessionLog.START: TensorBoard drops earlier events whose step is not smaller
_EMPTY_TENSOR = b"\x08\x01\x12\x02\x12\x00"  # TensorProto: float32, of shape (0,)
_SUCCESS, _FAILURE, _RUNNING = 1, 2, 3  # Status of the hparams plugin


class EventFile:
    """A new event file in `folder`, which replaces what earlier files of the folder say. Each event is written at once.

    All methods raise OSError.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads a folder's files in the order of their names.
        path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = path.open("xb", buffering=0)
        self._write(time.time(), 0, _bytes(3, b"brain.Event:2"))
        self._write(time.time(), 0, _bytes(7, _integer(1, _STARTS)))

    def hyperparameters(self, values: Mapping[str, object]) -> None:
        """The run's row in the HParams tab."""
        entries = (_bytes(1, _bytes(1, name.encode()) + _bytes(2, _value(value))) for name, value in values.items())
        info = b"".join(entries) + _double(5, time.time())
        self._hparams("_hparams_/session_start_info", _bytes(3, info))

    def scalars(self, values: Mapping[str, float], step: int, when: float) -> None:
        """One point of each curve; `when` in seconds since 1970."""
        points = (_bytes(1, _bytes(1, name.encode()) + _float(2, value)) for name, value in values.items())
        self._write(when, step, _bytes(5, b"".join(points)))

    def close(self, succeeded: bool) -> None:
        """The run's status in the HParams tab, and the end of the file."""
        try:
            info = _integer(1, _SUCCESS if succeeded else _FAILURE) + _double(2, time.time())
            self._hparams("_hparams_/session_end_info", _bytes(4, info))
        finally:
            self._file.close()

    def _hparams(self, tag: str, content: bytes) -> None:
        plugin = _bytes(1, b"hparams") + _bytes(2, content)
        value = _bytes(1, tag.encode()) + _bytes(8, _EMPTY_TENSOR) + _bytes(9, _bytes(1, plugin))
        self._write(time.time(), 0, _bytes(5, _bytes(1, value)))

    def _write(self, when: float, step: int, what: bytes) -> None:
        event = _double(1, when) + _integer(2, step) + what
        length = struct.pack("<Q", len(event))
        record = length + _checksum(length) + event + _checksum(event)
        if self._file.write(record) != len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _value(value: object) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(value, bool):
        return _integer(4, value)
    return _double(2, value) if isinstance(value, int | float) else _bytes(3, str(value).encode("utf-8", "replace"))


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


@cache
def _table() -> list[int]:
    """CRC-32C of each byte (Castagnoli's polynomial, reflected)."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


def _checksum(data: bytes) -> bytes:
    """TFRecord's masked CRC-32C."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
