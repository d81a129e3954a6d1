"""An embedded AWS on a free port, with what a training job needs in it, for the tests that ask for it.

`aws` is the server; during the test, `AWS_*` in the environment lead to it, so that `boto3.client("s3")` is enough. It
is one for the whole session: tests use names of their own (`unique`), and faults are removed after each test.
"""

import functools
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # tests without AWS need not wait for its libraries
    from infra.embedded.server import EmbeddedAws

ACCOUNT = "123456789012"
# Where a job names no entry point: the program that its environment names, or else what the image runs.
STAND_IN = (
    "import os, runpy; source = os.environ.get('PROGRAM');"
    "runpy.run_path(source, run_name='__main__') if source else"
    " runpy.run_module('entrypoints.container', run_name='__main__')"
)
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/ahx:1"


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the key is that signs kept state: not the user's own."""
    home = tmp_path_factory.mktemp("state-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        yield home


@pytest.fixture(scope="session", autouse=True)
def _sessions_follow_the_environment() -> Iterator[None]:
    """boto3's default session keeps the first credentials it finds, which may be those of another test's server."""
    import boto3

    @functools.cache
    def session_of(settings: tuple[tuple[str, str], ...]) -> Any:
        return boto3.Session()

    def session() -> Any:
        return session_of(tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "_get_default_session", session)
        yield


@pytest.fixture(scope="session")
def embedded_aws() -> "Iterator[EmbeddedAws]":
    from infra.embedded.sagemaker.execution.runners import Runners
    from infra.embedded.server import EmbeddedAws

    with EmbeddedAws(0, runners=Runners(program=[sys.executable, "-c", STAND_IN]), grace_seconds=10) as aws:
        yield aws


@pytest.fixture
def aws(embedded_aws: "EmbeddedAws") -> "Iterator[EmbeddedAws]":
    with pytest.MonkeyPatch.context() as patch:  # tests that do not ask for it see no AWS
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in embedded_aws.environment.items():
            patch.setenv(name, value)
        yield embedded_aws
    embedded_aws.faults.clear()


@pytest.fixture
def unique() -> Callable[[str], str]:
    """A unique name."""
    return lambda stem: f"{stem}-{secrets.token_hex(4)}"


@pytest.fixture
def bucket(aws: "EmbeddedAws", unique: Callable[[str], str]) -> str:
    import boto3

    name = unique("bucket")
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def role(aws: "EmbeddedAws", unique: Callable[[str], str]) -> str:
    """The ARN of a role that SageMaker may assume."""
    import boto3

    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    made = boto3.client("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


@pytest.fixture
def job_request(role: str, bucket: str, unique: Callable[[str], str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The least that CreateTrainingJob takes, for a program given as Python source; members may be added or replaced.

    The program finds the folder that stands for /opt/ml in `base`.
    """

    def make(program: str = "", **more: Any) -> dict[str, Any]:
        name = unique("job")
        source = tmp_path / f"{name}.py"
        source.write_text(f"import os, pathlib\nbase = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n{program}\n")
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": [sys.executable, str(source)],
            },
            "RoleArn": role,
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        } | more

    return make


@pytest.fixture
def when() -> Callable[..., dict[str, Any]]:
    """Wait until a job's description satisfies a condition, by default that it is over."""

    def wait(
        name: str, condition: Callable[[dict[str, Any]], bool] | None = None, seconds: float = 60
    ) -> dict[str, Any]:
        import boto3

        client, until = boto3.client("sagemaker"), time.monotonic() + seconds
        over = condition or (lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))
        while time.monotonic() < until:
            job: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
            if over(job):
                return job
            time.sleep(0.05)
        raise AssertionError(f"{name} is {job['TrainingJobStatus']} ({job['SecondaryStatus']}) after {seconds} s")

    return wait
