"""Teaches moto what usual clients ask for and it ignores, as the services document it.

AWS's managed policies (IAM User Guide "AWS managed policies"), which moto has but does not load; prefixes of streams
and identifiers of log groups (API_FilterLogEvents); the version "null" of objects without versions (S3 User Guide
"Using versioning in S3 buckets"), and no version from CompleteMultipartUpload where a bucket has none.
"""

import copy
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from moto.core.responses import BaseResponse
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.iam.responses import IamResponse
from moto.logs.exceptions import InvalidParameterException
from moto.logs.responses import LogsResponse
from moto.s3.responses import S3Response

_IDENTIFIER = re.compile(r"[\w#+=/:,.@-]*")

_list_policies = IAMBackend.list_policies
_filter_log_events = LogsResponse.filter_log_events
_head_object, _post_object = S3Response.head_object, S3Response._key_response_post


def fill_gaps() -> None:
    """Teach moto, in this process. A second call does nothing more."""
    IamResponse.call_action = _call_action_with_policies
    IAMBackend.list_policies = _list_all_policies
    LogsResponse.filter_log_events = _filter_by_group_and_prefix
    S3Response.head_object = _head_null_version
    S3Response._key_response_post = _post_without_version


def _call_action_with_policies(self: Any) -> Any:
    """One of AWS's policies is put among moto's when a request first names it: all 1,582 would be 4 MB of state."""
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
    made = (AWSManagedPolicy.from_data(name, account, region, told) for name, told in data.items())
    return {policy.arn: policy for policy in made}


def _list_all_policies(self: Any, *args: Any, **named: Any) -> tuple[Iterable[Any], str | None]:
    everything = copy.copy(self)
    everything.managed_policies = _policies_of_aws(self.account_id, self.region_name) | self.managed_policies
    listed: tuple[Iterable[Any], str | None] = _list_policies(everything, *args, **named)
    return listed


def _filter_by_group_and_prefix(self: Any) -> str:
    given = json.loads(self.body)
    identifier, prefix = given.get("logGroupIdentifier"), given.get("logStreamNamePrefix")
    if identifier and not _IDENTIFIER.fullmatch(identifier):
        raise InvalidParameterException(
            "1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: Member must "
            f"satisfy regular expression pattern: {_IDENTIFIER.pattern}"
        )
    if identifier and given.get("logGroupName"):
        raise InvalidParameterException("logGroupName and logGroupIdentifier cannot both be given")
    if identifier:
        given["logGroupName"] = identifier.rpartition(":")[2]
    if prefix is not None:
        if given.get("logStreamNames"):
            raise InvalidParameterException("logStreamNames and logStreamNamePrefix cannot both be given")
        group = self.logs_backend.groups.get(given.get("logGroupName"))
        names = [name for name in group.streams if name.startswith(prefix)] if group else []
        given["logStreamNames"] = names or [""]  # no names would mean all
    self.body = json.dumps(given)
    return str(_filter_log_events(self))


def _head_null_version(self: Any, bucket_name: str, query: dict[str, Any], *more: Any, **named: Any) -> Any:
    if query.get("versionId") == ["null"] and not self.backend.get_bucket(bucket_name).is_versioned:
        query = {name: values for name, values in query.items() if name != "versionId"}
    return _head_object(self, bucket_name, query, *more, **named)


def _post_without_version(self: Any, *args: Any, **named: Any) -> Any:
    status, headers, body = _post_object(self, *args, **named)
    if headers.get("x-amz-version-id") == "null":
        del headers["x-amz-version-id"]
    return status, headers, body
