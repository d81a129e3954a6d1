"""One training job from Starting to its end, in a thread of its own.

Starting -> Downloading -> Training -> Uploading -> Completed | Failed
Training -> Stopping -> Uploading -> Stopped | MaxRuntimeExceeded
Training -> Interrupted -> Starting -> ...            managed spot: at each interruption
Interrupted -> MaxWaitTimeExceeded                    if capacity does not return in time
"""

import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ahx.errors import AhxError
from infra.embedded.sagemaker.execution import artifacts, container_inputs
from infra.embedded.sagemaker.execution.channels import DownloadError
from infra.embedded.sagemaker.execution.cluster import Cluster, Ended
from infra.embedded.sagemaker.execution.folders import UploadError
from infra.embedded.sagemaker.execution.log_shipping import Shipper
from infra.embedded.sagemaker.execution.runners import JobHost
from infra.embedded.sagemaker.jobs.job_table import TrainingJobs
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.sagemaker.s3_uris import joined
from opt_ml.paths import OptMl

_INSIDE = OptMl()
_POLL_SECONDS = 0.05
_CHECKPOINT_SECONDS = _METRICS_SECONDS = 1.0
_DAY = 86_400


class Execution:
    """Runs one job. `stop` and `interrupt` may be called from any thread."""

    def __init__(self, job: TrainingJob, jobs: TrainingJobs, clients: OwnClients, host: JobHost) -> None:
        self.job, self._jobs, self._host = job, jobs, host
        self._clients = clients
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._capacity_back: float | None = None  # when spot capacity returns, after an interruption
        self._training_seconds = self._metrics_kept = 0.0
        self._instances_since: float | None = None
        # Durations are of the monotonic clock, except from before a restart of the server.
        self._created = time.monotonic() - max(0.0, time.time() - job.created)
        self._cluster: Cluster | None = None
        self.thread = threading.Thread(target=self._run, name=f"job {job.name}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """Stop the job as StopTrainingJob does; its status is Stopping already."""
        self._stopping.set()
        self._wake.set()

    def interrupt(self, seconds: float) -> None:
        """Take the spot instances away; capacity returns after `seconds`."""
        self._capacity_back = time.monotonic() + seconds
        self._wake.set()

    def kill(self) -> None:
        """Kill the job's programs."""
        if self._cluster:
            self._cluster.kill()

    def _run(self) -> None:
        over = False
        while not over:
            try:
                over = self._attempt_once()
            except (DownloadError, AhxError) as error:
                over = self._fail(f"ClientError: Data download failed: {error}")
            except (BotoCoreError, ClientError) as error:
                over = self._fail(f"ClientError: Data download failed: {_message(error)}")
            except Exception:  # a bug here ends this attempt only, like an internal error of the service
                traceback.print_exc()
                with self._jobs.changed:
                    over = self.job.internal_error()

    def _attempt_once(self) -> bool:
        """One attempt on new instances. Returns whether the job is over; if not, it was interrupted."""
        folder = Path(tempfile.mkdtemp(prefix=f"{self.job.name}-", dir=self._host.folder))
        self._cluster = cluster = Cluster(self.job, folder, self._client("s3"))
        with self._jobs.changed:
            self.job.started = self.job.started or time.time()
        try:
            return self._attempt_on(cluster)
        finally:
            self._instances_since = None
            cluster.close()
            self._host.runners.close(self.job, folder)

    def _attempt_on(self, cluster: Cluster) -> bool:
        self._stopping.wait(self._host.start_seconds)
        self._instances_since = time.monotonic()
        if self._stopping.is_set():
            return self._end("Stopped")
        if self.job.request.get("InputDataConfig"):
            self._enter("Downloading")
        cluster.prepare()
        syncs = [
            artifacts.FolderSync(self._client("s3"), cluster.folders(synced.inside), synced.uri)
            for synced in container_inputs.synced(self.job.request)
        ]
        if self._stopping.is_set():
            return self._end("Stopped")
        self._enter("Training")
        try:
            cluster.start(self._host.runner, self._environment())
        except AhxError as error:
            return self._fail(f"ClientError: CannotStartContainerError. {error}")
        shippers = self._ship(cluster)
        why, ended = self._watch(cluster, syncs)
        if why == "Interrupted":
            self._enter("Interrupted")
        elif why:
            self._enter("Stopping", "Stopping")
        if ended is None:
            cluster.stop(self._host.grace_seconds)
        for shipper in shippers:
            shipper.finish()
        try:
            for sync in syncs:
                sync.sync(last=True)
            if why == "Interrupted":
                self._leave_instances()
                return self._wait_for_capacity()
            return self._finish(cluster, why, ended)
        except (OSError, BotoCoreError, ClientError, UploadError) as error:
            failure = _failure(ended) or f"ClientError: Artifact upload failed: {_message(error)}"
            return self._fail(failure)

    def _watch(self, cluster: Cluster, syncs: list[artifacts.FolderSync]) -> tuple[str, Ended | None]:
        """Wait until the program ends ("") or must be ended: the reason, as a secondary status."""
        limits = self.job.request["StoppingCondition"]
        begun = time.monotonic()
        run_until = begun + limits.get("MaxRuntimeInSeconds", _DAY) - self._training_seconds
        wait_until = self._created + limits.get("MaxWaitTimeInSeconds", float("inf"))
        next_sync = begun + _CHECKPOINT_SECONDS
        try:
            while True:
                if ended := cluster.ended():
                    return "", ended
                now = time.monotonic()
                if self._stopping.is_set():
                    return "Stopped", None
                if self._capacity_back is not None:
                    return "Interrupted", None
                if now >= run_until:
                    return "MaxRuntimeExceeded", None
                if now >= wait_until:
                    return "MaxWaitTimeExceeded", None
                if now >= next_sync:
                    for sync in syncs:
                        sync.sync()
                    next_sync = time.monotonic() + _CHECKPOINT_SECONDS
                self._wake.wait(_POLL_SECONDS)
        finally:
            self._training_seconds += time.monotonic() - begun

    def _finish(self, cluster: Cluster, why: str, ended: Ended | None) -> bool:
        """Upload, and enter the last status."""
        if failure := _failure(ended):
            self._upload(cluster, _INSIDE.output_data, "output")
            return self._fail(failure)
        self._enter("Uploading")
        has_model = self._upload(cluster, _INSIDE.model, "model", even_empty=True)
        self._upload(cluster, _INSIDE.output_data, "output")
        with self._jobs.changed:
            self.job.has_model = has_model
        return self._end(why or ("Stopped" if self._stopping.is_set() else "Completed"))

    def _upload(self, cluster: Cluster, inside: Path, name: str, even_empty: bool = False) -> bool:
        """Upload a folder of all hosts to the job's artifacts. Returns whether there is anything."""
        config = self.job.request["OutputDataConfig"]
        folders = cluster.folders(inside)
        if not even_empty and not any(True for folder in folders for _ in folder.entries()):
            return False
        key = config.get("KmsKeyId")
        options = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        compression = config.get("CompressionType", "GZIP")
        uri = joined(self.job.output, name)
        return artifacts.upload_folder(self._client("s3"), folders, uri, compression, options) or compression == "GZIP"

    def _wait_for_capacity(self) -> bool:
        """Wait for spot capacity. Returns whether the job is over instead."""
        back, self._capacity_back = self._capacity_back or 0.0, None
        wait_until = self._created + self.job.request["StoppingCondition"]["MaxWaitTimeInSeconds"]
        while time.monotonic() < back:
            if self._stopping.is_set():
                return self._end("Stopped")
            if time.monotonic() >= wait_until:
                return self._end("MaxWaitTimeExceeded")
            self._wake.clear()
            self._wake.wait(min(_POLL_SECONDS, max(0.0, back - time.monotonic())))
        self._enter("Starting", message="Launching requested ML instances")
        return False

    def _ship(self, cluster: Cluster) -> list[Shipper]:
        definitions = self.job.request["AlgorithmSpecification"].get("MetricDefinitions", [])
        return [
            Shipper(program.lines(), self._client, self.job.name, host, definitions, self._report)
            for program, host in zip(cluster.jobs, cluster.hosts, strict=True)
        ]

    def _client(self, service: str) -> Any:
        return self._clients(service, self.job.region)

    def _report(self, name: str, value: float, when: float) -> None:
        with self._jobs.changed:
            self.job.measure(name, value, when)
            if time.monotonic() >= self._metrics_kept + _METRICS_SECONDS:
                self._metrics_kept = time.monotonic()
                self.job.touch()

    def _environment(self) -> dict[str, str]:
        region = self.job.region
        own = {"TRAINING_JOB_NAME": self.job.name, "TRAINING_JOB_ARN": self.job.arn, "AWS_REGION": region}
        reach = {} if self.job.request.get("EnableNetworkIsolation") else dict(self._host.environment)
        given: dict[str, str] = self.job.request.get("Environment", {})
        return {"AWS_DEFAULT_REGION": region} | reach | own | given

    def _enter(self, secondary: str, status: str | None = None, message: str = "") -> None:
        with self._jobs.changed:
            if status == "Stopping" and self.job.secondary == "Stopping":
                return  # StopTrainingJob has entered it already
            self.job.enter(secondary, status, message)

    def _end(self, secondary: str) -> bool:
        with self._jobs.changed:
            self._leave_instances()
            self.job.enter(secondary, "Completed" if secondary == "Completed" else "Stopped")
        return True

    def _fail(self, reason: str) -> bool:
        with self._jobs.changed:
            self._leave_instances()
            self.job.fail(reason)
        return True

    def _leave_instances(self) -> None:
        if self._instances_since is not None:
            self.job.instance_seconds += time.monotonic() - self._instances_since
            self._instances_since = None


def _failure(ended: Ended | None) -> str:
    """Why the job fails; "" if the program succeeded or was stopped."""
    if ended and ended.start_error:
        return f"ClientError: CannotStartContainerError. {ended.start_error}"
    return f"AlgorithmError: {ended.failure[:950]}, exit code: {ended.code}" if ended and ended.code else ""


def _message(error: Exception) -> str:
    return str(error.response["Error"].get("Message", error)) if isinstance(error, ClientError) else str(error)
