"""`ahx aws` as a process of its own, which can be killed."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
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
COMMAND = [sys.executable, "-m", "entrypoints.main", "aws", "--port", "0"]


class AwsProcess:
    """A server that listens; clients of it do not try again."""

    def __init__(self, *options: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.process = subprocess.Popen(
            [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout
        exports: dict[str, str] = {}
        for line in self.process.stdout:
            exports |= dict(re.findall(r"export (\w+)=(\S+)", line))
            if line.startswith("# Jobs"):
                break
        else:
            raise AssertionError(self.process.communicate()[1])
        self.endpoint = exports["AWS_ENDPOINT_URL"]
        self.keys = exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"]
        self._session = boto3.Session(*self.keys, region_name="us-east-1")
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """A client."""
        if service not in self._made:
            config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            self._made[service] = self._session.client(service, endpoint_url=self.endpoint, config=config)
        return self._made[service]

    def end(self, number: int = signal.SIGKILL) -> str:
        """Send a signal and wait; what it said on stderr."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]


@contextmanager
def serving(*options: str) -> Iterator[AwsProcess]:
    """A server that is killed in the end, if it still runs."""
    server = AwsProcess(*options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def create_job(server: AwsProcess, name: str, command: list[str], hosts: int = 1, **more: Any) -> None:
    """A training job on a server that has nothing yet."""
    role = server("iam").create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    server("s3").create_bucket(Bucket=f"{name}-bucket")
    server("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "any", "TrainingInputMode": "File", "ContainerEntrypoint": command},
        RoleArn=role,
        OutputDataConfig={"S3OutputPath": f"s3://{name}-bucket/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        **more,
    )


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a condition. Raises AssertionError when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def fetched(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def described(aws: AwsProcess) -> dict[str, Any]:
    told: dict[str, Any] = aws("sagemaker").describe_training_job(TrainingJobName="job")
    return told


def without_request(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "Body")}
    return answer


def quota_code(aws: AwsProcess) -> str:
    pages = aws("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = [quota for page in pages for quota in page["Quotas"]]
    return next(str(one["QuotaCode"]) for one in quotas if one["QuotaName"] == "ml.m5.large for training job usage")
