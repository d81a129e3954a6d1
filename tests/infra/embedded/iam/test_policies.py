"""IAM's evaluation of policies: as a function, case by case, and through SimulatePrincipalPolicy."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.iam.policy import decide

JOB = "arn:aws:sagemaker:us-east-1:123456789012:training-job/ahx-1"


def allow(action: Any = "*", resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def deny(*args: Any, **condition: Any) -> dict[str, Any]:
    return allow(*args, **condition) | {"Effect": "Deny"}


@pytest.mark.parametrize(
    ("statements", "context", "outcome"),
    [
        ([], {}, "implicitDeny"),
        ([allow("sagemaker:CreateTrainingJob", JOB)], {}, "allowed"),
        ([allow("SageMaker:create*", JOB)], {}, "allowed"),
        ([allow("sagemaker:CreateTrainingJob", f"{JOB[:-1]}?")], {}, "allowed"),
        ([allow("sagemaker:CreateTrainingJob", f"{JOB}[1]")], {}, "implicitDeny"),
        ([allow(["s3:*", "sagemaker:*"]), deny("sagemaker:*", f"{JOB}*")], {}, "explicitDeny"),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], {}, "allowed"),
        ([{"Effect": "Allow", "Action": "*", "NotResource": f"{JOB}*"}], {}, "implicitDeny"),
        ([allow(StringEquals={"aws:k": ["a", "b"]})], {"aws:K": "b"}, "allowed"),
        ([allow(StringEquals={"aws:k": "a"})], {}, "implicitDeny"),
        ([allow(StringEqualsIfExists={"aws:k": "a"})], {}, "allowed"),
        ([allow(StringNotEquals={"aws:k": "a"})], {}, "allowed"),
        ([allow(StringNotEquals={"aws:k": ["a", "b"]})], {"aws:k": "b"}, "implicitDeny"),
        ([allow(StringLike={"aws:k": "a*c"})], {"aws:k": "abc"}, "allowed"),
        ([allow(Null={"aws:k": "true"})], {}, "allowed"),
        ([allow(Null={"aws:k": True})], {"aws:k": "x"}, "implicitDeny"),
        ([allow(Bool={"aws:k": "true"}, NumericLessThan={"aws:n": "3"})], {"aws:k": "true", "aws:n": "2"}, "allowed"),
        (
            [allow(Bool={"aws:k": "true"}, NumericLessThan={"aws:n": "3"})],
            {"aws:k": "true", "aws:n": "3"},
            "implicitDeny",
        ),
        ([allow(ArnLike={"aws:k": "arn:aws:s3:*:*:b*"})], {"aws:k": "arn:aws:s3:::bucket"}, "allowed"),
        ([allow(ArnLike={"aws:k": "arn:aws:*"})], {"aws:k": "arn:aws:s3:::bucket"}, "implicitDeny"),
        ([allow(IpAddress={"aws:SourceIp": "10.0.0.0/8"})], {"aws:SourceIp": "10.1.2.3"}, "allowed"),
        ([allow(NotIpAddress={"aws:SourceIp": "10.0.0.0/8"})], {"aws:SourceIp": "10.1.2.3"}, "implicitDeny"),
        ([allow(DateLessThan={"aws:t": "2030-01-01T00:00:00Z"})], {"aws:t": "2029-12-31T00:00:00Z"}, "allowed"),
        ([allow(**{"ForAllValues:StringEquals": {"aws:k": ["a", "b"]}})], {"aws:k": ["a", "c"]}, "implicitDeny"),
        ([allow(**{"ForAnyValue:StringEquals": {"aws:k": ["a", "b"]}})], {"aws:k": ["a", "c"]}, "allowed"),
        (
            [allow("sagemaker:*", "arn:aws:sagemaker:*:*:training-job/${aws:username}-*")],
            {"aws:username": "ahx"},
            "allowed",
        ),
        ([allow("sagemaker:*", "arn:aws:sagemaker:*:*:training-job/${aws:username}-*")], {}, "implicitDeny"),
        ([allow(StringMatches={"aws:k": "a"})], {"aws:k": "a"}, "implicitDeny"),
    ],
)
def test_decisions(statements: list[dict[str, Any]], context: dict[str, Any], outcome: str) -> None:
    assert decide([{"Statement": statements}], "sagemaker:CreateTrainingJob", JOB, context).outcome == outcome


@pytest.fixture
def user(aws: object, unique: Callable[[str], str]) -> str:
    """A user who may create jobs called ahx-*, pass one role to SageMaker, and read a bucket through a group."""
    iam, name, group = boto3.client("iam"), unique("user"), unique("group")
    arn = str(iam.create_user(UserName=name)["User"]["Arn"])
    passing = allow("iam:PassRole", "arn:aws:iam::123456789012:role/ahx")
    condition = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    jobs = allow("sagemaker:CreateTrainingJob", "arn:aws:sagemaker:*:*:training-job/ahx-*")
    document = {"Version": "2012-10-17", "Statement": [jobs, passing | {"Condition": condition}]}
    policy = iam.create_policy(PolicyName=unique("policy"), PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    iam.create_group(GroupName=group)
    reading = {"Version": "2012-10-17", "Statement": [allow("s3:GetObject", "arn:aws:s3:::data/*")]}
    iam.put_group_policy(GroupName=group, PolicyName="read", PolicyDocument=json.dumps(reading))
    iam.add_user_to_group(GroupName=group, UserName=name)
    return arn


def test_simulation_of_a_user(user: str) -> None:
    iam = boto3.client("iam")

    def simulate(action: str, *resources: str, **context: str) -> dict[str, Any]:
        entries = [
            {"ContextKeyName": key.replace("_", ":"), "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ]
        asked = {"ResourceArns": list(resources)} if resources else {}
        answer = iam.simulate_principal_policy(
            PolicySourceArn=user, ActionNames=[action], ContextEntries=entries, **asked
        )
        assert answer["IsTruncated"] is False
        (result,) = answer["EvaluationResults"]
        return dict(result)

    assert simulate("sagemaker:CreateTrainingJob", JOB)["EvalDecision"] == "allowed"
    assert simulate("sagemaker:CreateTrainingJob")["EvalDecision"] == "implicitDeny"
    both = simulate("sagemaker:CreateTrainingJob", JOB, JOB.replace("ahx", "other"))
    assert both["EvalDecision"] == "implicitDeny"
    assert [one["EvalResourceDecision"] for one in both["ResourceSpecificResults"]] == ["allowed", "implicitDeny"]
    role = "arn:aws:iam::123456789012:role/ahx"
    assert simulate("iam:PassRole", role)["MissingContextValues"] == ["iam:PassedToService"]
    assert simulate("iam:PassRole", role)["EvalDecision"] == "implicitDeny"
    assert simulate("iam:PassRole", role, iam_PassedToService="sagemaker.amazonaws.com")["EvalDecision"] == "allowed"
    assert simulate("iam:PassRole", role, iam_PassedToService="ec2.amazonaws.com")["EvalDecision"] == "implicitDeny"
    assert simulate("s3:GetObject", "arn:aws:s3:::data/x")["EvalDecision"] == "allowed"
    assert simulate("s3:PutObject", "arn:aws:s3:::data/x")["EvalDecision"] == "implicitDeny"


def test_simulation_obeys_boundaries_and_pages(role: str) -> None:
    iam, name = boto3.client("iam"), role.rpartition("/")[2]
    everything = {"Version": "2012-10-17", "Statement": [allow()]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    limit = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:*")]})
    request = {"PolicySourceArn": role, "ActionNames": ["s3:GetObject", "iam:CreateUser", "s3:PutObject"]}
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        **request, PermissionsBoundaryPolicyInputList=[limit], PaginationConfig={"PageSize": 2}
    )
    found = [one["EvalDecision"] for page in pages for one in page["EvaluationResults"]]
    assert found == ["allowed", "implicitDeny", "allowed"]
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.simulate_principal_policy(PolicySourceArn=f"{role}x", ActionNames=["s3:GetObject"])
