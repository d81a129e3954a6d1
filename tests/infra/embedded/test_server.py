"""The embedded AWS as a program: how it starts and stops, what it keeps, and jobs that run nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

Make = Callable[..., dict[str, Any]]


class Server:
    """`ahx aws` as a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "entrypoints.main", "aws", "--port", "0", *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout
        self.printed = [self.process.stdout.readline() for _ in range(6)]
        exports = dict(re.findall(r"export (\w+)=(\S+)", "".join(self.printed)))
        self.endpoint, self.exports = exports["AWS_ENDPOINT_URL"], exports

    def client(self, service: str) -> Any:
        keys = self.exports["AWS_ACCESS_KEY_ID"], self.exports["AWS_SECRET_ACCESS_KEY"]
        return boto3.client(service, self.exports["AWS_DEFAULT_REGION"], None, True, None, self.endpoint, *keys)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal and wait: the exit code, and what was printed since the start."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    server = Server(*options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def prepared(server: Server, request: dict[str, Any]) -> dict[str, Any]:
    """`request`, with its bucket and role made on `server`."""
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    server.client("iam").create_role(RoleName=request["RoleArn"].rpartition("/")[2], AssumeRolePolicyDocument=policy)
    server.client("s3").create_bucket(Bucket=request["OutputDataConfig"]["S3OutputPath"].split("/")[2])
    return request


def described(server: Server, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.client("sagemaker").describe_training_job(TrainingJobName=name)
    return answer


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_prints_what_to_export_and_stops_its_jobs_on_ctrl_c(job_request: Make, tmp_path: Path) -> None:
    note = tmp_path / "note"
    request = job_request(
        f"""
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path({str(note)!r}).write_text('stopped')
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(note)!r}).write_text('running')
time.sleep(60)
"""
    )
    with serving("--process") as server:
        assert set(server.exports) == {
            "AWS_ENDPOINT_URL",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_DEFAULT_REGION",
        }
        assert server.printed[4].startswith(f"# Status page: {server.exports['AWS_ENDPOINT_URL']}/_ahx/page?token=")
        assert server.printed[5] == "# Jobs run as processes of this machine. Ctrl-C stops the server and its jobs.\n"
        server.client("sagemaker").create_training_job(**prepared(server, request))
        until(lambda: note.exists() and note.read_text() == "running")
        assert server.end() == (0, "# Stopping 1 job; Ctrl-C again kills.\n")
        assert note.read_text() == "stopped"


def test_a_second_ctrl_c_kills(job_request: Make, tmp_path: Path) -> None:
    note = tmp_path / "note"
    program = f"import pathlib, signal, time\nsignal.signal(15, signal.SIG_IGN)\npathlib.Path({str(note)!r}).touch()\n"
    with serving("--process") as server:
        request = prepared(server, job_request(f"{program}time.sleep(60)"))
        server.client("sagemaker").create_training_job(**request)
        until(note.exists)
        server.process.send_signal(signal.SIGINT)
        until(lambda: described(server, request["TrainingJobName"])["TrainingJobStatus"] == "Stopping")
        assert server.end()[0] == 0


@pytest.mark.parametrize("crash", [False, True])
def test_state_survives(crash: bool, job_request: Make, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    request = job_request("import time\nprint('up', flush=True)\ntime.sleep(60)")
    bucket, name = request["OutputDataConfig"]["S3OutputPath"].split("/")[2], request["TrainingJobName"]
    with serving("--process", "--state", state) as server:
        s3 = server.client("s3")
        prepared(server, request)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        versions = [
            s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"old", b"new" * 100_000)
        ]
        server.client("logs").create_log_group(logGroupName="/mine")
        server.client("ecr").create_repository(repositoryName="mine")
        server.client("sagemaker").create_training_job(**request)
        quotas = server.client("service-quotas")
        quota = next(
            quota
            for page in quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
            for quota in page["Quotas"]
            if quota["QuotaName"] == "ml.m5.large for training job usage"
        )
        asked = {"ServiceCode": "sagemaker", "QuotaCode": quota["QuotaCode"]}
        quotas.request_service_quota_increase(**asked, DesiredValue=30)
        until(lambda: described(server, name)["SecondaryStatus"] == "Training")
        server.end(signal.SIGKILL if crash else signal.SIGTERM)
    with serving("--process", "--state", state) as server:
        s3 = server.client("s3")
        read = [s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() for version in versions]
        assert read == [b"old", b"new" * 100_000]
        assert server.client("logs").describe_log_groups(logGroupNamePrefix="/mine")["logGroups"]
        assert server.client("ecr").describe_repositories(repositoryNames=["mine"])
        assert server.client("service-quotas").get_service_quota(**asked)["Quota"]["Value"] == 30
        job = described(server, name)
        if crash:
            assert (job["TrainingJobStatus"], job["FailureReason"]) == (
                "Failed",
                "InternalServerError: We encountered an internal error. Please try again.",
            )
        else:
            assert job["TrainingJobStatus"] == "Stopped"


def test_instant_jobs_run_nothing_and_hold_their_quota(job_request: Make) -> None:
    with serving("--instant", "0.5", "--quota", "ml.m5.large=2") as server:
        client, request = server.client("sagemaker"), job_request("raise SystemExit(1)")
        prepared(server, request)
        names = [f"{request['TrainingJobName']}-{number}" for number in range(3)]
        for name in names[:2]:
            client.create_training_job(**request | {"TrainingJobName": name})
        with pytest.raises(client.exceptions.ResourceLimitExceeded):
            client.create_training_job(**request | {"TrainingJobName": names[2]})
        client.stop_training_job(TrainingJobName=names[1])
        until(lambda: described(server, names[0])["TrainingJobStatus"] == "Completed")
        assert described(server, names[1])["TrainingJobStatus"] == "Stopped"
        client.create_training_job(**request | {"TrainingJobName": names[2]})


def test_a_command_runs_against_it(capfd: pytest.CaptureFixture[str]) -> None:
    from entrypoints.main import main

    probe = f"{sys.executable} -c \"import os; print(os.environ['AWS_ENDPOINT_URL'])\"; exit 7"
    assert main(["aws", "--port", "0", "--process", "--run", probe]) == 7
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == lines[0].removeprefix("export AWS_ENDPOINT_URL=")
    assert main(["aws", "--port", "0", "--quota", "ml.m5.tiny=1"]) == 2
    assert main(["aws", "--port", "0", "--quota", "3"]) == 2
