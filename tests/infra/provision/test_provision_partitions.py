"""What is left out where a partition has no such thing, and where the rest is made."""

import pytest

from infra.provision import stack
from infra.provision.alarms import SpendAlarm
from infra.provision.budget import Budget
from infra.provision.dashboard import Dashboard
from infra.provision.resource import Choices
from infra.provision.stack_id import StackId


@pytest.mark.parametrize(
    ("partition", "region", "spend", "budget"),
    [
        ("aws", "eu-west-1", "us-east-1", "us-east-1"),
        ("aws", "us-east-1", "us-east-1", "us-east-1"),
        ("aws-cn", "cn-north-1", None, "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1", None, None),
    ],
)
def test_bills_are_watched_where_there_are_metrics_of_them(partition, region, spend, budget):
    stack_id = StackId("123456789012", region, partition)
    found = {resource.name: resource for resource in stack.resources(stack_id, Choices(budget=1))}
    names = SpendAlarm(stack_id).name, Budget(stack_id).name
    assert [found[name].region if name in found else None for name in names] == [spend, budget]
    assert {resource.arn.split(":")[1] for resource in found.values()} == {partition}
    assert {resource.region for resource in found.values()} <= {region, spend, budget}
    assert ("EstimatedCharges" in str(found[Dashboard(stack_id).name].wanted(None))) == (partition == "aws")
