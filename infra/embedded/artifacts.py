"""What a job leaves in S3: model.tar.gz, output.tar.gz, and its checkpoints while it runs.

Follows "How SageMaker Processes Training Output" and "Checkpoints in SageMaker" of the SageMaker Developer Guide.
"""

import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.embedded.checks import bucket_and_key


def upload_folder(s3: Any, folders: Sequence[Path], uri: str, name: str, compression: str = "GZIP") -> bool:
    """Put the files of all hosts' `folders` at URI/NAME.tar.gz, or one by one below URI/NAME/. Returns whether any."""
    bucket, prefix = bucket_and_key(uri)
    files = _files(folders)
    if compression == "NONE":
        for path, file in files.items():
            put(s3, bucket, f"{prefix}/{name}/{path}", file)
        return bool(files)
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for path, file in files.items():
                archive.add(file, arcname=path)
        packed.seek(0)
        s3.upload_fileobj(packed, bucket, f"{prefix}/{name}.tar.gz")
    return bool(files)


def put(s3: Any, bucket: str, key: str, file: Path) -> None:
    """Copy one file to S3, as it is when this begins: a file that is replaced meanwhile stays whole."""
    with open(file, "rb") as body:
        s3.upload_fileobj(body, bucket, key)


def _files(folders: Iterable[Path]) -> dict[str, Path]:
    """All files by their path; of two hosts' files of one name the first host's counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                found.setdefault(file.relative_to(folder).as_posix(), file)
    return found


class CheckpointSync:
    """Copies what changes in a folder to S3, from time to time. What vanishes from the folder stays in S3."""

    def __init__(self, s3: Any, folders: Sequence[Path], uri: str) -> None:
        self.s3, self.folders = s3, folders
        self.bucket, prefix = bucket_and_key(uri)
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._sent: dict[Path, tuple[int, int]] = {file: _stamp(file) for file in _files(folders).values()}

    def sync(self, last: bool = False) -> None:
        """Copy what has changed. What cannot be sent now is tried again, unless this is the `last` time."""
        for path, file in _files(self.folders).items():
            try:
                stamp = _stamp(file)
                if self._sent.get(file) != stamp:
                    put(self.s3, self.bucket, self.prefix + path, file)
                    self._sent[file] = stamp
            except FileNotFoundError:
                continue  # a temporary file that has got its name
            except (OSError, BotoCoreError, ClientError):
                if last:
                    raise


def _stamp(file: Path) -> tuple[int, int]:
    seen = file.stat()
    return seen.st_mtime_ns, seen.st_size
