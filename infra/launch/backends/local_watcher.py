"""Runs one job of this machine: starts it, stops it when asked or when its time is up, and records how it ended.

python -m infra.launch.backends.local_watcher FOLDER
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ahx.errors import AhxError
from ahx.training.metrics import evaluations
from ahx.training.tracking.choice import CREDENTIALS
from infra.launch.backends.backend import COMPLETED, FAILED, IN_PROGRESS, STOPPED
from infra.launch.backends.local import LOCK, REQUEST, STATUS, STOP, TREE, hold, read_status, write_json
from infra.run_local import supervisor
from infra.run_local.docker import docker
from infra.run_local.job import GRACE_SECONDS, Job, ProcessJob, log_file
from infra.run_local.local_mode_runner import LocalModeJob, LocalModeRunner
from infra.run_local.runner import ContainerRunner, ProcessRunner
from opt_ml import failure
from opt_ml.paths import OptMl
from opt_ml.tree import build

_POLL_SECONDS = 0.2
_PREDECESSOR_SECONDS = GRACE_SECONDS + 10


class Watcher:
    """The watcher of one job; it holds the job's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        asked = json.loads((folder / REQUEST).read_text("utf-8"))
        self.on, self.request = asked["on"], asked["request"]
        self.status = read_status(folder)
        self.status.setdefault("created", time.time())
        self.container = f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"

    def record(self, **changed: Any) -> None:
        self.status.update(changed)
        write_json(self.folder / STATUS, self.status)

    def run(self) -> None:
        """From start to end; every error is recorded as the job's failure."""
        try:
            self._await_predecessor()
            request = self.request
            channels = {
                one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"]
                for one in request.get("InputDataConfig", ())
            }
            tree = build(self.folder / TREE, request["HyperParameters"], channels)
            code, why = self._watch(tree)
        except AhxError as error:
            self.record(status=FAILED, phase=FAILED, reason=str(error), ended=time.time())
            return
        reason = failure.reason(tree) if code else ""
        status = STOPPED if why else FAILED if code else COMPLETED
        if code and not why and not reason:
            reason = f"the job ended with exit code {code} and gave no reason; see {log_file(tree)}"
        ended = time.time()
        history = evaluations(log_file(tree).read_text("utf-8", errors="replace").splitlines())
        self.record(
            status=status,
            phase=why or status,
            reason=reason,
            ended=ended,
            seconds=time.monotonic() - self._began,
            metrics=history[-1] if history else {},
        )

    def _watch(self, tree: OptMl) -> tuple[int, str]:
        """The exit code, and why the job was stopped, if it was."""
        environment = {**_log_settings(self.folder.name), **self.request.get("Environment", {})}
        job: Job
        image = self.request["AlgorithmSpecification"]["TrainingImage"]
        if self.on == "process":
            job = ProcessRunner().start(tree, environment)
        elif self.on == "local-mode":
            job = LocalModeRunner(image).start(tree, environment)
        else:
            secrets = {name: value for name, value in os.environ.items() if name in CREDENTIALS}
            job = ContainerRunner(image).start(tree, secrets | environment, name=self.container)
        self.record(
            status=IN_PROGRESS,
            phase="Training",
            started=self.status.get("started", time.time()),
            pid=job.pid if isinstance(job, ProcessJob | LocalModeJob) else None,
        )
        # The job's time under an earlier watcher is known by the wall clock only.
        self._began = time.monotonic() - max(0.0, time.time() - self.status["started"])
        limit = self._began + self.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        while True:
            try:
                return job.wait(_POLL_SECONDS), ""
            except TimeoutError:
                late = time.monotonic() > limit
                why = "Stopped" if (self.folder / STOP).exists() else "MaxRuntimeExceeded" if late else ""
            if why:
                self.record(phase="Stopping")
                return job.stop(), why

    def _await_predecessor(self) -> None:
        """A job whose watcher died ends by itself; wait for it, as two must not write to the same folder."""
        pid = self.status.get("pid")
        for _ in range(round(_PREDECESSOR_SECONDS / _POLL_SECONDS)):
            if self.on != "docker":
                gone = pid is None or not _is_job(int(pid))
            else:
                gone = not docker("ps", "--all", "--quiet", "--filter", f"name=^{self.container}$").stdout.strip()
            if gone:
                return
            time.sleep(_POLL_SECONDS)
        raise AhxError("an earlier process of this job does not end; kill it")


def _log_settings(job: str) -> dict[str, str]:
    """A log stream of the job's own, where this process is configured to keep a log (see run_logs/run_log.py)."""
    group = os.environ.get("AHX_LOG_GROUP")
    if not group:
        return {}
    own = {"AHX_LOG_GROUP": group, "AHX_LOG_STREAM": job, "AHX_LOG_FILE": "", "AHX_LOG_DELIVERED_BY": ""}
    return own | {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _is_job(pid: int) -> bool:
    """Whether the process is one of our jobs, and not another that has got the same number since."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return os.fsencode(str(supervisor.__file__)) in command
    except OSError:
        return False


def main(folder: Path) -> int:
    with hold(folder / LOCK) as held:
        if held and not (read_status(folder).get("ended")):
            Watcher(folder).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
