"""Unpacks the files of a model, or of a job's output, from an untrusted tar.gz.

Only regular files with names that this project writes are unpacked, each once, into one folder that is complete or does
not exist. The limits on bytes and members follow from the archive's own size and the free disk, not from its headers.
Works with Python 3.11.0, whose `tarfile` has no filters, and with a stream that cannot be sought.
"""

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

from ahx.errors import CheckpointError, StorageError

#: The files that training and jobs write; others are not unpacked.
NAMES = {
    "config.json", "model.safetensors", "training_state.safetensors", "certificate.json", "best.json", "seen.u64",
    "README.md", "metrics.jsonl", "curve.jsonl", "evaluation.json", "log.jsonl", "trials.jsonl", "log", "failure",
}  # fmt: skip

# Weights hardly shrink, and logs to about a tenth; gzip can compress zeros a thousandfold.
_MOST_GROWTH, _ALWAYS = 100, 1 << 20  # most growth of bytes, and bytes that are always allowed
_LEAST_MEMBER, _MEMBERS = 32, 100  # least compressed bytes per member, and members that are always allowed
_LONGEST_HEADER = 1 << 16  # bytes of an extended header; this project's have about a hundred
_DEEPEST = 8  # parts of a path
_CHUNK = 1 << 20


class _Unfit(Exception):
    """Why an archive is rejected."""


def unpack(archive: Path, folder: Path) -> None:
    """Make `folder`, with the files of `archive` in it.

    Raises CheckpointError for an invalid archive, StorageError when the archive or the disk cannot be used.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking.", dir=folder.parent) as temporary:
            partial = Path(temporary, "files")
            partial.mkdir()
            with open(archive, "rb", buffering=0) as file:
                _unpack(file, partial)
            try:
                os.rename(partial, folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster, with the same archive
                    raise
    except _Unfit as error:
        raise CheckpointError(f"{archive} {error}; give an archive that a job of `ahx train` has written") from None
    except (tarfile.TarError, EOFError, ValueError, zlib.error, gzip.BadGzipFile, RecursionError) as error:
        raise CheckpointError(f"{archive} is not a whole archive of a model ({error}); fetch it again") from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot unpack {archive} to {folder}: {why}; free some space, or check the path") from error


def _unpack(file: IO[bytes], folder: Path) -> None:
    packed = _Counted(file)
    with gzip.GzipFile(fileobj=packed) as unzipped:  # type: ignore[call-overload]  # all that it asks for is `read`
        stream = _Bounded(unzipped, packed)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
            left = shutil.disk_usage(folder).free
            for parts, member in _regular_files(tar, packed):
                if member.size > left:
                    raise _Unfit(f"holds {member.name!r} of {member.size:,} bytes, and the disk has {left:,} free")
                left -= member.size
                target_path = folder.joinpath(*parts)
                target_path.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                with open(target_path, "xb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
            assert tar.fileobj is not None
            while rest := tar.fileobj.read(_CHUNK):  # to the end, where the checksum is
                if rest.strip(b"\0"):  # tarfile takes an invalid header for the end
                    raise _Unfit("has a header that cannot be read")


def _regular_files(tar: tarfile.TarFile, packed: "_Counted") -> Iterator[tuple[list[str], tarfile.TarInfo]]:
    """The members to write, each with the parts of its path. Raises _Unfit for what this project never packs."""
    kinds: dict[tuple[str, ...], bool] = {(): True}  # whether a path is a folder
    for number, member in enumerate(tar):
        if number > _MEMBERS + packed.given // _LEAST_MEMBER:
            raise _Unfit(f"has more than {number:,} members in {packed.given:,} bytes")
        name = member.name
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise _Unfit(f"holds the name {name[:80]!r}, which leads out of its folder")
        if not name.isprintable() or len(parts) > _DEEPEST or any(len(part.encode()) > 255 for part in parts):
            raise _Unfit(f"holds the name {name[:80]!r}, which this project never writes")
        if not (member.isreg() or member.isdir()) or member.issparse() or member.size < 0:
            raise _Unfit(f"holds {name[:80]!r}, which is not a regular file (a link, a device, a sparse file)")
        for depth in range(len(parts)):
            if not kinds.setdefault(tuple(parts[:depth]), True):
                raise _Unfit(f"has {'/'.join(parts[:depth])[:80]!r} both as a file and as a folder")
        path = tuple(parts)
        if kinds.get(path) is not None and not (kinds[path] and member.isdir()):
            raise _Unfit(f"holds {name[:80]!r} twice")
        kinds[path] = member.isdir()
        if member.isreg() and parts[-1] in NAMES:
            yield parts, member


class _Counted:
    """A file, and how many bytes have been read of it: the compressed size so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.given = file, 0

    def read(self, n: int = -1) -> bytes:
        data = self.file.read(n)
        self.given += len(data)
        return data


class _Bounded:
    """The unpacked bytes of an archive, as long as they are in proportion to the packed ones."""

    def __init__(self, file: gzip.GzipFile, packed: _Counted) -> None:
        self.file, self.packed, self.given = file, packed, 0

    def read(self, n: int) -> bytes:
        data = self.file.read(n)
        self.given += len(data)
        if self.given > _ALWAYS + _MOST_GROWTH * self.packed.given:
            raise _Unfit(f"becomes more than {_MOST_GROWTH} times as large when it is unpacked")
        return data


class _Member(tarfile.TarInfo):
    """A header that is read only if it is small. tarfile documents that these methods may be overridden."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type not in tarfile.REGULAR_TYPES and self.size > _LONGEST_HEADER):
            raise _Unfit(f"has {self.name[:80]!r} with a header of {self.size:,} bytes")
        try:
            found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]  # private, and meant to be called
        except tarfile.HeaderError as error:
            raise _Unfit(f"has a header that cannot be read ({error})") from None
        return found

    def _refuse(self, *_: object) -> NoReturn:
        raise _Unfit(f"holds {self.name[:80]!r}, which is not a regular file (a sparse file)")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse
