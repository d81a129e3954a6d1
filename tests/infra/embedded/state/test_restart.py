"""State that survives a restart, also after a kill under load."""

import hashlib
import json
import signal
import stat
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_process import ACCOUNT, JOB, ROLE, TRUST, AwsProcess, described, quota_code, serving, without_request
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

ALLOWED = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:topic"
BUDGET = {"BudgetName": "b", "BudgetLimit": {"Amount": "5", "Unit": "USD"}, "TimeUnit": "MONTHLY", "BudgetType": "COST"}
ALARM = {
    "AlarmName": "a",
    "MetricName": "m",
    "Namespace": "n",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
TUNING = {
    "HyperParameterTuningJobName": "tuning",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]},
    },
    "TrainingJobDefinition": {name: value for name, value in JOB.items() if name != "TrainingJobName"},
}


def fill(aws: AwsProcess) -> dict[str, str]:
    """Something of every service that this project uses, and of some more; what only the answers name."""
    s3, told = aws("s3"), {}
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new" * 100_000):
        s3.put_object(Bucket="kept", Key="a/é+ k", Body=body, Metadata={"m": "1"}, Tagging="t=1")
    s3.put_object(Bucket="kept", Key="gone", Body=b"")
    s3.delete_object(Bucket="kept", Key="gone")
    s3.copy_object(Bucket="kept", Key="copy", CopySource="kept/a/é+ k")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::kept/*"}
    s3.put_bucket_policy(Bucket="kept", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_bucket_tagging(Bucket="kept", Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
    upload = told["upload"] = s3.create_multipart_upload(Bucket="kept", Key="parts")["UploadId"]
    part = {"Bucket": "kept", "Key": "parts", "UploadId": upload, "PartNumber": 1}
    told["part"] = s3.upload_part(**part, Body=b"p" * (5 << 20))["ETag"]
    aws("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "t", "Value": "1"}])
    aws("iam").put_role_policy(RoleName="trainer", PolicyName="p", PolicyDocument=ALLOWED)
    aws("ecr").create_repository(repositoryName="images")
    aws("ecr").put_image(repositoryName="images", imageTag="v1", imageManifest=json.dumps(MANIFEST))
    aws("logs").create_log_group(logGroupName="/g")
    aws("logs").create_log_stream(logGroupName="/g", logStreamName="s")
    events = [{"timestamp": int(time.time() * 1000), "message": "é"}]
    aws("logs").put_log_events(logGroupName="/g", logStreamName="s", logEvents=events)
    aws("logs").put_retention_policy(logGroupName="/g", retentionInDays=7)
    aws("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 2.0}])
    aws("cloudwatch").put_metric_alarm(**ALARM)
    aws("cloudwatch").put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}')
    aws("sns").create_topic(Name="topic")
    aws("sns").subscribe(TopicArn=TOPIC, Protocol="email", Endpoint="a@example.com")
    aws("budgets").create_budget(AccountId=ACCOUNT, Budget=BUDGET)
    aws("events").put_rule(Name="r", EventPattern='{"source": ["aws.sagemaker"]}')
    aws("events").put_targets(Rule="r", Targets=[{"Id": "1", "Arn": TOPIC}])
    aws("sts").assume_role(RoleArn=ROLE, RoleSessionName="session")
    for name, more in (("key", {}), ("rsa", {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"})):
        told[name] = aws("kms").create_key(**more)["KeyMetadata"]["KeyId"]
    aws("kms").create_alias(AliasName="alias/a", TargetKeyId=told["key"])
    told["secret"] = aws("kms").encrypt(KeyId="alias/a", Plaintext=b"plain")["CiphertextBlob"]
    aws("ssm").put_parameter(Name="/p", Value="v", Type="SecureString", Tags=[{"Key": "t", "Value": "1"}])
    aws("secretsmanager").create_secret(Name="s", SecretString="hidden")
    quota = {"ServiceCode": "sagemaker", "QuotaCode": quota_code(aws)}
    aws("service-quotas").request_service_quota_increase(**quota, DesiredValue=30)
    aws("sqs").create_queue(QueueName="q")
    aws("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    network = aws("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]  # made by reading
    aws("ec2").create_subnet(VpcId=network, CidrBlock="172.31.200.0/24")
    aws("ec2").create_key_pair(KeyName="pair")
    aws("acm").request_certificate(DomainName="example.com")
    aws("sagemaker").create_training_job(**JOB)
    aws("sagemaker").add_tags(ResourceArn=described(aws)["TrainingJobArn"], Tags=[{"Key": "t", "Value": "1"}])
    aws("sagemaker").create_training_job(**JOB | {"TrainingJobName": "deleted"})
    aws("sagemaker").delete_training_job(TrainingJobName="deleted")
    aws("sagemaker").create_hyper_parameter_tuning_job(**TUNING)
    until(lambda: _tuning(aws)["HyperParameterTuningJobStatus"] == "Completed")
    return told


def facts(aws: AwsProcess, told: dict[str, str]) -> dict[str, Any]:
    """All of that, as it is told."""
    s3, sagemaker = aws("s3"), aws("sagemaker")
    asked: dict[str, Callable[[], Any]] = {
        "versions": lambda: s3.list_object_versions(Bucket="kept"),
        "old and new": lambda: [
            s3.get_object(Bucket="kept", Key="a/é+ k", VersionId=one["VersionId"])["Body"].read()
            for one in s3.list_object_versions(Bucket="kept", Prefix="a/")["Versions"]
        ],
        "object": lambda: s3.head_object(Bucket="kept", Key="a/é+ k"),
        "tags": lambda: s3.get_object_tagging(Bucket="kept", Key="a/é+ k")["TagSet"],
        "copy": lambda: s3.get_object(Bucket="kept", Key="copy")["Body"].read(),
        "bucket": lambda: s3.list_buckets()["Buckets"],
        "policy": lambda: s3.get_bucket_policy(Bucket="kept")["Policy"],
        "bucket's tags": lambda: s3.get_bucket_tagging(Bucket="kept")["TagSet"],
        "parts": lambda: s3.list_parts(Bucket="kept", Key="parts", UploadId=told["upload"])["Parts"],
        "role": lambda: aws("iam").get_role(RoleName="trainer")["Role"],
        "role's policy": lambda: aws("iam").get_role_policy(RoleName="trainer", PolicyName="p"),
        "images": lambda: aws("ecr").describe_images(repositoryName="images")["imageDetails"],
        "logs": lambda: aws("logs").get_log_events(logGroupName="/g", logStreamName="s")["events"],
        "groups": lambda: aws("logs").describe_log_groups()["logGroups"],
        "metrics": lambda: aws("cloudwatch").list_metrics(Namespace="n")["Metrics"],
        "alarms": lambda: aws("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboard": lambda: aws("cloudwatch").get_dashboard(DashboardName="d")["DashboardBody"],
        "subscriptions": lambda: aws("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"],
        "budget": lambda: aws("budgets").describe_budget(AccountId=ACCOUNT, BudgetName="b")["Budget"],
        "targets": lambda: aws("events").list_targets_by_rule(Rule="r")["Targets"],
        "keys": lambda: [aws("kms").describe_key(KeyId=told[key])["KeyMetadata"] for key in ("key", "rsa")],
        "public key": lambda: aws("kms").get_public_key(KeyId=told["rsa"])["PublicKey"],
        "plain": lambda: aws("kms").decrypt(CiphertextBlob=told["secret"])["Plaintext"],
        "parameter": lambda: aws("ssm").get_parameter(Name="/p", WithDecryption=True)["Parameter"],
        "secret": lambda: aws("secretsmanager").get_secret_value(SecretId="s")["SecretString"],
        "secret's": lambda: aws("secretsmanager").list_secrets()["SecretList"][0]["ARN"],
        "quota": lambda: aws("service-quotas").get_service_quota(ServiceCode="sagemaker", QuotaCode=quota_code(aws)),
        "queue": lambda: aws("sqs").get_queue_attributes(
            QueueUrl=f"{aws.endpoint}/{ACCOUNT}/q", AttributeNames=["All"]
        ),
        "table": lambda: aws("dynamodb").describe_table(TableName="t")["Table"],
        "subnets": lambda: sorted(one["SubnetId"] for one in aws("ec2").describe_subnets()["Subnets"]),
        "pair": lambda: aws("ec2").describe_key_pairs()["KeyPairs"],
        "certificate": lambda: [
            one["CertificateArn"] for one in aws("acm").list_certificates()["CertificateSummaryList"]
        ],
        "job": lambda: described(aws),
        "job's tags": lambda: sagemaker.list_tags(ResourceArn=described(aws)["TrainingJobArn"])["Tags"],
        "jobs": lambda: sagemaker.list_training_jobs()["TrainingJobSummaries"],
        "tuning": lambda: _tuning(aws),
    }
    return {name: without_request(ask()) for name, ask in asked.items()}


def _tuning(aws: AwsProcess) -> dict[str, Any]:
    told: dict[str, Any] = aws("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tuning")
    return told


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_everything_survives_a_kill_and_a_stop_as_it_was(tmp_path: Path) -> None:
    options = ("--instant", "--state", str(tmp_path / "state"))
    with serving(*options) as aws:
        told = fill(aws)
        before = facts(aws, told)
        aws.end(signal.SIGKILL)
    with serving(*options) as aws:  # from the journal
        assert facts(aws, told) == before
        assert aws.end(signal.SIGKILL) == ""
    with serving(*options) as aws:  # from a snapshot
        assert facts(aws, told) == before
        assert aws.end(signal.SIGTERM) == ""
    with serving(*options) as aws:
        assert facts(aws, told) == before
        parts = {"Parts": [{"PartNumber": 1, "ETag": told["part"]}]}
        aws("s3").complete_multipart_upload(Bucket="kept", Key="parts", UploadId=told["upload"], MultipartUpload=parts)
        assert aws("s3").head_object(Bucket="kept", Key="parts")["ContentLength"] == 5 << 20
    assert {
        stat.S_IMODE(one.stat().st_mode) & 0o077 for one in [tmp_path / "state", *tmp_path.rglob("state/**/*")]
    } == {0}


