"""What a server has answered survives its death, and what it cannot keep it refuses."""

import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aws_process import COMMAND, AwsProcess, serving
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ALLOWED = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
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
JOB = {
    "TrainingJobName": "job",
    "AlgorithmSpecification": {
        "TrainingImage": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/any:1",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
    },
    "RoleArn": ROLE,
    "OutputDataConfig": {"S3OutputPath": "s3://kept/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
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
    quota = {"ServiceCode": "sagemaker", "QuotaCode": _quota(aws)}
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
    aws("sagemaker").add_tags(ResourceArn=_described(aws)["TrainingJobArn"], Tags=[{"Key": "t", "Value": "1"}])
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
        "quota": lambda: aws("service-quotas").get_service_quota(ServiceCode="sagemaker", QuotaCode=_quota(aws)),
        "queue": lambda: aws("sqs").get_queue_attributes(
            QueueUrl=f"{aws.endpoint}/{ACCOUNT}/q", AttributeNames=["All"]
        ),
        "table": lambda: aws("dynamodb").describe_table(TableName="t")["Table"],
        "subnets": lambda: sorted(one["SubnetId"] for one in aws("ec2").describe_subnets()["Subnets"]),
        "pair": lambda: aws("ec2").describe_key_pairs()["KeyPairs"],
        "certificate": lambda: [
            one["CertificateArn"] for one in aws("acm").list_certificates()["CertificateSummaryList"]
        ],
        "job": lambda: _described(aws),
        "job's tags": lambda: sagemaker.list_tags(ResourceArn=_described(aws)["TrainingJobArn"])["Tags"],
        "jobs": lambda: sagemaker.list_training_jobs()["TrainingJobSummaries"],
        "tuning": lambda: _tuning(aws),
    }
    return {name: _without_request(ask()) for name, ask in asked.items()}


def _without_request(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "Body")}
    return answer


def _described(aws: AwsProcess) -> dict[str, Any]:
    told: dict[str, Any] = aws("sagemaker").describe_training_job(TrainingJobName="job")
    return told


def _tuning(aws: AwsProcess) -> dict[str, Any]:
    told: dict[str, Any] = aws("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tuning")
    return told


