"""Calls to the embedded AWS that fail on demand, seen through boto3 and its retries."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from entrypoints.main import main
from infra.embedded.faults import Fault
from infra.embedded.http.protocols import Call
from infra.embedded.server import EmbeddedAws

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=0.5)


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("s3", "ListBuckets", lambda client: client.list_buckets()),
        ("s3", "ListObjectsV2", lambda client: client.list_objects_v2(Bucket="x")),
        ("s3", "PutObject", lambda client: client.put_object(Bucket="x", Key="k")),
        ("s3", "GetBucketPolicy", lambda client: client.get_bucket_policy(Bucket="x")),
        ("s3", "CreateMultipartUpload", lambda client: client.create_multipart_upload(Bucket="x", Key="k")),
        ("sagemaker", "ListTrainingJobs", lambda client: client.list_training_jobs()),
        ("logs", "DescribeLogGroups", lambda client: client.describe_log_groups()),
        ("iam", "ListRoles", lambda client: client.list_roles()),
        ("cloudwatch", "ListMetrics", lambda client: client.list_metrics()),
        ("sts", "GetCallerIdentity", lambda client: client.get_caller_identity()),
    ],
)
@pytest.mark.parametrize("kind", ["throttle", "error", "denied"])
def test_an_operation_fails_by_name_in_every_protocol(
    aws: EmbeddedAws, kind: str, service: str, operation: str, call: Callable[[object], object]
) -> None:
    aws.faults.add(Fault(kind, operation=operation, count=1))
    client = boto3.client(service, config=ONCE)
    with pytest.raises(ClientError) as caught:
        call(client)
    code = caught.value.response["Error"]["Code"]
    status = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    expected = {
        "throttle": ({"SlowDown", "Throttling", "ThrottlingException"}, {400, 503}),
        "error": ({"InternalError", "InternalServerError"}, {500}),
        "denied": ({"AccessDenied", "AccessDeniedException"}, {403}),
    }
    assert code in expected[kind][0]
    assert status in expected[kind][1]


def test_botocore_overcomes_what_passes(aws: EmbeddedAws) -> None:
    aws.faults.add(Fault("throttle", "s3", "ListBuckets", count=2))
    boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 5})).list_buckets()
    assert [rule["hits"] for rule in aws.faults.shown()] == [2]


def test_slow_and_hanging_calls(aws: EmbeddedAws) -> None:
    aws.faults.add(Fault("slow", "sts", seconds=0.4, count=1))
    begun = time.monotonic()
    boto3.client("sts").get_caller_identity()
    assert time.monotonic() - begun >= 0.4
    aws.faults.add(Fault("hang", "sts", seconds=1.5, count=1))
    with pytest.raises(ReadTimeoutError):
        boto3.client("sts", config=ONCE).get_caller_identity()
    aws.faults.add(Fault("hang", "sts", seconds=0.1, count=1))
    with pytest.raises(ConnectionClosedError):
        boto3.client("sts", config=ONCE).get_caller_identity()


def test_a_rate_strikes_alike_for_the_same_seed() -> None:
    call = Call("s3", "us-east-1", "GetObject", "rest")

    def strikes(seed: int) -> list[bool]:
        rule = Fault("error", "s3", "Get*", rate=0.3, seed=seed)
        return [rule.applies_to(call) for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90
    assert not Fault("error", "s3", "Put*").applies_to(call)


def test_faults_from_the_command_line(aws: EmbeddedAws, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aws", "faults", "throttle", "--operation", "CreateTrainingJob", "--count", "3"]) == 0
    assert capsys.readouterr().out == "throttle *:CreateTrainingJob, rate 1, 0 of at most 3 strikes\n"
    assert main(["aws", "faults", "--clear"]) == 0
    assert capsys.readouterr().out == "no faults\n"
    assert main(["aws", "faults", "slow", "--seconds", "301"]) == 2
    assert capsys.readouterr().err == "ahx: error: seconds: must be from 0 to 300 (got 301.0)\n"
    assert main(["aws", "interrupt", "nobody"]) == 2
    assert capsys.readouterr().err == "ahx: error: Requested resource not found.\n"


def test_the_control_commands_need_a_server(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert main(["aws", "faults"]) == 1
    told = capsys.readouterr().err
    assert told == "ahx: error: no embedded AWS answers at http://127.0.0.1:9; start one with `ahx aws`\n"


def test_faults_do_not_touch_the_service_s_own_work(
    aws: EmbeddedAws, job_request: Callable[..., dict], when: Callable
) -> None:  # type: ignore[type-arg]
    request = job_request("print('hello')")
    boto3.client("sagemaker").create_training_job(**request)
    for service in ("s3", "logs"):
        aws.faults.add(Fault("denied", service))
    assert when(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_a_port_in_use_is_a_sentence(aws: EmbeddedAws) -> None:
    port = aws.endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "entrypoints.main", "aws", "--port", port, "--process"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=60, check=False)
    assert done.returncode == 1
    sentence = f"port {port} is in use; stop what uses it, or choose another: --port 0 takes a free one"
    assert done.stderr == f"ahx: error: {sentence}\n"