@pytest.mark.parametrize("options", [(), ("--durable",)])
def test_what_was_answered_before_a_kill_under_load_is_there(tmp_path: Path, options: tuple[str, ...]) -> None:
    options = ("--instant", "--quota", "ml.m5.large=100", "--state", str(tmp_path / "state"), *options)
    acknowledged: dict[str, list[str]] = {"object": [], "role": [], "job": []}

    def write(aws: AwsProcess, stem: str) -> None:
        try:
            for number in range(1_000_000):
                name = f"{stem}-{number}"
                aws("s3").put_object(Bucket="kept", Key=name, Body=name.encode())
                acknowledged["object"].append(name)
                aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
                acknowledged["role"].append(name)
                aws("sagemaker").create_training_job(**JOB | {"TrainingJobName": name})
                acknowledged["job"].append(name)
        except (ClientError, BotoCoreError, ResponseParserError):
            pass  # it is gone

    for turn in range(2):
        with serving(*options) as aws:
            if turn == 0:
                aws("s3").create_bucket(Bucket="kept")
                aws("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument=TRUST)
            for service in ("s3", "iam", "sagemaker"):
                aws(service)
            writers = [threading.Thread(target=write, args=(aws, f"{turn}-{number}")) for number in range(4)]
            for writer in writers:
                writer.start()
            enough = 20 * (turn + 1)
            until(lambda enough=enough: len(acknowledged["job"]) > enough)
            aws.end()
            for writer in writers:
                writer.join()
    with serving(*options) as aws:
        pages = aws("s3").get_paginator("list_objects_v2").paginate(Bucket="kept")
        there = {
            "object": {one["Key"] for page in pages for one in page["Contents"]},
            "role": {
                one["RoleName"] for page in aws("iam").get_paginator("list_roles").paginate() for one in page["Roles"]
            },
            "job": {
                one["TrainingJobName"]
                for page in aws("sagemaker").get_paginator("list_training_jobs").paginate()
                for one in page["TrainingJobSummaries"]
            },
        }
        assert {what: set(names) - there[what] for what, names in acknowledged.items()} == {
            what: set() for what in there
        }
        for name in acknowledged["object"][::10]:
            assert aws("s3").get_object(Bucket="kept", Key=name)["Body"].read() == name.encode()


def test_an_image_whose_layers_were_taken_survives_a_kill(tmp_path: Path) -> None:
    options = ("--instant", "--state", str(tmp_path / "state"))
    layer = b"layer" * 1_000
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    part = {"mediaType": "application/octet-stream", "digest": digest, "size": len(layer)}
    manifest = json.dumps(MANIFEST | {"config": part, "layers": [part]}).encode()

    def call(aws: AwsProcess, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[Any, bytes]:
        token = aws("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        headers = {"Authorization": f"Basic {token}", "Content-Type": kind}
        request = urllib.request.Request(f"{aws.endpoint}{path}", body or None, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.headers, answer.read()

    with serving(*options) as aws:
        aws("ecr").create_repository(repositoryName="images")
        headers, _ = call(aws, "POST", "/v2/images/blobs/uploads/")
        call(aws, "PUT", f"{headers['Location']}?digest={digest}", layer)
        aws.end()
    with serving(*options) as aws:  # in the middle of a push
        call(aws, "PUT", "/v2/images/manifests/v1", manifest, MANIFEST["mediaType"])
        aws.end()
    with serving(*options) as aws:
        assert call(aws, "GET", "/v2/images/manifests/v1")[1] == manifest
        assert call(aws, "GET", f"/v2/images/blobs/{digest}")[1] == layer
        assert aws("ecr").describe_images(repositoryName="images")["imageDetails"][0]["imageTags"] == ["v1"]
