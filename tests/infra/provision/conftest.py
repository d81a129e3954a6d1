"""An AWS on this machine, emptied for each test, over real HTTP."""

from collections.abc import Callable, Iterator
from typing import Any

import aws_here
import boto3
import pytest

from infra.provision import stack
from infra.provision.resource import Choices, Resource
from infra.provision.stack_id import StackId

ACCOUNT, REGION, EMAIL = "123456789012", aws_here.REGION, "me@example.org"


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with aws_here.serving() as address:
        yield address


@pytest.fixture
def aws(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """boto3 clients of an AWS with nothing in it; the environment leads everybody else to the same."""
    aws_here.empty(address)
    for name, value in aws_here.settings(address).items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(region_name=REGION)
    return lambda service, region=REGION: session.client(service, region_name=region)


@pytest.fixture
def stack_id() -> StackId:
    return StackId(ACCOUNT, REGION)


@pytest.fixture
def everything(aws: Any, stack_id: StackId) -> list[Resource]:
    """All resources there can be, none of them made yet."""
    return stack.resources(stack_id, Choices(spend=70, budget=50, email=EMAIL))


@pytest.fixture
def apply() -> Callable[..., int]:
    """Plans, then applies, as the command does; returns the number of writes."""

    def plan_and_apply(found: list[Resource], adopt: bool = False) -> int:
        plans = [stack.plan(resource, adopt) for resource in found]
        return sum(stack.apply(plan, lambda step: None) for plan in plans if plan)

    return plan_and_apply


@pytest.fixture
def todo() -> Callable[[list[Resource]], list[str]]:
    """What a plan would do: "bucket: policy"."""

    def differences(found: list[Resource]) -> list[str]:
        plans = [stack.plan(resource) for resource in found]
        return [f"{plan.resource.title}: {one.attribute}" for plan in plans if plan for one in plan.todo]

    return differences
