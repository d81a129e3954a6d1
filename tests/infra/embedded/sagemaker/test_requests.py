"""What the embedded AWS refuses and lists, in AWS's own words; jobs here run nothing that takes time."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.http.protocols import AwsError, read_json
from infra.embedded.sagemaker.api.listing import seconds
from infra.embedded.server import EmbeddedAws

Make = Callable[..., dict[str, Any]]
When = Callable[..., dict[str, Any]]
Unique = Callable[[str], str]


def refusal(call: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def merged(request: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`request` with `change` in it, nested members included; None removes one."""
    result = dict(request)
    for name, value in change.items():
        if value is None:
            result.pop(name)
        else:
            result[name] = merged(request[name], value) if isinstance(value, dict) and name in request else value
    return result


INVALID = "ValidationException: 1 validation error detected: Value"
NAME_PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
NO_ROLE = (
    "ValidationException: Could not assume role arn:aws:iam::123456789012:role/nobody. Please ensure that the role "
)
SPOT = "ValidationException: Invalid MaxWaitTimeInSeconds. It "
MUST_MATCH = "failed to satisfy constraint: Member must satisfy regular expression pattern:"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"TrainingJobName": "a_b"}, f"{INVALID} 'a_b' at 'trainingJobName' {MUST_MATCH} {NAME_PATTERN}"),
        (
            {"TrainingJobName": "a" * 64},
            f"ValidationException: 2 validation errors detected: Value '{'a' * 64}' at 'trainingJobName' failed to "
            f"satisfy constraint: Member must have length less than or equal to 63; Value '{'a' * 64}' at "
            f"'trainingJobName' {MUST_MATCH} {NAME_PATTERN}",
        ),
        ({"RoleArn": "arn:aws:iam::123456789012:role/nobody"}, NO_ROLE),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.tiny"}},
            f"{INVALID} 'ml.m5.tiny' at 'resourceConfig.instanceType' ",
        ),
        ({"ResourceConfig": {"InstanceCount": 0}}, "ValidationException: Invalid InstanceCount 0."),
        ({"ResourceConfig": {"VolumeSizeInGB": 20_000}}, "ValidationException: Invalid VolumeSizeInGB 20000."),
        ({"ResourceConfig": None}, "ValidationException: ResourceConfig is required."),
        ({"StoppingCondition": None}, "ValidationException: StoppingCondition is required."),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 29 * 86_400}},
            "ValidationException: Invalid MaxRuntimeInSeconds.",
        ),
        (
            {"EnableManagedSpotTraining": True},
            f"{SPOT}must be present and be greater than or equal to MaxRuntimeInSeconds",
        ),
        (
            {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 59}},
            f"{SPOT}must be present and be greater than or equal to MaxRuntimeInSeconds",
        ),
        (
            {"StoppingCondition": {"MaxWaitTimeInSeconds": 90}},
            f"{SPOT}is only supported when EnableManagedSpotTraining is set to true",
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket/x"}},
            'ValidationException: The S3 bucket "no-such-',
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "/x"}},
            f"{INVALID} '/x' at 'outputDataConfig.s3OutputPath' {MUST_MATCH} ",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://no-such-bucket/x"}},
            'ValidationException: The S3 bucket "no-such-bucket" ',
        ),
        ({"HyperParameters": {str(n): "" for n in range(101)}}, INVALID),
        (
            {"HyperParameters": {"a": "x" * 2501}},
            f"{INVALID} '{{a={'x' * 2501}}}' at 'hyperParameters' failed to satisfy",
        ),
        (
            {"Environment": {"1A": ""}},
            f"{INVALID} '{{1A=}}' at 'environment' failed to satisfy constraint: Map key must",
        ),
        (
            {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(["}]}},
            "ValidationException: Invalid metric definition regex 'loss=([' of metric 'loss'",
        ),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Pip"}},
            f"{INVALID} 'Pip' at 'algorithmSpecification.training",
        ),
        (
            {"AlgorithmSpecification": {"TrainingImage": None}},
            "ValidationException: You must specify either TrainingImage",
        ),
    ],
)
def test_what_create_training_job_refuses(job_request: Make, change: dict[str, Any], message: str) -> None:
    client = boto3.client("sagemaker")
    told = refusal(client.create_training_job, **merged(job_request(), change))
    assert told.startswith(message)


def test_inputs_must_be_there_and_in_the_region(job_request: Make, bucket: str, role: str, unique: Unique) -> None:
    def channel(uri: str, **more: Any) -> dict[str, Any]:
        return {"ChannelName": "c", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}} | more

    client = boto3.client("sagemaker")
    request = job_request(InputDataConfig=[channel(f"s3://{bucket}/none/")])
    assert refusal(client.create_training_job, **request) == (
        f'ValidationException: No S3 objects found under S3 URL "s3://{bucket}/none/" given in input data source. '
        "Please ensure that the bucket exists in the selected region (us-east-1), that objects exist under that S3 "
        f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )
    far = unique("far")
    s3 = boto3.client("s3", region_name="eu-west-1")
    s3.create_bucket(Bucket=far, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=far, Key="x")
    request = job_request(InputDataConfig=[channel(f"s3://{far}/")])
    assert f"bucket {far} is in region eu-west-1" in refusal(client.create_training_job, **request)
    request = job_request(InputDataConfig=[channel(f"s3://{far}/", InputMode="Pipe")])
    assert "File and FastFile mode only" in refusal(client.create_training_job, **request)
    twice = [channel(f"s3://{far}/"), channel(f"s3://{far}/")]
    assert "Duplicate channel names" in refusal(client.create_training_job, **job_request(InputDataConfig=twice))


