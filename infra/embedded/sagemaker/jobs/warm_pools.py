"""Warm pools: the instances of a job that is over, kept for KeepAlivePeriodInSeconds for the next one like it.

Follows "SageMaker AI Managed Warm Pools" of the SageMaker Developer Guide. What a job tells of its pool is brought up
to date when somebody looks; the lock of the jobs is held by whoever calls.
"""

import math
from collections.abc import Iterable
from time import monotonic
from typing import Any

from infra.embedded.sagemaker.jobs.training_job import TrainingJob

# A job gets the pool of another whose instances, role and network are the same.
_ALIKE = (
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


def settle(jobs: Iterable[TrainingJob]) -> None:
    """Bring what jobs tell of their pools up to date."""
    for job in jobs:
        if job.is_over and not job.pool:
            continue
        period = job.keep_alive
        if not job.is_over:
            job.pool = {"Status": "InUse"} if period else {}
        elif job.pool.get("Status") == "InUse":
            # What may have harmed the instances makes no pool of them; a failure of the program does not.
            lost = job.started is None or job.failure_reason.startswith("InternalServerError")
            job.pool = {"Status": "Terminated" if lost or not period else "Available"}
        if job.has_pool:
            kept = monotonic() - job.over_since
            told = job.pool.get("ResourceRetainedBillableTimeInSeconds", 0)
            job.pool["ResourceRetainedBillableTimeInSeconds"] = max(told, math.ceil(min(kept, period)))
            if kept >= period:
                job.pool["Status"] = "Terminated"


def matching(job: TrainingJob, jobs: Iterable[TrainingJob]) -> TrainingJob | None:
    """The job whose pool a new job gets; None where there is none. A managed spot job gets none."""
    alike = _key(job)
    pools = [other for other in jobs if other.has_pool and _key(other) == alike]
    return None if job.is_spot else min(pools, key=lambda other: other.over_since, default=None)


def terminate(jobs: Iterable[TrainingJob]) -> None:
    """The instances have gone."""
    for job in jobs:
        if job.pool.get("Status") in ("InUse", "Available"):
            job.pool["Status"] = "Terminated"


def _key(job: TrainingJob) -> list[Any]:
    return [_value(job.request, *path) for path in _ALIKE]


def _value(request: dict[str, Any], first: str, *rest: str) -> Any:
    """What is absent counts as what asks for nothing. The order of subnets and groups says nothing."""
    value = request.get(first) or None
    if rest:
        return _value(value or {}, *rest)
    return sorted(value) if isinstance(value, list) else value
