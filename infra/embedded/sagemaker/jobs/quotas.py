"""Service Quotas for SageMaker: how many instances of a type training jobs may use at once, per region.

A quota bounds the running jobs, including those that are stopping. An increase by RequestServiceQuotaIncrease takes
effect at once; in AWS, support decides on it within days.
"""

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

from moto.core.utils import get_service_model

from ahx.errors import InputError
from infra.embedded.http.protocols import ACCOUNT, AwsError
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.state.ledger import Ledger

DEFAULT = 20
DEFAULT_ACCELERATED = 4  # a new account often has 0: see --quota
DEFAULT_JOBS = 100
_SUFFIX = "for training job usage"
_SPOT = "for spot training job usage"
_TOTAL = "Number of instances across training jobs"
_NAME = "Amazon SageMaker"


class Quotas:
    """The quotas of SageMaker. `given` are values by instance type. Raises InputError for an unknown type."""

    def __init__(self, ledger: Ledger, given: Mapping[str, float]) -> None:
        self._ledger = ledger
        self.changed: dict[str, float] = {}  # quota's name -> value
        self._given: dict[str, float] = {}  # those that the server was started with
        for instance_type, value in given.items():
            try:
                self.set(instance_type, value)
            except KeyError:
                raise InputError(f"--quota: SageMaker trains on no instance type {instance_type!r}") from None

    def set(self, instance_type: str, value: float) -> None:
        """Set both quotas of an instance type, on demand and spot. Raises KeyError for an unknown type."""
        names = [f"{instance_type} {_SUFFIX}", f"{instance_type} {_SPOT}"]
        with self._ledger:
            for name in names:
                if name not in defaults():
                    raise KeyError(instance_type)
                self.changed[name] = self._given[name] = value

    def value(self, name: str) -> float:
        return self.changed.get(name, defaults()[name])

    def check(self, job: TrainingJob, running: Iterable[TrainingJob]) -> None:
        """Raises AwsError (ResourceLimitExceeded) if `job` exceeds a quota beside the `running` jobs of its region."""
        used, needs = self.used(running), _needs(job)
        for name, count in [*needs.items(), (_TOTAL, sum(needs.values()))]:
            limit, busy = self.value(name), used[name] if name != _TOTAL else used.total()
            if busy + count > limit:
                raise AwsError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{name}' is {limit:g} Instances, with current utilization of "
                    f"{busy} Instances and a request delta of {count} Instances. Please use AWS Service Quotas to "
                    "request an increase for this quota. If AWS Service Quotas is not available, contact AWS support "
                    "to request an increase for this quota.",
                )

    def used(self, running: Iterable[TrainingJob]) -> Counter[str]:
        """Instances of the `running` jobs by the name of the quota that counts them."""
        used = Counter[str]()
        for job in running:
            used.update(_needs(job))
        return used

    def forget(self) -> None:
        """Undo all increases."""
        with self._ledger:
            for name in self.changed:
                self._ledger.save("quotas", name, None)
            self.changed = dict(self._given)

    @property
    def operations(self) -> dict[str, Callable[[dict[str, Any], str], dict[str, Any] | None]]:
        """The operations of Service Quotas on ServiceCode "sagemaker"; those of other services are moto's."""
        ours = {
            "ListServiceQuotas": partial(self._list, True),
            "ListAWSDefaultServiceQuotas": partial(self._list, False),
            "GetServiceQuota": partial(self._get, True),
            "GetAWSDefaultServiceQuota": partial(self._get, False),
            "RequestServiceQuotaIncrease": self._increase,
        }
        return {name: partial(_if_sagemaker, operation) for name, operation in ours.items()}

    def _get(self, current: bool, request: dict[str, Any], region: str) -> dict[str, Any]:
        return {"Quota": self._shown(_named(request), region, current)}

    def _list(self, current: bool, request: dict[str, Any], region: str) -> dict[str, Any]:
        names, start = sorted(defaults()), int(request.get("NextToken") or 0)
        if code := request.get("QuotaCode"):
            names = [name for name in names if _code(name) == code]
        stop = start + min(int(request.get("MaxResults") or 100), 100)
        page = {"Quotas": [self._shown(name, region, current) for name in names[start:stop]]}
        return page | ({"NextToken": str(stop)} if stop < len(names) else {})

    def _increase(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        name, desired = _named(request), float(request["DesiredValue"])
        with self._ledger:
            if desired <= self.value(name):
                message = f"The desired value {desired:g} must be greater than the current value {self.value(name):g}."
                raise AwsError("IllegalArgumentException", message)
            self._ledger.save("quotas", name, desired)
            self.changed[name] = desired
        asked = {"Id": uuid.uuid4().hex, "DesiredValue": desired, "Status": "APPROVED", "Created": time.time()}
        return {"RequestedQuota": self._shown(name, region, current=True) | asked}

    def _shown(self, name: str, region: str, current: bool) -> dict[str, Any]:
        return {
            "ServiceCode": "sagemaker",
            "ServiceName": _NAME,
            "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:sagemaker/{_code(name)}",
            "QuotaCode": _code(name),
            "QuotaName": name,
            "Value": self.value(name) if current else defaults()[name],
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def _if_sagemaker(operation: Any, request: dict[str, Any], region: str) -> dict[str, Any] | None:
    answer: dict[str, Any] | None = operation(request, region) if request.get("ServiceCode") == "sagemaker" else None
    return answer


def _named(request: dict[str, Any]) -> str:
    if name := _by_code().get(request.get("QuotaCode", "")):
        return name
    raise AwsError("NoSuchResourceException", "The request failed because the specified quota does not exist.")


def _needs(job: TrainingJob) -> dict[str, int]:
    """Instances by the name of the quota that counts them."""
    suffix = _SPOT if job.is_spot else _SUFFIX
    resources = job.request["ResourceConfig"]
    needs: dict[str, int] = {}
    for group in resources.get("InstanceGroups") or [resources]:
        name = f"{group['InstanceType']} {suffix}"
        needs[name] = needs.get(name, 0) + int(group["InstanceCount"])
    return needs


@cache
def defaults() -> dict[str, float]:
    """The default value of each quota, by its name."""
    values: dict[str, float] = {_TOTAL: DEFAULT_JOBS}
    for kind in get_service_model("sagemaker").shape_for("TrainingInstanceType").enum:
        accelerated = kind.startswith(("ml.p", "ml.g", "ml.trn", "ml.inf"))
        for suffix in (_SUFFIX, _SPOT):
            values[f"{kind} {suffix}"] = DEFAULT_ACCELERATED if accelerated else DEFAULT
    return values


@cache
def _by_code() -> dict[str, str]:
    return {_code(name): name for name in defaults()}


def _code(name: str) -> str:
    """A stable code in AWS's format, but not AWS's own: look quotas up by name."""
    return "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()