def _quota(aws: AwsProcess) -> str:
    pages = aws("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = [quota for page in pages for quota in page["Quotas"]]
    return next(str(one["QuotaCode"]) for one in quotas if one["QuotaName"] == "ml.m5.large for training job usage")


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


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own with 3 MB."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


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


def put_or_told(s3: Any, key: str) -> dict[str, Any] | None:
    """Put an object; the error's answer where that is refused."""
    try:
        s3.put_object(Bucket="kept", Key=key, Body=bytes(100_000))
    except ClientError as error:
        told: dict[str, Any] = error.response
        return told
    return None


def fill_up(file: Path) -> None:
    """Leave no room on its disk."""
    with open(file, "ab", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(4096))


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        options = ("--instant", "--state", str(disk / "state"))
        filler = disk / "filler"
        with serving(*options) as aws:
            s3, sagemaker = aws("s3"), aws("sagemaker")
            s3.create_bucket(Bucket="kept")
            aws("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument=TRUST)
            sagemaker.create_training_job(**JOB)
            before = _described(aws)
            filler.write_bytes(bytes(2 << 20))
            put = []
            while (told := put_or_told(s3, str(len(put)))) is None:
                put.append(str(len(put)))
            assert put
            assert told["ResponseMetadata"]["HTTPStatusCode"] == 500
            assert told["Error"]["Code"] == "InternalError"
            assert told["Error"]["Message"] == (
                f"We encountered an internal error: the change cannot be kept in {disk / 'state'} "
                "(no space left on device); free some space and try again."
            )
            fill_up(filler)
            quotas, quota = aws("service-quotas"), {"ServiceCode": "sagemaker", "QuotaCode": _quota(aws)}
            with suppress(ClientError):  # the journal's last page takes some short records more
                for value in range(100, 1_000):
                    quotas.request_service_quota_increase(**quota, DesiredValue=value)
            assert quotas.get_service_quota(**quota)["Quota"]["Value"] == value - 1
            refusals: list[Callable[[], Any]] = [
                lambda: s3.put_object(Bucket="kept", Key="late", Body=bytes(8192)),
                lambda: s3.delete_object(Bucket="kept", Key="0"),
                lambda: aws("iam").delete_role(RoleName="trainer"),
                lambda: aws("ssm").put_parameter(Name="/p", Value="v" * 4000, Type="String"),
                lambda: sagemaker.create_training_job(**JOB | {"TrainingJobName": "late"}),
                lambda: sagemaker.delete_training_job(TrainingJobName="job"),
                lambda: sagemaker.add_tags(
                    ResourceArn=before["TrainingJobArn"], Tags=[{"Key": "late", "Value": "v" * 200}] * 20
                ),
            ]
            for refusal in refusals:
                with pytest.raises(ClientError, match="no space left on device"):
                    refusal()

            def check(aws: AwsProcess) -> None:
                assert [one["Key"] for one in aws("s3").list_objects_v2(Bucket="kept")["Contents"]] == sorted(put)
                assert [one["RoleName"] for one in aws("iam").list_roles()["Roles"]] == ["trainer"]
                assert aws("ssm").describe_parameters()["Parameters"] == []
                assert _without_request(_described(aws)) == _without_request(before)
                assert len(aws("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1
                assert aws("sagemaker").list_tags(ResourceArn=before["TrainingJobArn"])["Tags"] == []
                assert aws("service-quotas").get_service_quota(**quota)["Quota"]["Value"] == value - 1

            check(aws)
            aws.end(signal.SIGKILL)
        with serving(*options) as aws:  # the disk is still full
            check(aws)
            filler.unlink()
            aws("s3").put_object(Bucket="kept", Key="0", Body=b"again")
            assert "no snapshot can be made (no space left on device)" in aws.end(signal.SIGTERM)
        with serving(*options) as aws:
            check(aws)
            assert aws("s3").get_object(Bucket="kept", Key="0")["Body"].read() == b"again"


def test_an_upload_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    import http.client
    from urllib.parse import urlsplit

    with serving("--instant", "--state", str(tmp_path / "state")) as aws:
        aws("s3").create_bucket(Bucket="kept")
        address = aws("s3").generate_presigned_url("put_object", Params={"Bucket": "kept", "Key": "k"})
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.netloc)
        connection.putrequest("PUT", f"{parts.path}?{parts.query}")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"x" * 50)
        assert connection.sock
        connection.sock.shutdown(1)
        assert connection.getresponse().status == 400
        assert "Contents" not in aws("s3").list_objects_v2(Bucket="kept")


def refused(*options: str) -> str:
    """What a server says that does not start."""
    done = subprocess.run([*COMMAND, "--instant", *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("ahx: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_folder_that_is_no_state_of_this_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, other = tmp_path / "state", tmp_path / "other"
    with serving("--instant", "--state", str(state)) as aws:
        assert "in use by another `ahx aws`" in refused("--state", str(state))
        aws("s3").create_bucket(Bucket="kept")
    other.mkdir()
    (other / "s3.pickle").write_bytes(b"")
    assert "was kept by an older version, whose pickles are not signed" in refused("--state", str(other))
    (other / "s3.pickle").rename(other / "diary")
    assert "holds something else (diary); choose a new or empty folder" in refused("--state", str(other))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "stranger"))
    assert "was not written by you on this machine" in refused("--state", str(state))
    os.chmod(tmp_path / "stranger/ahx/aws-state.key", 0o644)
    assert "that you alone can read; run: chmod 600" in refused("--state", str(state))
    assert "--durable: needs a folder" in refused("--durable")
    os.chmod(tmp_path / "stranger/ahx/aws-state.key", 0o600)
    if os.geteuid() == 0:
        os.chown(state, 12345, -1)
        assert "belongs to somebody else" in refused("--state", str(state))


def test_a_server_that_is_stopped_as_soon_as_it_is_announced_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    at_once = "import os, signal; from entrypoints import main; from entrypoints.verbs import aws; "
    at_once += "aws._announce = lambda *_: os.kill(os.getpid(), signal.SIGTERM); "
    at_once += "raise SystemExit(main.main(['aws', '--port', '0', '--instant']))"
    assert subprocess.run([sys.executable, "-c", at_once], check=False).returncode == 0
    assert list(tmp_path.glob("ahx-aws-*")) == []


def test_files_of_a_dead_server_go_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving("--instant") as living:
        with serving("--instant") as dead:
            assert len(list(tmp_path.glob("ahx-aws-*"))) == 2
            dead.end(signal.SIGKILL)
        with serving("--instant") as other:
            assert len(list(tmp_path.glob("ahx-aws-*"))) == 2
            other.end(signal.SIGTERM)
        assert living.end(signal.SIGTERM) == ""
    assert list(tmp_path.glob("ahx-aws-*")) == []


def test_a_short_body_is_what_io_says() -> None:
    from infra.embedded.http.recorded_request import Request
    from infra.embedded.http.wire import AwsError

    with pytest.raises(AwsError, match="IncompleteBody"):
        Request.read({"CONTENT_LENGTH": "3", "wsgi.input": io.BytesIO(b"ab")}, b"")
