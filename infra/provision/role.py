"""The role that SageMaker takes while it runs a job."""

import json
from collections.abc import Iterable
from typing import Any

from infra import aws_clients
from infra.provision import policies
from infra.provision.resource import Attributes, Resource, document, our_tags, tag_list

_GONE = ("NoSuchEntity",)


class Role(Resource):
    """Who may take it (its trust), one inline policy, and nothing beside that."""

    kind = "role"
    service = "iam"

    @property
    def arn(self) -> str:
        return self.names.role_arn

    def wanted(self, live: Attributes | None) -> Attributes:
        return {
            "tags": self.names.tags,
            "trust": document(policies.trust(self.names)),
            "policy": document(policies.training(self.names)),
            "other inline policies": [],
            "attached policies": [],
        }

    def read(self) -> Attributes | None:
        found = aws_clients.unless(_GONE, self.api.get_role, **self._role)
        if found is None:
            return None
        inline = self._inline()
        ours = self.names.role_policy
        policy = self.api.get_role_policy(**self._role, PolicyName=ours)["PolicyDocument"] if ours in inline else None
        return {
            "tags": our_tags(self.names, found["Role"].get("Tags", [])),
            "trust": document(found["Role"]["AssumeRolePolicyDocument"]),
            "policy": policy and document(policy),
            "other inline policies": [name for name in inline if name != ours],
            "attached policies": self._attached(),
        }

    def create(self, wanted: Attributes) -> Iterable[str]:
        self.api.create_role(
            **self._role,
            AssumeRolePolicyDocument=json.dumps(wanted["trust"]),
            Description="What SageMaker may do while it trains for ahx-transformer",
            Tags=tag_list(wanted["tags"]),
        )
        return ["tags", "trust", "other inline policies", "attached policies"]

    def write(self, attribute: str, value: Any) -> None:
        if attribute == "tags":
            self.api.tag_role(**self._role, Tags=tag_list(value))
        elif attribute == "trust":
            self.api.update_assume_role_policy(**self._role, PolicyDocument=json.dumps(value))
        elif attribute == "policy":
            self.api.put_role_policy(**self._role, PolicyName=self.names.role_policy, PolicyDocument=json.dumps(value))
        elif attribute == "other inline policies":
            self._drop_inline(keep=self.names.role_policy)
        elif attribute == "attached policies":
            self._detach()

    def delete(self) -> None:
        """IAM deletes a role only when it has no policies."""
        if aws_clients.unless(_GONE, self.api.get_role, **self._role) is None:
            return
        self._detach()
        self._drop_inline()
        aws_clients.unless(_GONE, self.api.delete_role, **self._role)

    @property
    def _role(self) -> dict[str, str]:
        return {"RoleName": self.names.role}

    def _inline(self) -> list[str]:
        pages = self.api.get_paginator("list_role_policies").paginate(**self._role)
        return sorted(name for page in pages for name in page["PolicyNames"])

    def _attached(self) -> list[str]:
        pages = self.api.get_paginator("list_attached_role_policies").paginate(**self._role)
        return sorted(policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"])

    def _drop_inline(self, keep: str | None = None) -> None:
        for name in self._inline():
            if name != keep:
                aws_clients.unless(_GONE, self.api.delete_role_policy, **self._role, PolicyName=name)

    def _detach(self) -> None:
        for arn in self._attached():
            aws_clients.unless(_GONE, self.api.detach_role_policy, **self._role, PolicyArn=arn)