def test_a_role_must_trust_sagemaker_for_this_very_job(job_request: Make, unique: Unique) -> None:
    def trusting(service: str, source: str) -> str:
        condition = {"ArnLike": {"aws:SourceArn": source}, "StringEquals": {"aws:SourceAccount": "123456789012"}}
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        policy = {"Version": "2012-10-17", "Statement": [statement | {"Condition": condition}]}
        made = boto3.client("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    client, jobs = boto3.client("sagemaker"), "arn:aws:sagemaker:us-east-1:123456789012:training-job/"
    request = job_request()
    source = f"{jobs}{request['TrainingJobName']}"
    reasons = {
        trusting("ec2.amazonaws.com", f"{jobs}*"): "Its trust policy allows it to others only.",
        trusting("sagemaker.amazonaws.com", f"{jobs}other-*"): f"In its trust policy ArnLike wants aws:SourceArn to be "
        f"{jobs}other-*, and it is {source}.",
        "arn:aws:iam::123456789012:role/nobody": "There is no such role.",
    }
    for arn, why in reasons.items():
        told = refusal(client.create_training_job, **request | {"RoleArn": arn})
        assert told.endswith(f"allows principal 'sagemaker.amazonaws.com' to assume the role. {why}")
    client.create_training_job(**job_request(RoleArn=trusting("sagemaker.amazonaws.com", f"{jobs}*")))


def test_a_name_can_be_taken_once(job_request: Make) -> None:
    client, request = boto3.client("sagemaker"), job_request()
    arn = client.create_training_job(**request)["TrainingJobArn"]
    assert refusal(client.create_training_job, **request) == (
        "ResourceInUse: Training job names must be unique within an AWS account and region, and a training job with "
        f"this name already exists ({arn})"
    )
    europe = boto3.client("sagemaker", region_name="eu-west-1")
    assert refusal(europe.describe_training_job, TrainingJobName=request["TrainingJobName"]) == (
        "ValidationException: Requested resource not found."
    )


def test_quotas_bound_what_runs_at_once_until_they_are_raised(job_request: Make, when: When) -> None:
    client, quotas = boto3.client("sagemaker"), boto3.client("service-quotas")
    resources = {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 3, "VolumeSizeInGB": 1}
    first = job_request("import time\ntime.sleep(60)", ResourceConfig=resources)
    client.create_training_job(**first)
    second = job_request(ResourceConfig=resources)
    assert refusal(client.create_training_job, **second) == (
        "ResourceLimitExceeded: The account-level service limit 'ml.g4dn.xlarge for training job usage' is 4 "
        "Instances, with current utilization of 3 Instances and a request delta of 3 Instances. Please use AWS Service "
        "Quotas to request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to "
        "request an increase for this quota."
    )
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    found = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    quota = found["ml.g4dn.xlarge for training job usage"]
    asked = {"ServiceCode": "sagemaker", "QuotaCode": quota["QuotaCode"]}
    quotas.request_service_quota_increase(**asked, DesiredValue=6)
    assert quotas.get_service_quota(**asked)["Quota"]["Value"] == 6
    assert quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"] == 4
    client.create_training_job(**second)
    client.stop_training_job(TrainingJobName=first["TrainingJobName"])
    for one in (first, second):
        when(one["TrainingJobName"])
    unknown = {"ServiceCode": "sagemaker", "QuotaCode": "L-00000000"}
    assert refusal(quotas.get_service_quota, **unknown).startswith("NoSuchResourceException: ")


@pytest.fixture
def five(job_request: Make, when: When, unique: Unique) -> list[str]:
    """Five jobs in the order in which they were made; the second and the fourth failed."""
    client, stem = boto3.client("sagemaker"), unique("list")
    names = [f"{stem}-{letter}" for letter in "cabed"]
    for number, name in enumerate(names):
        request = job_request("raise SystemExit(1)" if number % 2 else "print('score=%d;' % len(os.listdir(base)))")
        request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "score", "Regex": "score=([0-9]+);"}]
        tags = [{"Key": "number", "Value": str(number)}]
        hyperparameters = {"lr": str(number / 10)}
        client.create_training_job(
            **request | {"TrainingJobName": name, "Tags": tags, "HyperParameters": hyperparameters}
        )
    for name in names:
        when(name)
    return names


