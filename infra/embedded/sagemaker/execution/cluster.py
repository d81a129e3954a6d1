"""The hosts of one attempt at a job: for each a tree of /opt/ml, its inputs, and the running program."""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahx.errors import AhxError
from infra.embedded.sagemaker.execution import channels, container_inputs
from infra.embedded.sagemaker.execution.folders import Folder
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.run_local.job import Job
from infra.run_local.runner import Runner
from opt_ml import failure
from opt_ml.paths import OptMl
from opt_ml.tree import build


@dataclass(frozen=True)
class Ended:
    """How a program ended: the first exit code of a host that is not 0, and that host's failure file."""

    code: int
    failure: str
    start_error: str = ""  # Docker's message, if it could not start the program


class Cluster:
    """The hosts algo-1, algo-2, ... of a job, each with a folder below `folder`."""

    def __init__(self, job: TrainingJob, folder: Path, s3: Any) -> None:
        self.job, self.folder, self._s3 = job, folder, s3
        self.groups = container_inputs.groups(job.request)
        self.hosts = [host for group in self.groups for host in group.hosts]
        self.trees: list[OptMl] = []
        self.jobs: list[Job] = []

    def prepare(self) -> None:
        """Create the trees and download inputs and checkpoints. Raises DownloadError, ClientError, OSError."""
        request = self.job.request
        given = {channel["ChannelName"]: channel for channel in request.get("InputDataConfig", [])}
        receivers = {name: container_inputs.hosts_of(channel, self.groups) for name, channel in given.items()}
        nothing = self.folder / "nothing"
        nothing.mkdir()
        for host in self.hosts:
            own = [name for name in given if host in receivers[name]]
            tree = build(
                self.folder / host,
                request.get("HyperParameters", {}),
                dict.fromkeys(own, nothing),
                copy=True,
                channel_configs={name: container_inputs.channel(given[name], request) for name in own},
                groups=self.groups,
                current_host=host,
                files=container_inputs.files(request),
            )
            self.trees.append(tree)
            for synced in container_inputs.synced(request):
                place = container_inputs.folder_of(tree, synced.inside)
                place.mkdir(parents=True, exist_ok=True)
                if synced.restored:
                    channels.fetch_prefix(self._s3, synced.uri, place)
        for name, channel in given.items():
            places = [
                tree.channel(name) for host, tree in zip(self.hosts, self.trees, strict=True) if host in receivers[name]
            ]
            channels.fetch(self._s3, channel, places)

    def folders(self, inside: Path) -> list[Folder]:
        """The folders that are `inside` in the containers."""
        return [Folder(container_inputs.folder_of(tree, inside), inside, tree.base) for tree in self.trees]

    def start(self, runner: Callable[[TrainingJob, OptMl], Runner], environment: Mapping[str, str]) -> None:
        """Start the program on every host. Raises ServiceError."""
        for tree in self.trees:
            self.jobs.append(runner(self.job, tree).start(tree, environment))

    def ended(self) -> Ended | None:
        """How it ended, once every host has ended or one has failed; the others are then killed."""
        over = [job for job in self.jobs if not job.is_running]
        for job in over:
            if code := job.wait(1):
                self.kill()
                message = next(iter(job.lines()), "")
                return Ended(code, failure.read(job.tree), message if message.startswith("docker: ") else "")
        return Ended(0, "") if len(over) == len(self.jobs) else None

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM to all hosts, and SIGKILL to those that still run after `grace_seconds`."""
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
            else:
                job.wait()  # closes its pipes

    def close(self) -> None:
        """Kill running programs, and remove the folders."""
        with suppress(AhxError):
            self.kill()
        for _ in range(5):
            with suppress(OSError):
                shutil.rmtree(self.folder)
                return
            time.sleep(0.1)
