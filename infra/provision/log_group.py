"""The log group that this project itself writes to. SageMaker's own belongs to the whole account: never touched."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.provision.resource import Attributes, Resource, our_tags, tag_list, unless
from infra.provision.statements import TAGGING, Statement, allow

RETENTION_DAYS = 30

_GONE = ("ResourceNotFoundException",)


class LogGroup(Resource):
    """Logs of containers and launchers on laptops, kept for RETENTION_DAYS."""

    kind = "log group"
    service = "logs"
    untagged = "a run with AHX_LOG_GROUP may have made it before, or it may be somebody else's"
    name_format = "/{prefix}/runs"
    arn_format = "arn:{partition}:logs:{region}:{account}:log-group:{name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = ("CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy", *TAGGING)
        return [
            allow("FindLogGroups", ["logs:DescribeLogGroups"], "*"),
            allow("LogGroup", [f"logs:{verb}" for verb in verbs], self.arn, f"{self.arn}:*"),
        ]

    def user_permissions(self) -> list[Statement]:
        return [
            allow("ReadLogs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], self.arn, f"{self.arn}:*"),
            allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{self.arn}:*"),
        ]

    def wanted(self, live: Attributes | None) -> Attributes:
        return {"tags": self.stack_id.tags, "retention in days": RETENTION_DAYS}

    def read(self) -> Attributes | None:
        pages = self.api.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=self.name)
        for group in (group for page in pages for group in page["logGroups"]):
            if group["logGroupName"] == self.name:
                tags = tag_list(self.api.list_tags_for_resource(resourceArn=self.arn)["tags"])
                days = group.get("retentionInDays")  # none: for ever
                return {"tags": our_tags(self.stack_id, tags), "retention in days": days}
        return None

    def create(self, wanted: Attributes) -> Iterable[str]:
        self.api.create_log_group(logGroupName=self.name, tags=wanted["tags"])
        return ["tags"]

    def write(self, attribute: str, value: Any) -> None:
        self.api.put_retention_policy(logGroupName=self.name, retentionInDays=value)

    def write_tags(self, tags: Mapping[str, str]) -> None:
        self.api.tag_resource(resourceArn=self.arn, tags=tags)

    def delete(self) -> None:
        unless(_GONE, self.api.delete_log_group, logGroupName=self.name)