def test_lists_are_sorted_filtered_and_paged(five: list[str]) -> None:
    client, stem = boto3.client("sagemaker"), five[0][:-2]

    def names(**request: Any) -> list[str]:
        pages = client.get_paginator("list_training_jobs").paginate(NameContains=stem, **request)
        return [one["TrainingJobName"] for page in pages for one in page["TrainingJobSummaries"]]

    assert names() == five[::-1]
    assert names(SortOrder="Ascending", PaginationConfig={"PageSize": 2}) == five
    assert names(SortBy="Name") == sorted(five)
    assert names(SortBy="Name", SortOrder="Descending", PaginationConfig={"PageSize": 1}) == sorted(five)[::-1]
    assert names(SortBy="Status", SortOrder="Ascending")[3:] == sorted([five[1], five[3]])
    assert names(StatusEquals="Failed") == [five[3], five[1]]
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert names(CreationTimeAfter=hour_ago, LastModifiedTimeAfter=hour_ago) == five[::-1]
    assert names(CreationTimeBefore=hour_ago) == names(LastModifiedTimeBefore=hour_ago) == []
    page = client.list_training_jobs(NameContains=stem, StatusEquals="Failed", MaxResults=1)
    assert page["TrainingJobSummaries"] == []  # the page is taken first, and filtered then
    assert page["NextToken"]
    assert "Invalid pagination token" in refusal(client.list_training_jobs, NextToken="x")


def test_search_finds_jobs_by_any_property(five: list[str]) -> None:
    client, stem = boto3.client("sagemaker"), five[0][:-2]

    def found(*filters: tuple[str, str, str], **request: Any) -> list[str]:
        listed = [{"Name": name, "Operator": operator, "Value": value} for name, operator, value in filters]
        mine = {"Name": "TrainingJobName", "Operator": "Contains", "Value": stem}
        expression = {"Filters": [mine], "SubExpressions": [{"Filters": listed, "Operator": "And"}]}
        answer = client.search(Resource="TrainingJob", SearchExpression=expression, **request)
        return [record["TrainingJob"]["TrainingJobName"] for record in answer["Results"]]

    assert (
        found(("TrainingJobStatus", "Equals", "Failed"), SortBy="TrainingJobName") == sorted([five[1], five[3]])[::-1]
    )
    assert found(("Tags.number", "Equals", "4")) == [five[4]]
    assert (
        found(("HyperParameters.lr", "GreaterThan", "0.25"), SortBy="CreationTime", SortOrder="Ascending") == five[3:]
    )
    assert found(("ResourceConfig.InstanceType", "In", "ml.m5.large,ml.m4.xlarge"), ("FailureReason", "Exists", "x"))
    assert found(("Metrics.score", "GreaterThanOrEqualTo", "1"), ("Tags.number", "NotEquals", "0"))
    assert found(("CheckpointConfig.S3Uri", "Exists", "x")) == []


def test_tags_of_jobs(job_request: Make) -> None:
    client = boto3.client("sagemaker")
    arn = client.create_training_job(**job_request(Tags=[{"Key": "a", "Value": "1"}]))["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    client.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert "not found" in refusal(client.list_tags, ResourceArn=f"{arn}x")


def test_a_running_job_can_be_updated(job_request: Make, when: When, aws: EmbeddedAws) -> None:
    client, request = boto3.client("sagemaker"), job_request("import time\ntime.sleep(60)")
    name = request["TrainingJobName"]
    client.create_training_job(**request)
    client.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 60})
    described = client.describe_training_job(TrainingJobName=name)
    assert described["ResourceConfig"] == request["ResourceConfig"] | {"KeepAlivePeriodInSeconds": 60}
    assert described["WarmPoolStatus"] == {"Status": "InUse"}
    client.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    client.stop_training_job(TrainingJobName=name)
    when(name)
    assert "is in status Stopped" in refusal(client.update_training_job, TrainingJobName=name)


def test_a_bucket_that_takes_tls_only_works_over_the_embedded_http(bucket: str) -> None:
    s3, arn = boto3.client("s3"), f"arn:aws:s3:::{bucket}"
    without_tls = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    policy = {"Version": "2012-10-17", "Statement": [deny | {"Condition": without_tls}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
    policy["Statement"].append(deny | {"Action": "s3:GetObject", "Resource": f"{arn}/secret/*"})  # type: ignore[attr-defined]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_object(Bucket=bucket, Key="secret/k", Body=b"v")
    with pytest.raises(ClientError, match=r"Forbidden|AccessDenied"):
        s3.get_object(Bucket=bucket, Key="secret/k")


def test_null_is_the_same_as_nothing_and_what_is_no_json_is_said() -> None:
    def read(body: bytes) -> dict[str, Any]:
        return read_json({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})

    assert read(b'{"a": null, "b": [{"c": null, "d": 0}]}') == {"b": [{"d": 0}]}
    for body in (b"{", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 100_000, b"\xff"):
        with pytest.raises(AwsError, match="SerializationException"):
            read(body)
    for value in ("tomorrow", "", 10**400):
        with pytest.raises(AwsError, match="SerializationException"):
            seconds(value)
