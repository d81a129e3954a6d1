"""A job's artifacts in S3: model.tar.gz, output.tar.gz, and its checkpoints while it runs.

Follows "How SageMaker Processes Training Output" and "Checkpoints in SageMaker" of the SageMaker Developer Guide. An
archive contains links as links; without one, the target of a link is uploaded under the link's name.
"""

import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.embedded.sagemaker.execution.folders import Folder, UploadError, opened
from infra.embedded.sagemaker.s3_uris import bucket_and_key

_LONGEST_KEY = 1024  # bytes


def upload_folder(
    s3: Any, folders: Sequence[Folder], uri: str, compression: str = "GZIP", options: Mapping[str, str] | None = None
) -> bool:
    """Upload all hosts' `folders` as URI.tar.gz, or their files below URI/. Returns whether there are any.

    If several hosts have a file of one name, the first host's is used. `options` are PutObject's. Raises UploadError.
    """
    bucket, prefix = bucket_and_key(uri)
    extra = dict(options or {})
    if compression == "NONE":
        files = _files(folders)
        for path, file in files.items():
            with suppress(FileNotFoundError):  # a temporary file, removed meanwhile
                _put(s3, bucket, f"{prefix}/{path}", file, extra)
        return bool(files)
    packed: set[str] = set()
    with tempfile.TemporaryFile() as whole:
        with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=1) as archive:
            for folder in folders:
                for path, entry in folder.entries():
                    if path not in packed:
                        packed.add(path)
                        _pack(archive, folder, path, entry)
        whole.seek(0)
        s3.upload_fileobj(whole, bucket, f"{prefix}.tar.gz", ExtraArgs=extra)
    return bool(packed)


def _pack(archive: tarfile.TarFile, folder: Folder, path: str, entry: Path) -> None:
    try:
        info = archive.gettarinfo(entry, path)
        if info.issym():
            info.linkname = folder.link(entry)
        if info.islnk():  # a hard link: as a file, because some readers accept files only
            info.type, info.linkname = tarfile.REGTYPE, ""
        if not info.isreg():
            archive.addfile(info)
            return
        with opened(entry) as body:
            info.size = os.fstat(body.fileno()).st_size
            archive.addfile(info, body)
    except FileNotFoundError:
        return  # a temporary file, removed meanwhile
    except OSError as error:
        raise UploadError(f"{path} cannot be packed: {(error.strerror or str(error)).lower()}") from error


def _put(s3: Any, bucket: str, key: str, file: Path, options: Mapping[str, str] | None = None) -> None:
    """Upload one file. A file that is replaced meanwhile is uploaded as it was."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise UploadError(f"the name {key!a} is not UTF-8, which a key in S3 must be; rename the file") from None
    if length > _LONGEST_KEY:
        raise UploadError(f"the key {key[:80]}... would have {length:,} bytes, and S3 takes {_LONGEST_KEY:,}")
    try:
        with opened(file) as body:
            s3.upload_fileobj(body, bucket, key, ExtraArgs=dict(options or {}))
    except ClientError as error:
        raise UploadError(f"s3://{bucket}/{key}: {error.response['Error'].get('Message', error)}") from error
    except PermissionError as error:
        raise UploadError(f"s3://{bucket}/{key}: the file may not be read") from error


def _files(folders: Sequence[Folder]) -> dict[str, Path]:
    """All files by their path."""
    return {path: file for folder in reversed(folders) for path, file in folder.files()}


class FolderSync:
    """Copies changed files of a folder to S3 at each `sync`. Removed files stay in S3."""

    def __init__(self, s3: Any, folders: Sequence[Folder], uri: str) -> None:
        self.s3, self.folders = s3, folders
        self.bucket, prefix = bucket_and_key(uri)
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._sent = {path: _stamp(file) for path, file in _files(folders).items()}

    def sync(self, last: bool = False) -> None:
        """Upload changed files. An error is ignored, and retried at the next call, unless this is the `last` one."""
        try:
            found = _files(self.folders)
        except (OSError, UploadError):
            if last:
                raise
            return
        for path, file in found.items():
            try:
                stamp = _stamp(file)
                if self._sent.get(path) != stamp:
                    _put(self.s3, self.bucket, self.prefix + path, file)
                    self._sent[path] = stamp
            except FileNotFoundError:
                continue  # a temporary file, renamed meanwhile
            except (OSError, BotoCoreError, ClientError, UploadError):
                if last:
                    raise


def _stamp(file: Path) -> tuple[Path, int, int, int]:
    seen = file.stat()
    return file, seen.st_mtime_ns, seen.st_size, seen.st_ino
