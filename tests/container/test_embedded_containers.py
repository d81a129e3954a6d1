"""The embedded AWS with real containers: they reach it and each other, are stopped by signal, and fail with reasons."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_process import create_job, serving, until

from infra.embedded.sagemaker.execution.runners import choose
from infra.embedded.server import EmbeddedAws
from infra.run_local.runner import ContainerRunner
from opt_ml import tree as trees

GROUP = "/aws/sagemaker/TrainingJobs"
When = Callable[..., dict[str, Any]]
Unique = Callable[[str], str]


@pytest.fixture
def containers(aws: EmbeddedAws, image: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """A second server over the same moto, whose jobs are containers."""
    with EmbeddedAws(0, runners=choose(image.name, process=False), grace_seconds=20) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def start(containers: EmbeddedAws, role: str, bucket: str, unique: Unique) -> Callable[..., str]:
    """Starts a job whose container runs `python -c PROGRAM`."""

    def create(program: str, hosts: int = 1, **more: Any) -> str:
        name = unique("job")
        algorithm = {"TrainingImage": "any", "TrainingInputMode": "File", "ContainerEntrypoint": ["python", "-c"]}
        boto3.client("sagemaker").create_training_job(
            **{
                "TrainingJobName": name,
                "AlgorithmSpecification": algorithm | {"ContainerArguments": [program]},
                "RoleArn": role,
                "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
                "StoppingCondition": {"MaxRuntimeInSeconds": 100},
            }
            | more
        )
        return name

    return create


def printed(name: str) -> list[str]:
    logs = boto3.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"])["events"]
    ]


def test_a_container_reaches_this_aws(start: Callable[..., str], when: When) -> None:
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    name = start(program)
    assert when(name)["TrainingJobStatus"] == "Completed", printed(name)
    assert printed(name) == ["123456789012"]


def test_hosts_know_each_other_and_their_network_goes_with_them(
    start: Callable[..., str], when: When, docker: Any
) -> None:
    program = "import socket; print(socket.gethostname(), len({socket.gethostbyname(f'algo-{n}') for n in (1, 2)}))"
    name = start(f"import time; time.sleep(1); {program}; time.sleep(1)", hosts=2)
    assert when(name)["TrainingJobStatus"] == "Completed", printed(name)
    assert sorted(printed(name)) == ["algo-1 2", "algo-2 2"]
    until = time.monotonic() + 20
    while name in docker("network", "ls", "--format", "{{.Name}}").stdout:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_container_is_stopped_by_signal_and_leaves_its_model(
    start: Callable[..., str], when: When, bucket: str
) -> None:
    program = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(open('/opt/ml/model/m', 'w').close())); "
    name = start(f"{program}print('ready', flush=True); time.sleep(90)")
    when(name, lambda job: job["SecondaryStatus"] == "Training" and printed(name) == ["ready"])
    boto3.client("sagemaker").stop_training_job(TrainingJobName=name)
    job = when(name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/out/{name}/output/model.tar.gz"


def test_a_container_that_cannot_start_fails_the_job(start: Callable[..., str], when: When) -> None:
    algorithm = {"TrainingImage": "any", "TrainingInputMode": "File", "ContainerEntrypoint": ["/no/such/program"]}
    job = when(start("", AlgorithmSpecification=algorithm))
    assert job["FailureReason"].startswith("ClientError: CannotStartContainerError. docker: Error response from daemon")


def test_the_image_trains(start: Callable[..., str], when: When, bucket: str) -> None:
    algorithm = {"TrainingImage": "any", "TrainingInputMode": "File"}
    hyperparameters = {"rule": "double_a", "num_epochs": "1", "epoch_size": "32"}
    name = start("", AlgorithmSpecification=algorithm, HyperParameters=hyperparameters)
    job = when(name, seconds=120)
    assert job["TrainingJobStatus"] == "Completed", json.dumps(printed(name)[-20:])
    assert boto3.client("s3").head_object(Bucket=bucket, Key=f"out/{name}/output/model.tar.gz")["ContentLength"] > 1_000


def test_groups_of_containers_are_told_of_each_other_and_their_folders_are_copied(
    start: Callable[..., str], when: When, bucket: str
) -> None:
    program = (
        "import json; c = json.load(open('/opt/ml/input/config/resourceconfig.json')); me = c['current_host']; "
        "open(f'/tmp/board/{me}', 'w').write(me); "
        "open(f'/opt/ml/model/{me}', 'w').write(c['current_group_name']); "
        "os.symlink(f'/opt/ml/model/{me}', '/opt/ml/model/link')"
    )
    groups = [
        {"InstanceGroupName": name, "InstanceType": "ml.m5.large", "InstanceCount": count}
        for name, count in (("one", 1), ("two", 2))
    ]
    board = {"S3OutputPath": f"s3://{bucket}/seen", "LocalPath": "/tmp/board"}
    output = {"S3OutputPath": f"s3://{bucket}/out", "CompressionType": "NONE"}
    name = start(
        "import os; exec(os.environ['PROGRAM'])",
        Environment={"PROGRAM": program},
        ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 1},
        TensorBoardOutputConfig=board,
        OutputDataConfig=output,
    )
    job = when(name)
    assert job["TrainingJobStatus"] == "Completed", [job.get("FailureReason"), printed(name)]
    s3 = boto3.client("s3")
    seen = {
        item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode()
        for item in s3.list_objects_v2(Bucket=bucket)["Contents"]
    }
    assert seen == {
        f"seen/{name}/tensorboard-output/algo-1": "algo-1",
        f"seen/{name}/tensorboard-output/algo-2": "algo-2",
        f"seen/{name}/tensorboard-output/algo-3": "algo-3",
        f"out/{name}/output/model/algo-1": "one",
        f"out/{name}/output/model/algo-2": "two",
        f"out/{name}/output/model/algo-3": "two",
        f"out/{name}/output/model/link": "one",
    }


STEERING = {
    "DOCKER_HOST": "tcp://127.0.0.1:1",
    "DOCKER_CONFIG": "/nowhere",
    "DOCKER_CONTEXT": "none",
    "LD_PRELOAD": "",
    "HOME": "/nowhere",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "LINES": "one\ntwo",
    "EQUAL": "a=b ä #x",
    "EMPTY": "",
    "SPACES": " around ",
}


def test_the_environment_of_a_job_is_the_containers_and_not_dockers(start: Callable[..., str], when: When) -> None:
    name = start(
        f"import json, os; print(json.dumps([os.environ.get(name) for name in {list(STEERING)!r}]))",
        Environment=STEERING,
    )
    assert when(name)["TrainingJobStatus"] == "Completed"
    assert json.loads(printed(name)[0]) == list(STEERING.values())


ISOLATED = """
import socket, sys, time, urllib.request
if socket.gethostname() == "algo-1":
    server = socket.create_server(("", 5000))
    server.accept()
