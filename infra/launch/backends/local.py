"""This machine as a backend: each job is a process or a container, with a watcher (local_watcher.py) of its own.

FOLDER/s1/manifest.json
FOLDER/s1/ahx-s1-0123456789/request.json   the CreateTrainingJob request
                            lock           held by the watcher while it runs
                            stop           created to stop the job
                            status.json    its progress, or how it ended
                            tree/          its /opt/ml

Jobs do not depend on the launcher. A job whose watcher has died is interrupted: submitted again, it continues from its
last checkpoints.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ahx
from ahx.errors import ServiceError, StorageError
from ahx.training.trial_states import NAME
from infra.launch.backends.backend import (
    FAILED,
    IN_PROGRESS,
    INTERRUPTED,
    STOPPING,
    TERMINAL,
    Image,
    Job,
    JobExistsError,
    Manifest,
)
from infra.launch.job_request import JobTemplate, address_of
from infra.provision.stack_id import StackId
from infra.run_local.docker import find_image
from infra.run_local.job import log_file
from infra.run_local.local_mode_runner import check_installed
from infra.run_local.runner import IMAGE
from opt_ml.paths import OptMl
from opt_ml.trials_channel import CHANNEL, FILE

FOLDER = Path("runs", "sweeps")
MANIFEST, REQUEST, LOCK, STOP, STATUS, TREE = "manifest.json", "request.json", "lock", "stop", "status.json", "tree"
_DATA = ".data"
_START_SECONDS = 60.0
_LOCK_PATIENCE_SECONDS = 2.0  # far longer than `_held` keeps a lock, even on a busy machine


class LocalBackend:
    """Processes (`on` "process") or containers ("docker", "local-mode") of this machine."""

    costs = False

    def __init__(self, on: str, folder: Path = FOLDER) -> None:
        self.on, self.folder = on, folder.absolute()
        kinds = {"process": "as processes", "docker": "as containers", "local-mode": "in SageMaker's local mode"}
        self.title = f"this machine, {kinds[on]}"
        self.stack_id = StackId("0" * 12, "us-east-1")  # requests have the form that SageMaker's have

    def image(self, given: str | None) -> Image:
        """The Docker image; processes run the code that is installed here."""
        if self.on == "process":
            return Image("process", code_digest())
        if self.on == "local-mode":
            check_installed()
        return local_image(given or IMAGE)

    def shared_at(self, digest: str) -> str:
        return str(self.folder / _DATA / digest)

    def share(self, files: Sequence[Path], digest: str) -> str:
        """A folder with copies of the files."""
        folder = Path(self.shared_at(digest))
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{digest}.", dir=folder.parent))
            try:
                for file in files:
                    shutil.copy2(file, partial / file.name)
                os.chmod(partial, 0o755)
                if not folder.is_dir():
                    os.rename(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return str(folder)

    def slots(self, template: JobTemplate) -> int:
        """One job for each processor; small models do not use more."""
        return os.cpu_count() or 1

    def submit(self, request: Mapping[str, Any]) -> None:
        """Start a job, or the watcher of a job whose watcher has died."""
        sweep = next(tag["Value"] for tag in request["Tags"] if tag["Key"] == "ahx:sweep")
        folder = self.folder / sweep / request["TrainingJobName"]
        if not folder.exists():
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                partial = Path(tempfile.mkdtemp(prefix=".new.", dir=folder.parent))
                (partial / REQUEST).write_text(
                    json.dumps({"on": self.on, "request": request}, indent=1) + "\n", "utf-8"
                )
                os.rename(partial, folder)
            except OSError as error:
                if folder.exists():  # another launcher was faster
                    raise JobExistsError(f"{folder.name} exists already") from error
                raise StorageError(
                    f"cannot write {folder}: {error.strerror}; choose another folder with --folder"
                ) from error
        elif read_status(folder).get("status") in TERMINAL or _held(folder / LOCK):
            raise JobExistsError(f"{folder.name} exists already")
        # Through a shell that ends at once, so that the watcher is not a child of this process and outlives it.
        command = [sys.executable, "-m", "infra.launch.backends.local_watcher", str(folder)]
        detached = ["/bin/sh", "-c", '"$@" >>"$0" 2>&1 </dev/null &', str(folder / "watcher.log"), *command]
        subprocess.run(detached, start_new_session=True, check=True)
        until = time.monotonic() + _START_SECONDS
        while not _held(folder / LOCK) and read_status(folder).get("status") not in TERMINAL:
            if time.monotonic() > until:
                raise ServiceError(f"the watcher of {folder.name} does not start; see {folder / 'watcher.log'}")
            time.sleep(0.02)

    def jobs(self, sweep: str) -> dict[str, Job]:
        folders = [path.parent for path in (self.folder / sweep).glob(f"*/{REQUEST}") if path.parent.name[0] != "."]
        return {folder.name: self._job(folder) for folder in sorted(folders)}

    def _job(self, folder: Path) -> Job:
        held = _held(folder / LOCK)
        status, tree = read_status(folder), OptMl(folder / TREE)
        if not held and status.get("status") not in TERMINAL:
            status |= {"status": FAILED, "phase": INTERRUPTED, "reason": "the job's process has ended"}
        request = folder / REQUEST
        ended = status.get("ended")
        return Job(
            name=folder.name,
            status=STOPPING if ended is None and (folder / STOP).exists() else status.get("status", IN_PROGRESS),
            phase=status.get("phase", "Starting"),
            created=request.stat().st_mtime,
            started=status.get("started"),
            ended=ended,
            seconds=status.get("seconds", 0.0),
            reason=status.get("reason", ""),
            metrics=status.get("metrics", {}),
            model=str(tree.model),
            output=str(tree.output_data),
            trials=address_of(json.loads(request.read_text("utf-8"))["request"], CHANNEL),
        )

    def trials(self, job: Job) -> bytes:
        return Path(job.trials, FILE).read_bytes()

    def states(self, job: Job) -> bytes:
        path = OptMl(self._folder(job.name) / TREE).checkpoints / NAME
        return path.read_bytes() if path.exists() else b""

    def log(self, job: str, cursor: Any) -> tuple[list[str], Any]:
        path, offset = log_file(OptMl(self._folder(job) / TREE)), int(cursor or 0)
        if not path.exists():
            return [], cursor
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < offset:  # the job was started again
                offset = 0
            file.seek(offset)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        return text.decode("utf-8", errors="replace").splitlines(), offset + len(text)

    def stop(self, job: str) -> None:
        (self._folder(job) / STOP).touch()

    def read_manifest(self, sweep: str) -> Manifest | None:
        path = self.folder / sweep / MANIFEST
        return Manifest.parse(path.read_bytes(), str(path)) if path.exists() else None

    def write_manifest(self, sweep: str, manifest: Manifest) -> None:
        folder = self.folder / sweep
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / MANIFEST, manifest.to_json())

    def sweeps(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))

    def _folder(self, job: str) -> Path:
        found = list(self.folder.glob(f"*/{job}"))
        if not found:
            raise ServiceError(f"there is no job {job} in {self.folder}; `ahx jobs list` shows all")
        return found[0]


def code_digest() -> str:
    """The SHA-256 of the learning code that runs here."""
    root = Path(ahx.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def local_image(name: str) -> Image:
    """An image of this machine's Docker. Raises ServiceError when it is not there."""
    return Image(name, find_image(name)["Id"])


def read_status(folder: Path) -> dict[str, Any]:
    """What the watcher wrote last; empty before that."""
    try:
        status: dict[str, Any] = json.loads((folder / STATUS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return status


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace the file as a whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    os.replace(partial, path)


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Whether this process now holds the lock, which is released when the process dies.

    `_held` takes the lock for an instant, so one attempt is not enough.
    """
    with open(path, "wb") as lock:
        until = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    yield False
                    return
                time.sleep(0.01)
            else:
                yield True
                return


def _held(path: Path) -> bool:
    with open(path, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
