"""SageMaker as a backend, and the embedded AWS, which has the same API at another address.

All state of a sweep is in AWS, jobs by their names and the manifest in the bucket, so any machine can continue it.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from ahx.errors import ServiceError
from ahx.training.trial_states import NAME
from infra import aws_clients, ecr, locations, storage
from infra.launch.backends.backend import (
    Image,
    Job,
    JobExistsError,
    Manifest,
    QuotaExceededError,
    RoleNotReadyError,
    ServiceBusyError,
)
from infra.launch.job_request import JobTemplate, address_of, job_pattern
from infra.provision.bucket import Bucket
from infra.provision.repository import Repository
from infra.provision.stack_id import StackId
from infra.provision.training_jobs import SAGEMAKER_LOG_GROUP, name_prefix
from infra.storage import Location
from opt_ml.trials_channel import CHANNEL, FILE

_BUSY = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
_NOT_YET = "404"  # of an embedded AWS that is starting; for a missing object S3 answers NoSuchKey
_THREADS = 8
_SMALL = 64 << 10  # bytes
_OVERLAP_SECONDS = 15  # lists may lag a little behind changes
_WHOLE_SECONDS = 30.0  # between lists of all jobs
_PAGES = 20  # of a log, at most, in one call
_UNKNOWN = 10_000  # slots, where quotas may not be read; SageMaker then refuses jobs above the quota


class SageMakerBackend:
    """SageMaker in the account and region of the environment."""

    costs = True

    def __init__(self, stack_id: StackId, on: str = "sagemaker") -> None:
        self.on, self.stack_id, self.bucket = on, stack_id, Bucket(stack_id)
        where = f"{stack_id.region}, account {stack_id.account}"
        self.title = f"SageMaker in {where}" if on == "sagemaker" else f"the embedded AWS at {aws_clients.endpoint()}"
        self._sagemaker, self._s3, self._logs = (aws_clients.client(name) for name in ("sagemaker", "s3", "logs"))
        self._known: dict[str, tuple[datetime, Job]] = {}  # job -> its last change, and its state then
        self._listed_until: dict[str, datetime] = {}
        self._listed_whole: dict[str, float] = {}
        self._quotas: dict[str, int] | None = None

    # What jobs run and read.

    def image(self, given: str | None) -> Image:
        """The image pushed last; if the embedded AWS has none, this machine's."""
        if given is not None:
            return Image(given, given.partition("@")[2] or given)
        repository = Repository(self.stack_id)
        try:
            images = ecr.pushed(repository)
        except ServiceError:
            if self.on != "embedded":
                raise
            images = []
        if images:
            return Image(f"{repository.image}@{images[0].digest}", images[0].digest)
        if self.on == "embedded":
            return self._image_here()
        raise ServiceError(f"there is no image in {repository.image}; push one with `ahx push`")

    def _image_here(self) -> Image:
        from infra.launch.backends.local import code_digest, local_image
        from infra.run_local.runner import IMAGE

        try:
            return local_image(IMAGE)
        except ServiceError:  # jobs are then processes that run the installed code
            return Image(IMAGE, code_digest())

    def shared_at(self, digest: str) -> str:
        return self.bucket.data_uri(digest)

    def share(self, files: Sequence[Path], digest: str) -> str:
        """The files in the bucket, under the hash of their contents."""
        folder = Location.parse(self.shared_at(digest))
        targets = [(file, folder / file.name) for file in files]
        with _refusals(f"upload data to {folder}"):
            if sum(file.stat().st_size for file in files) < _SMALL:  # to look first would take as long
                for file, target in targets:
                    storage.write(self._s3, target, file.read_bytes())
                return str(folder)
            there = {(one.key, one.size) for one in storage.under(self._s3, folder)}
            missing = [(file, target) for file, target in targets if (target.key, file.stat().st_size) not in there]
            if missing:
                storage.upload(self._s3, missing, f"data to {folder}")
        return str(folder)

    def slots(self, template: JobTemplate) -> int:
        kinds = ["spot training job usage" if template.spot else "training job usage"]
        if template.keep_alive:
            kinds.append("training warm pool usage")
        if self._quotas is None:
            self._quotas = self._read_quotas()
        return min(self._quotas.get(f"{template.instance_type} for {kind}", _UNKNOWN) for kind in kinds)

    def _read_quotas(self) -> dict[str, int]:
        client = aws_clients.client("service-quotas")
        try:
            pages = list(client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker"))
        except (ClientError, BotoCoreError):  # may be denied
            return {}
        return {one["QuotaName"]: int(one["Value"]) for page in pages for one in page["Quotas"]}

    # Jobs.

    def submit(self, request: Mapping[str, Any]) -> None:
        with _refusals(f"submit {request['TrainingJobName']}"):
            self._sagemaker.create_training_job(**request)

    def jobs(self, sweep: str) -> dict[str, Job]:
        """Lists what has changed since the last call, and describes each job in the list.

        Every half minute it lists all jobs, because the service's clock may be set back and jobs may disappear.
        """
        pattern, now = job_pattern(self.stack_id, sweep), time.monotonic()
        whole = sweep not in self._listed_until or now > self._listed_whole[sweep] + _WHOLE_SECONDS
        since = {} if whole else {"LastModifiedTimeAfter": self._listed_until[sweep]}
        with _refusals(f"list the jobs of {sweep}"):
            pages = self._sagemaker.get_paginator("list_training_jobs").paginate(
                NameContains=f"{name_prefix(self.stack_id)}{sweep}-", PaginationConfig={"PageSize": 100}, **since
            )
            rows = [row for page in pages for row in page["TrainingJobSummaries"]]
        rows = [row for row in rows if pattern.fullmatch(row["TrainingJobName"])]
        changed = [
            row["TrainingJobName"]
            for row in rows
            if self._known.get(row["TrainingJobName"], (None,))[0] != row["LastModifiedTime"]
        ]
        with ThreadPoolExecutor(_THREADS) as pool:
            for modified, job in pool.map(self._describe, changed):
                self._known[job.name] = modified, job
        if whole:
            self._listed_whole[sweep] = now
            there = {row["TrainingJobName"] for row in rows}
            self._known = {
                name: known for name, known in self._known.items() if name in there or not pattern.fullmatch(name)
            }
        if rows:
            latest = max(row["LastModifiedTime"] for row in rows)
            self._listed_until[sweep] = datetime.fromtimestamp(latest.timestamp() - _OVERLAP_SECONDS, latest.tzinfo)
        return {name: job for name, (_, job) in self._known.items() if pattern.fullmatch(name)}

    def _describe(self, name: str) -> tuple[datetime, Job]:
        with _refusals(f"describe {name}"):
            found = self._sagemaker.describe_training_job(TrainingJobName=name)
        model, pool = found.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""), found.get("WarmPoolStatus", {})
        retained = pool.get("ResourceRetainedBillableTimeInSeconds", 0)
        return found["LastModifiedTime"], Job(
            name=name,
            status=found["TrainingJobStatus"],
            phase=found["SecondaryStatus"],
            created=found["CreationTime"].timestamp(),
            started=_seconds(found.get("TrainingStartTime")),
            ended=_seconds(found.get("TrainingEndTime")),
            seconds=found.get("TrainingTimeInSeconds", 0.0),
            billed_seconds=found.get("BillableTimeInSeconds", 0.0) + retained,
            reason=found.get("FailureReason", ""),
            metrics={one["MetricName"]: _float(one["Value"]) for one in found.get("FinalMetricDataList", ())},
            model=model,
            output=model.replace("model.tar.gz", "output.tar.gz"),
            trials=address_of(found, CHANNEL),
        )

    def trials(self, job: Job) -> bytes:
        location = Location.parse(job.trials) / FILE
        with _refusals(f"read the trials of {job.name}"):
            text = storage.read(self._s3, location)
        if text is None:
            raise ServiceError(f"{job.name}: there is no {location} any more")
        return text

    def states(self, job: Job) -> bytes:
        """From the job's checkpoints; when these have expired, from its output."""
        with _refusals(f"read the trials of {job.name}"):
            text = storage.read(self._s3, Location.parse(self.bucket.checkpoints_uri(job.name)) / NAME)
            if text is None and job.output:
                output = locations.unpacked(self._s3, Location.parse(job.output))
                text = (output / NAME).read_bytes() if output and (output / NAME).is_file() else None
        return text or b""

    def log(self, job: str, cursor: Any) -> tuple[list[str], Any]:
        group = SAGEMAKER_LOG_GROUP
        with _refusals(f"read the log of {job}"):
            if cursor is None:
                try:
                    streams = self._logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")
                except self._logs.exceptions.ResourceNotFoundException:
                    return [], None
                if not streams["logStreams"]:
                    return [], None
                cursor = (min(one["logStreamName"] for one in streams["logStreams"]), None)
            stream, token = cursor
            lines: list[str] = []
            for _ in range(_PAGES):
                more = {"nextToken": token} if token else {}
                page = self._logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
                lines += [event["message"] for event in page["events"]]
                if page["nextForwardToken"] == token or not page["events"]:
                    break
                token = page["nextForwardToken"]
        return lines, (stream, token)

    def stop(self, job: str) -> None:
        with _refusals(f"stop {job}"):
            try:
                self._sagemaker.stop_training_job(TrainingJobName=job)
            except ClientError as error:
                if "status" not in str(error) and "state" not in str(error):  # it has ended
                    raise

    # Sweeps.

    def read_manifest(self, sweep: str) -> Manifest | None:
        location = self._manifest(sweep)
        text = storage.read(self._s3, location)
        return Manifest.parse(text, str(location)) if text is not None else None

    def write_manifest(self, sweep: str, manifest: Manifest) -> None:
        storage.write(self._s3, self._manifest(sweep), json.dumps(manifest.to_json()).encode())

    def sweeps(self) -> list[str]:
        found = storage.under(self._s3, Location(self.bucket.name, "sweeps"))
        return sorted(one.key.removeprefix("sweeps/").removesuffix(".json") for one in found)

    def _manifest(self, sweep: str) -> Location:
        return Location(self.bucket.name, f"sweeps/{sweep}.json")


@contextmanager
def _refusals(doing: str) -> Iterator[None]:
    """Errors of AWS, as the exceptions of `Backend.submit` where the launcher can continue."""
    try:
        with aws_clients.sentences(doing):
            yield
    except ServiceError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError):
            code, status = aws_clients.code(cause), cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code == "ResourceInUse":
                raise JobExistsError(str(error)) from error
            if code == "ResourceLimitExceeded":
                raise QuotaExceededError(str(error)) from error
            if code == "ValidationException" and "assume role" in str(cause).lower():
                raise RoleNotReadyError(str(error)) from error
            if code in {*_BUSY, _NOT_YET} or status >= 500:
                raise ServiceBusyError(str(error)) from error
        elif isinstance(cause, BotoCoreError) and not isinstance(cause, NoCredentialsError):
            raise ServiceBusyError(str(error)) from error
        raise


def _seconds(when: datetime | None) -> float | None:
    return when.timestamp() if when is not None else None


def _float(value: float) -> float:
    """As the job printed it, with six digits: SageMaker keeps metrics in single precision."""
    return float(f"{value:.6g}")
