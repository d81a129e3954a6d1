"""What a job leaves in S3: model.tar.gz, output.tar.gz, and its checkpoints while it runs.

Follows "How SageMaker Processes Training Output" and "Checkpoints in SageMaker" of the SageMaker Developer Guide. An
archive has what the folder has, links as links; S3 has files only, what a link leads to under the link's name.
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
    """Put what all hosts' `folders` hold at URI.tar.gz, or the files one by one below URI/. Returns whether any.

    Of two hosts' files of one name the first host's counts. `options` are those of S3's PutObject. Raises UploadError.
    """
    bucket, prefix = bucket_and_key(uri)
    extra = dict(options or {})
    if compression == "NONE":
        files = _files(folders)
        for path, file in files.items():
            with suppress(FileNotFoundError):  # a temporary file that has gone
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
        if info.islnk():  # another name of a file: as a file, for those who take files only
            info.type, info.linkname = tarfile.REGTYPE, ""
        if not info.isreg():
            archive.addfile(info)
            return
        with opened(entry) as body:
            info.size = os.fstat(body.fileno()).st_size
            archive.addfile(info, body)
    except FileNotFoundError:
        return  # a temporary file that has gone
    except OSError as error:
        raise UploadError(f"{path} cannot be packed: {(error.strerror or str(error)).lower()}") from error


def _put(s3: Any, bucket: str, key: str, file: Path, options: Mapping[str, str] | None = None) -> None:
    """Copy one file to S3, as it is when this begins: a file that is replaced meanwhile stays whole."""
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
    """Copies what changes in a folder to S3, from time to time. What vanishes from the folder stays in S3."""

    def __init__(self, s3: Any, folders: Sequence[Folder], uri: str) -> None:
        self.s3, self.folders = s3, folders
        self.bucket, prefix = bucket_and_key(uri)
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._sent = {path: _stamp(file) for path, file in _files(folders).items()}

    def sync(self, last: bool = False) -> None:
        """Copy what has changed. What cannot be sent now is tried again, unless this is the `last` time."""
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
                continue  # a temporary file that has got its name
            except (OSError, BotoCoreError, ClientError, UploadError):
                if last:
                    raise


def _stamp(file: Path) -> tuple[Path, int, int, int]:
    seen = file.stat()
    return file, seen.st_mtime_ns, seen.st_size, seen.st_ino
