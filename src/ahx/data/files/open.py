"""Opens data files, those that are compressed with gzip too."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from ahx.errors import StorageError
from ahx.safe_files.atomic import reason

_GZIP = b"\x1f\x8b"


class _Told(io.RawIOBase):
    """A file that tells which bytes are read."""

    def __init__(self, file: IO[bytes], on_bytes: Callable[[bytes], None]) -> None:
        self._file, self._on_bytes = file, on_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(data)
        return data


@contextmanager
def open_data(path: Path, on_bytes: Callable[[bytes], None] = lambda data: None) -> Iterator[IO[bytes]]:
    """`path` opened for reading, unpacked where it is compressed with gzip. `on_bytes` gets its bytes as they are read.

    Raises StorageError when it is missing, a folder, or cannot be read.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP  # without going back, which pipes cannot
            told = cast("IO[bytes]", _Told(raw, on_bytes))
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=told)) if packed else told
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}; check the path, or make one with `ahx gen-data`") from None
    except IsADirectoryError:
        raise StorageError(f"{path} is a folder; give a data file in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise StorageError(f"{path} is truncated or damaged: gzip cannot unpack it; copy it again") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}; check its permissions") from None


def compressed(path: Path) -> bool:
    """Whether `path` is compressed with gzip, whatever its name."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == _GZIP
    except OSError:
        return False
