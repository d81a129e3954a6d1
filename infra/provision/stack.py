"""All resources together: plan, apply, destroy.

Each step is one call of AWS, after which another run can continue, so a run may be killed anywhere.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ahx.errors import ServiceError
from infra import aws_clients
from infra.provision.alarms import FailedJobsAlarm, FailedJobsRule, SpendAlarm
from infra.provision.bucket import Bucket
from infra.provision.budget import Budget
from infra.provision.dashboard import Dashboard
from infra.provision.log_group import LogGroup
from infra.provision.repository import Repository
from infra.provision.resource import Attributes, Choices, Resource
from infra.provision.role import Role
from infra.provision.stack_id import BILLING_REGION, OWNER_TAG, StackId
from infra.provision.topic import Topic
from infra.provision.training_jobs import name_prefix

Action = Literal["create", "change", "in place"]

# A resource just created is not known everywhere in AWS for some seconds.
_NOT_YET = ("NoSuchBucket", "NoSuchEntity", "OperationAborted", "RepositoryNotFoundException")
_PAUSES = (0.5, 1, 2, 4, 8)  # seconds


@dataclass(frozen=True)
class Difference:
    """One attribute: its value in AWS, and the one wanted."""

    attribute: str
    live: Any
    wanted: Any
    action: Action


@dataclass(frozen=True)
class Plan:
    """One resource, and all its attributes."""

    resource: Resource
    differences: list[Difference]
    action: Action

    @property
    def todo(self) -> list[Difference]:
        return [difference for difference in self.differences if difference.action != "in place"]


def resources(stack_id: StackId, choices: Choices) -> list[Resource]:
    """Everything there is or may be, in the order in which it is made."""
    kinds = (Bucket, Role, Repository, LogGroup, FailedJobsRule, Topic, FailedJobsAlarm)
    found: list[Resource] = [kind(stack_id, choices) for kind in kinds]
    in_aws = stack_id.partition == "aws"
    if in_aws:  # the other partitions publish no metric of what is spent
        if stack_id.region != BILLING_REGION:
            found.append(Topic(stack_id, choices, BILLING_REGION))
        found.append(SpendAlarm(stack_id, choices, BILLING_REGION))
    found.append(Dashboard(stack_id, choices))
    if stack_id.partition != "aws-us-gov":  # which has no budgets
        found.append(Budget(stack_id, choices, BILLING_REGION if in_aws else None))
    return found


def plan(resource: Resource, adopt: bool = False) -> Plan | None:
    """Compare one resource with what is wanted. None: it neither exists nor is wanted.

    Raises ServiceError for one of that name which does not carry our tag, unless it is to be adopted.
    """
    with aws_clients.sentences(f"read the {resource.title}"):
        live = resource.read()
        wanted = resource.wanted(live)
    if wanted is None:
        return None
    if live is not None and not resource.owned(live) and not adopt:
        raise ServiceError(
            f"the {resource.title} is there already without the tag {OWNER_TAG}={resource.stack_id.prefix},"
            f" so {resource.untagged}; take it over with --adopt, or choose another --prefix"
        )
    differences = [
        Difference(name, live and live.get(name), value, _action(live, name, value)) for name, value in wanted.items()
    ]
    whole: Action = "create" if live is None else "change"
    todo = any(difference.action != "in place" for difference in differences)
    return Plan(resource, differences, whole if todo else "in place")


def apply(planned: Plan, on_step: Callable[[str], None]) -> int:
    """Do what the plan of one resource says. Returns the number of writing calls; `on_step` is called before each."""
    resource, todo = planned.resource, planned.todo
    writes = 0
    if planned.action == "create":
        on_step(f"create {resource.title}")
        with aws_clients.sentences(f"create the {resource.title}"):
            done = set(resource.create({one.attribute: one.wanted for one in planned.differences}))
        todo = [one for one in todo if one.attribute not in done]
        writes += 1
    for one in todo:
        on_step(f"set {one.attribute} of {resource.title}")
        with aws_clients.sentences(f"set {one.attribute} of the {resource.title}"):
            _write_patiently(resource, one)
        writes += 1
    return writes


def present(found: Iterable[Resource]) -> Iterator[tuple[Resource, bool]]:
    """The resources that exist, and whether they carry our tag."""
    for resource in found:
        with aws_clients.sentences(f"read the {resource.title}"):
            live = resource.read()
        if live is not None:
            yield resource, resource.owned(live)


def running(stack_id: StackId) -> list[str]:
    """Our jobs that have not ended: without the role and the bucket they would fail, and lose their models."""
    prefix = name_prefix(stack_id)
    sagemaker = aws_clients.client("sagemaker", stack_id.region)
    with aws_clients.sentences("look for jobs that run"):
        found = [
            job["TrainingJobName"]
            for status in ("InProgress", "Stopping")
            for page in sagemaker.get_paginator("list_training_jobs").paginate(NameContains=prefix, StatusEquals=status)
            for job in page["TrainingJobSummaries"]
        ]
    return sorted(name for name in found if name.startswith(prefix))


def contents(resource: Resource) -> str | None:
    """What would be lost if the resource were deleted, in words."""
    with aws_clients.sentences(f"look into the {resource.title}"):
        return resource.contents()


def destroy(resource: Resource) -> None:
    """Delete one resource with its contents."""
    with aws_clients.sentences(f"delete the {resource.title}"):
        resource.delete()


def _action(live: Attributes | None, name: str, wanted: Any) -> Action:
    if live is None:
        return "create"
    has = live.get(name)
    same = wanted.items() <= (has or {}).items() if name == "tags" else wanted == has
    return "in place" if same else "change"


def _write_patiently(resource: Resource, one: Difference) -> None:
    for pause in (*_PAUSES, None):
        try:
            if one.attribute == "tags":
                resource.write_tags(one.wanted)
            else:
                resource.write(one.attribute, one.wanted)
            return
        except aws_clients.exceptions.ClientError as error:
            if pause is None or aws_clients.code(error) not in _NOT_YET:
                raise
        time.sleep(pause)
