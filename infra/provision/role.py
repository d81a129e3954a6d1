"""The role that SageMaker assumes while it runs a job."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from infra.provision import training_jobs
from infra.provision.bucket import Bucket
from infra.provision.repository import Repository
from infra.provision.resource import (
    MLFLOW_TAG,
    NO_MLFLOW,
    Attributes,
    Resource,
    document,
    our_tags,
    tag_list,
    unless,
)
from infra.provision.stack_id import StackId
from infra.provision.statements import Policy, Statement, allow, policy

_GONE = ("NoSuchEntity",)


class Role(Resource):
    """A trust policy, one inline policy, and no others."""

    kind = "role"
    service = "iam"
    name_format = "{prefix}-training-{region}"  # roles belong to all regions of an account
    arn_format = "arn:{partition}:iam::{account}:role/{name}"

    @property
    def policy_name(self) -> str:
        """The name of the inline policy."""
        return f"{self.stack_id.prefix}-training"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = (
            *("CreateRole", "DeleteRole", "GetRole", "TagRole", "UpdateAssumeRolePolicy"),
            *("DeleteRolePolicy", "DetachRolePolicy", "GetRolePolicy", "PutRolePolicy"),
            *("ListAttachedRolePolicies", "ListRolePolicies"),
        )
        return [allow("RoleItself", [f"iam:{verb}" for verb in verbs], self.arn)]

    def user_permissions(self) -> list[Statement]:
        return [
            allow("HandTheRoleToJobs", ["iam:PassRole"], self.arn)
            | {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}}
        ]

    def wanted(self, live: Attributes | None) -> Attributes:
        mlflow = self.chosen(self.choices.mlflow, MLFLOW_TAG, live)
        return {
            "tags": self.stack_id.tags | ({MLFLOW_TAG: mlflow} if mlflow else {}),
            "trust": document(trust(self.stack_id)),
            "policy": document(permissions(self.stack_id, mlflow or NO_MLFLOW)),
            "other inline policies": [],
            "attached policies": [],
        }

    def read(self) -> Attributes | None:
        found = unless(_GONE, self.api.get_role, **self._role)
        if found is None:
            return None
        inline = self._inline()
        ours = self.policy_name
        policy = self.api.get_role_policy(**self._role, PolicyName=ours)["PolicyDocument"] if ours in inline else None
        return {
            "tags": our_tags(self.stack_id, found["Role"].get("Tags", [])),
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
        if attribute == "trust":
            self.api.update_assume_role_policy(**self._role, PolicyDocument=json.dumps(value))
        elif attribute == "policy":
            self.api.put_role_policy(**self._role, PolicyName=self.policy_name, PolicyDocument=json.dumps(value))
        elif attribute == "other inline policies":
            self._drop_inline(keep=self.policy_name)
        elif attribute == "attached policies":
            self._detach()

    def write_tags(self, tags: Mapping[str, str]) -> None:
        self.api.tag_role(**self._role, Tags=tag_list(tags))

    def delete(self) -> None:
        """IAM deletes a role only when it has no policies."""
        if unless(_GONE, self.api.get_role, **self._role) is None:
            return
        self._detach()
        self._drop_inline()
        unless(_GONE, self.api.delete_role, **self._role)

    def may_track(self, mlflow: str) -> bool | None:
        """Whether the role has the permissions for a managed MLflow; None where the caller may not read them."""
        try:
            found = self.api.get_role_policy(**self._role, PolicyName=self.policy_name)
        except self.api.exceptions.NoSuchEntityException:
            return False
        except self.api.exceptions.ClientError:
            return None
        has = document(found["PolicyDocument"])["Statement"]
        return all(document(one) in has for one in tracking(mlflow))

    @property
    def _role(self) -> dict[str, str]:
        return {"RoleName": self.name}

    def _inline(self) -> list[str]:
        pages = self.api.get_paginator("list_role_policies").paginate(**self._role)
        return sorted(name for page in pages for name in page["PolicyNames"])

    def _attached(self) -> list[str]:
        pages = self.api.get_paginator("list_attached_role_policies").paginate(**self._role)
        return sorted(policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"])

    def _drop_inline(self, keep: str | None = None) -> None:
        for name in self._inline():
            if name != keep:
                unless(_GONE, self.api.delete_role_policy, **self._role, PolicyName=name)

    def _detach(self) -> None:
        for arn in self._attached():
            unless(_GONE, self.api.detach_role_policy, **self._role, PolicyArn=arn)


def trust(stack_id: StackId) -> Policy:
    """Who may assume the role: SageMaker, on behalf of this account and region only.

    Without the conditions, SageMaker could be asked from another account to use the role. They are AWS's own example
    (https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html). The users' policies say
    who may start jobs under which names; the SDKs choose names of their own.
    """
    return policy(
        {
            "Sid": "SageMakerForThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": stack_id.account},
                "ArnLike": {"aws:SourceArn": stack_id.arn("sagemaker", "*")},
            },
        }
    )


def permissions(stack_id: StackId, mlflow: str = NO_MLFLOW) -> Policy:
    """What a training job may do: what SageMaker does with the role, and no more than its documentation requires.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
    names the actions; here they are limited to this project's bucket, image, log groups and metrics.
    """
    return policy(
        *Bucket(stack_id).job_permissions(),
        *Repository(stack_id).job_permissions(),
        *training_jobs.job_permissions(stack_id),
        *(tracking(mlflow) if mlflow != NO_MLFLOW else ()),
    )


def tracking(mlflow: str) -> list[Statement]:
    """To create runs in a managed MLflow, to continue them, and to add evaluations.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerwithmlflow.html
    """
    runs = ("CreateRun", "GetMetricHistory", "GetRun", "LogBatch", "UpdateRun")
    actions = [f"sagemaker-mlflow:{verb}" for verb in ("CreateExperiment", "GetExperimentByName", *runs)]
    if ":mlflow-app/" in mlflow:  # calls to an app need this one as well
        actions.append("sagemaker:CallMlflowAppApi")
    return [allow("TrackWithMLflow", actions, mlflow)]
