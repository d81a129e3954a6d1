"""The instances of one attempt at a job: a tree of /opt/ml for each host, its inputs, and the running program."""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahx.errors import AhxError
from ahx.training.opt_ml import OptMl
from infra.embedded import channels
from infra.embedded.job import TrainingJob
from infra.local import tree as opt_ml
from infra.local.runner import Runner
from infra.local.started import Job


@dataclass(frozen=True)
class Ended:
    """How a program of several hosts ended: the first exit code that is not 0, and that host's failure file."""

    code: int
    failure: str
    start_error: str = ""  # what Docker said when it could not even start the program


class Cluster:
    """The hosts algo-1, algo-2, ... of a job, in folders of their own below `folder`."""

    def __init__(self, job: TrainingJob, folder: Path, s3: Any) -> None:
        self.job, self.folder, self._s3 = job, folder, s3
        self.hosts = [f"algo-{number}" for number in range(1, job.instance_count + 1)]
        self.trees: list[OptMl] = []
        self.jobs: list[Job] = []

    def prepare(self) -> None:
        """Make the trees and bring in the inputs and the checkpoints. Raises DownloadError, ClientError, OSError."""
        request = self.job.request
        common = request["AlgorithmSpecification"]["TrainingInputMode"]
        given = request.get("InputDataConfig", [])
        modes = {channel["ChannelName"]: channel.get("InputMode") or common for channel in given}
        nothing = self.folder / "nothing"
        nothing.mkdir()
        for number, host in enumerate(self.hosts):
            tree = opt_ml.build(
                self.folder / host,
                request.get("HyperParameters", {}),
                dict.fromkeys(modes, nothing),
                copy=True,
                input_modes=modes,
                hosts=self.hosts,
                current_host=host,
                instance_type=self.job.instance_type,
            )
            for channel in given:
                channels.fetch(self._s3, channel, tree.channel(channel["ChannelName"]), number, len(self.hosts))
            if checkpoint := request.get("CheckpointConfig"):
                channels.fetch_prefix(self._s3, checkpoint["S3Uri"], tree.checkpoints)
            self.trees.append(tree)

    def start(self, runner: Callable[[TrainingJob, OptMl], Runner], environment: Mapping[str, str]) -> None:
        """Start the program on every host. Raises ServiceError."""
        for tree in self.trees:
            self.jobs.append(runner(self.job, tree).start(tree, environment))

    def ended(self) -> Ended | None:
        """How it ended, once every host has, or one has failed; the others are then killed."""
        over = [job for job in self.jobs if not job.is_running]
        for job in over:
            if code := job.wait(1):
                self.kill()
                said = next(iter(job.lines()), "")
                return Ended(code, opt_ml.failure(job.tree), said if said.startswith("docker: ") else "")
        return Ended(0, "") if len(over) == len(self.jobs) else None

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM to all hosts at once, SIGKILL to those that are still there after `grace_seconds`."""
        stopping = [threading.Thread(target=job.stop, args=(grace_seconds,), daemon=True) for job in self.jobs]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def kill(self) -> None:
        """SIGKILL to all hosts."""
        for job in self.jobs:
            if job.is_running:
                job.kill()

    def close(self) -> None:
        """Kill what still runs, and remove the folders."""
        with suppress(AhxError):
            self.kill()
        for _ in range(5):
            with suppress(OSError):
                shutil.rmtree(self.folder)
                return
            time.sleep(0.1)