else:
    for _ in range(100):
        try:
            socket.create_connection(("algo-1", 5000), timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    else:
        sys.exit("algo-1 cannot be reached")
for address in ADDRESSES:
    try:
        socket.create_connection(address, timeout=2)
    except OSError:
        continue
    sys.exit(f"{address} can be reached")
"""


def test_hosts_of_an_isolated_job_reach_each_other_and_nothing_else(
    containers: EmbeddedAws, start: Callable[..., str], when: When
) -> None:
    port = int(containers.endpoint.rpartition(":")[2])
    gateway = choose(None, process=False).gateway
    addresses = [(name, port) for name in ("host.docker.internal", gateway, "127.0.0.1") if name]
    program = ISOLATED.replace("ADDRESSES", repr(addresses)).encode("unicode_escape").decode()  # on one line
    read = "json.load(open('/opt/ml/input/config/hyperparameters.json'))['it'].encode().decode('unicode_escape')"
    name = start(f"import json; exec({read})", hosts=2, EnableNetworkIsolation=True, HyperParameters={"it": program})
    assert when(name)["TrainingJobStatus"] == "Completed", printed(name)


def test_containers_end_with_the_server_and_what_is_left_goes_with_the_next(image: Any, tmp_path: Any) -> None:
    def left() -> list[str]:
        words = ["--all", "--filter", "label=ahx.aws", "--format", "{{.Names}}"]
        return [name for name in image.docker("ps", *words).stdout.split() if name not in before]

    before: set[str] = set()
    before = set(left())
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    with serving("--image", image.name) as server:
        create_job(server, "stubborn", ["python", "-c", stubborn], hosts=2)
        until(lambda: len(left()) == 2)
        server.end()
        until(lambda: not left())
    networks = ("network", "ls", "--filter", "label=ahx.aws", "--format", '{{.Label "ahx.aws"}}')
    assert f"{server.process.pid} " in image.docker(*networks).stdout
    with serving("--image", image.name):
        assert f"{server.process.pid} " not in image.docker(*networks).stdout


def test_a_container_ends_with_its_docker_command_and_takes_variables_of_any_length(image: Any, tmp_path: Any) -> None:
    program = ["python", "-uc", "import os, time; print(len(os.environ['LARGE'])); time.sleep(600)"]
    job = ContainerRunner(image.name, program=program).start(
        trees.build(tmp_path / "job", {}, {}), {"LARGE": "x" * 70_000}
    )
    try:
        assert next(iter(job.lines())) == "70000"
        (command,) = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text("ascii").split()
        os.kill(int(command), signal.SIGKILL)
        assert job.wait(60) == 128 + signal.SIGKILL
        assert image.docker("ps", "--all", "--quiet", "--filter", f"name={job.name}").stdout == ""
    finally:
        image.docker("rm", "--force", job.name)
