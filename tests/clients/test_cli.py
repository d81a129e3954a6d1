"""The AWS CLI, version 1 (PyPI) and version 2 (Debian): what its commands print and exit with."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from clients_here import Run, command, environment

GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class Cli:
    """The command, and the code with which it ends when a service refuses something."""

    program: list[object]
    refused: int
    run: Run

    def __call__(self, *words: object, **more: Any) -> str:
        return self.run(*self.program, *words, **more)


@pytest.fixture(params=["v1", "v2"])
def cli(request: pytest.FixtureRequest, aws: Any, run: Run) -> Cli:
    if request.param == "v1":
        return Cli([environment("awscli") / "aws"], 255, run)
    # AWS_ENDPOINT_URL came with 2.13; Debian 12 has 2.9.
    return Cli([command("aws"), "--endpoint-url", aws.endpoint], 254, run)


def told(answer: str) -> Any:
    return json.loads(answer)


def test_objects(cli: Cli, bucket: str, tmp_path: Any) -> None:
    place, folder = f"s3://{bucket}", tmp_path / "folder"
    (folder / "in").mkdir(parents=True)
    (folder / "a.txt").write_text("A")
    (folder / "in" / "b ü+%.txt").write_text("B" * 100)
    (tmp_path / "large").write_bytes(bytes(range(256)) * 50_000)  # 12.8 MB: in parts
    cli("s3", "cp", tmp_path / "large", f"{place}/large")
    cli("s3", "cp", f"{place}/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
    assert "upload:" in cli("s3", "sync", folder, f"{place}/folder")
    assert cli("s3", "sync", folder, f"{place}/folder") == ""  # nothing has changed
    listed = cli("s3", "ls", f"{place}/", "--recursive")
    assert re.findall(r" (\d+) (.*)", listed) == [
        ("1", "folder/a.txt"),
        ("100", "folder/in/b ü+%.txt"),
        ("12800000", "large"),
    ]
    assert cli("s3", "cp", f"{place}/folder/a.txt", "-") == "A"
    cli("s3", "cp", "-", f"{place}/stdin", stdin="typed")
    cli("s3", "mv", f"{place}/stdin", f"{place}/moved")
    cli("s3", "sync", f"{place}/folder", tmp_path / "again", "--delete")
    assert (tmp_path / "again" / "in" / "b ü+%.txt").read_text() == "B" * 100
    url = cli("s3", "presign", f"{place}/moved", "--expires-in", "60").strip()
    assert urllib.request.urlopen(url).read() == b"typed"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("moved", "large"))
    assert "(404)" in cli("s3", "cp", f"{place}/nothing", "-", code=1)
    cli("s3", "rm", place, "--recursive")
    cli("s3", "rb", place)
    assert "NoSuchBucket" in cli("s3", "ls", place, code=cli.refused)


def test_a_job_and_its_log(cli: Cli, job_request: Callable[..., dict[str, Any]]) -> None:
    requests = [job_request(f"print('loss=0.{number}', flush=True)") for number in (1, 2)]
    for request in requests:
        made = told(cli("sagemaker", "create-training-job", "--cli-input-json", json.dumps(request)))
        assert made["TrainingJobArn"].endswith(request["TrainingJobName"])
    name = requests[0]["TrainingJobName"]
    for request in requests:
        cli("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", request["TrainingJobName"])
    job = told(cli("sagemaker", "describe-training-job", "--training-job-name", name))
    assert (job["TrainingJobStatus"], job["EnableNetworkIsolation"]) == ("Completed", False)
    rows = told(cli("sagemaker", "list-training-jobs", "--name-contains", name))["TrainingJobSummaries"]
    assert [row["TrainingJobName"] for row in rows] == [name]
    found = told(cli("logs", "filter-log-events", "--log-group-name", GROUP, "--log-stream-name-prefix", f"{name}/"))
    assert [event["message"] for event in found["events"]] == ["loss=0.1"]
    if cli.refused == 254:  # version 1 has no `logs tail`
        tail = cli("logs", "tail", GROUP, "--log-stream-name-prefix", f"{name}/", "--since", "1h", "--format", "short")
        assert tail.strip().endswith("loss=0.1")
        assert len(tail.strip().splitlines()) == 1
    assert "ValidationException" in cli("sagemaker", "stop-training-job", "--training-job-name", name, code=cli.refused)


def test_accounts_roles_and_registries(cli: Cli, aws: Any, role: str, unique: Callable[[str], str]) -> None:
    assert told(cli("sts", "get-caller-identity"))["Account"] == "123456789012"
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    name = role.partition("/")[2]
    cli("iam", "attach-role-policy", "--role-name", name, "--policy-arn", policy)
    attached = told(cli("iam", "list-attached-role-policies", "--role-name", name))["AttachedPolicies"]
    assert attached == [{"PolicyName": "AmazonSageMakerFullAccess", "PolicyArn": policy}]
    assert told(cli("iam", "get-policy", "--policy-arn", policy))["Policy"]["Arn"] == policy
    repository = told(cli("ecr", "create-repository", "--repository-name", unique("repository")))["repository"]
    assert repository["repositoryUri"].endswith(repository["repositoryName"])
    assert cli("ecr", "get-login-password").strip()


def test_profiles(cli: Cli, aws: Any, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    given = aws.environment
    settings = {
        "aws_access_key_id": given["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": given["AWS_SECRET_ACCESS_KEY"],
        "region": "eu-west-1",
        "endpoint_url": given["AWS_ENDPOINT_URL"],
    }
    for name, value in settings.items():
        cli("configure", "set", name, value, "--profile", "here")
    for name in given:
        monkeypatch.delenv(name)
    words = ["--profile", "here"]
    assert told(cli("sts", "get-caller-identity", *words))["Account"] == "123456789012"
    place = ["--create-bucket-configuration", "LocationConstraint=eu-west-1"]
    cli("s3api", "create-bucket", "--bucket", unique("bucket"), *place, *words)
