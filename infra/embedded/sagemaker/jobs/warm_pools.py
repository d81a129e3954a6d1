"""Warm pools: instances of a finished job, retained for KeepAlivePeriodInSeconds for the next matching job.

Follows "SageMaker AI Managed Warm Pools" of the SageMaker Developer Guide. A job's WarmPoolStatus is updated when it is
read. Callers hold the lock of the jobs.
"""

import math
from collections.abc import Iterable
from time import monotonic
from typing import Any

from infra.embedded.sagemaker.jobs.training_job import TrainingJob

# A job reuses the pool of another one with the same instances, role and network.
_MUST_MATCH = (
    ("RoleArn",),
    ("ResourceConfig", "InstanceType"),
    ("ResourceConfig", "InstanceCount"),
    ("ResourceConfig", "VolumeSizeInGB"),
    ("ResourceConfig", "VolumeKmsKeyId"),
    ("VpcConfig", "SecurityGroupIds"),
    ("VpcConfig", "Subnets"),
    ("EnableInterContainerTrafficEncryption",),
    ("EnableNetworkIsolation",),
    ("SessionChainingConfig", "EnableSessionTagChaining"),
)


def update(jobs: Iterable[TrainingJob]) -> None:
    """Update WarmPoolStatus of jobs."""
    for job in jobs:
        if job.is_over and not job.pool:
            continue
        period = job.keep_alive
        if not job.is_over:
            job.pool = {"Status": "InUse"} if period else {}
        elif job.pool.get("Status") == "InUse":
            # Instances are not retained after an internal error, but after a failure of the program.
            lost = job.started is None or job.failure_reason.startswith("InternalServerError")
            job.pool = {"Status": "Terminated" if lost or not period else "Available"}
        if job.has_pool:
            kept = monotonic() - job.over_since
            before = job.pool.get("ResourceRetainedBillableTimeInSeconds", 0)
            job.pool["ResourceRetainedBillableTimeInSeconds"] = max(before, math.ceil(min(kept, period)))
            if kept >= period:
                job.pool["Status"] = "Terminated"


def matching(job: TrainingJob, jobs: Iterable[TrainingJob]) -> TrainingJob | None:
    """The job whose pool a new job reuses, if any. A managed spot job reuses none."""
    pools = [other for other in jobs if other.has_pool and not job.is_spot]
    matches = [other for other in pools if _key(other) == _key(job)]
    return min(matches, key=lambda other: other.over_since, default=None)


def terminate(jobs: Iterable[TrainingJob]) -> None:
    """Mark the pools Terminated: the instances are gone."""
    for job in jobs:
        if job.pool.get("Status") in ("InUse", "Available"):
            job.pool["Status"] = "Terminated"


def _key(job: TrainingJob) -> list[Any]:
    return [_value(job.request, *path) for path in _MUST_MATCH]


def _value(request: dict[str, Any], first: str, *rest: str) -> Any:
    """An empty value equals an absent one. The order of subnets and groups does not matter."""
    value = request.get(first) or None
    if rest:
        return _value(value or {}, *rest)
    return sorted(value) if isinstance(value, list) else value
