"""AWS's managed policies (IAM User Guide, "AWS managed policies"), which moto ships but does not load."""

import copy
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from moto.core.responses import BaseResponse
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.iam.responses import IamResponse

_list_policies = IAMBackend.list_policies


def patch() -> None:
    IamResponse.call_action = _call_action_with_policies
    IAMBackend.list_policies = _list_all_policies


def _call_action_with_policies(self: Any) -> Any:
    """Adds a managed policy to moto's state when a request first names it: all 1,582 would be 4 MB of state."""
    for values in (self.querystring or {}).values():
        for value in values:
            if ":iam::aws:policy/" not in str(value) or value in self.backend.managed_policies:
                continue
            if policy := _policies_of_aws(self.current_account, self.region).get(value):
                self.backend.managed_policies[value] = copy.deepcopy(policy)
    return BaseResponse.call_action(self)


@cache
def _policies_of_aws(account: str, region: str) -> dict[str, AWSManagedPolicy]:
    """By ARN."""
    data = json.loads(aws_managed_policies_data)
    made = (AWSManagedPolicy.from_data(name, account, region, fields) for name, fields in data.items())
    return {policy.arn: policy for policy in made}


def _list_all_policies(self: Any, *args: Any, **named: Any) -> tuple[Iterable[Any], str | None]:
    all_policies = copy.copy(self)
    all_policies.managed_policies = _policies_of_aws(self.account_id, self.region_name) | self.managed_policies
    listed: tuple[Iterable[Any], str | None] = _list_policies(all_policies, *args, **named)
    return listed
