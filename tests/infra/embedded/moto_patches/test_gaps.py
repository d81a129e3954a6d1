"""What moto leaves out or ignores, and users of usual clients meet."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

Unique = Callable[[str], str]
FULL = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


@pytest.fixture
def iam(aws: Any) -> Any:
    return boto3.client("iam")


def test_policies_of_aws_are_there(iam: Any, unique: Unique) -> None:
    trust = {"Version": "2012-10-17", "Statement": []}
    role, user = unique("role"), unique("user")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust), PermissionsBoundary=READ)
    iam.create_user(UserName=user)
    iam.attach_role_policy(RoleName=role, PolicyArn=FULL)
    iam.attach_user_policy(UserName=user, PolicyArn=FULL)
    held = iam.list_entities_for_policy(PolicyArn=FULL)
    assert role in [one["RoleName"] for one in held["PolicyRoles"]]
    version = iam.get_policy(PolicyArn=READ)["Policy"]["DefaultVersionId"]
    assert "s3:Get*" in str(iam.get_policy_version(PolicyArn=READ, VersionId=version)["PolicyVersion"])
    asked = {"PolicySourceArn": f"arn:aws:iam::123456789012:user/{user}", "ActionNames": ["sagemaker:AddTags"]}
    assert iam.simulate_principal_policy(**asked)["EvaluationResults"][0]["EvalDecision"] == "allowed"
    with pytest.raises(iam.exceptions.NoSuchEntityException, match="does not exist or is not attachable"):
        iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")


def test_policies_of_aws_are_listed_apart_from_ones_own(iam: Any, unique: Unique) -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    own = iam.create_policy(PolicyName=unique("own"), PolicyDocument=json.dumps(document))["Policy"]["Arn"]

    def listed(scope: str) -> set[str]:
        pages = iam.get_paginator("list_policies").paginate(Scope=scope)
        return {policy["Arn"] for page in pages for policy in page["Policies"]}

    assert FULL in listed("AWS")
    assert own not in listed("AWS")
    assert own in listed("Local")
    assert FULL not in listed("Local")


def test_log_events_are_filtered_by_stream(aws: Any, unique: Unique) -> None:
    logs, group = boto3.client("logs"), unique("group")
    logs.create_log_group(logGroupName=group)
    for stream in ("a/1", "a/2", "b/1"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        logs.put_log_events(
            logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": 1_795_866_098_000, "message": stream}]
        )
    arn = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]

    def found(**more: Any) -> list[str]:
        return sorted(event["message"] for event in logs.filter_log_events(**more)["events"])

    assert found(logGroupName=group, logStreamNamePrefix="a/") == ["a/1", "a/2"]
    assert found(logGroupIdentifier=arn, logStreamNamePrefix="b") == ["b/1"]
    assert found(logGroupName=group, logStreamNamePrefix="c") == []
    assert len(found(logGroupName=group)) == 3
    with pytest.raises(logs.exceptions.InvalidParameterException, match=r"Value at 'logGroupIdentifier' failed"):
        found(logGroupIdentifier=f"{arn}:*")
    with pytest.raises(logs.exceptions.InvalidParameterException):
        found(logGroupName=group, logStreamNamePrefix="a", logStreamNames=["a/1"])
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        found(logGroupName=unique("none"), logStreamNamePrefix="a")


def test_objects_of_a_bucket_without_versions_have_the_version_null(aws: Any, bucket: str) -> None:
    s3, place = boto3.client("s3"), {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    tag = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    assert "VersionId" not in s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)
    assert s3.head_object(**place, VersionId="null")["ContentLength"] == 1
    assert s3.get_object(**place, VersionId="null")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="400"):
        s3.head_object(**place, VersionId="v")


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sagemaker", "list_algorithms"),
        ("sts", "decode_authorization_message"),
        ("logs", "list_log_groups"),
        ("pricing", "describe_services"),
    ],
)
def test_what_is_not_there_is_said_once(aws: Any, service: str, operation: str) -> None:
    request = {"EncodedMessage": "x"} if service == "sts" else {}
    with pytest.raises(ClientError) as refused:
        getattr(boto3.client(service), operation)(**request)
    name = "".join(word.title() for word in operation.split("_"))
    said = f"(NotImplemented) when calling the {name} operation: The embedded AWS has no {service} {name}."
    assert said in str(refused.value)
    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0
