"""Training jobs of the embedded AWS, from request to artifacts, through boto3; programs are real processes."""

import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.server import EmbeddedAws

Make = Callable[..., dict[str, Any]]
When = Callable[..., dict[str, Any]]
GROUP = "/aws/sagemaker/TrainingJobs"

# Prints, waits for SIGTERM, writes a model on it, and ends.
OBEDIENT = """
import signal, sys, time
def stop(*_):
    (base / 'model' / 'partial').write_text('saved')
    print('stopping', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print('ready', flush=True)
time.sleep(60)
"""


def statuses(job: dict[str, Any]) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def create(request: dict[str, Any]) -> str:
    boto3.client("sagemaker").create_training_job(**request)
    return str(request["TrainingJobName"])


def printed(name: str) -> list[str]:
    logs = boto3.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"])["events"]
    ]


def has_printed(name: str, line: str) -> Callable[[dict[str, Any]], bool]:
    return lambda job: job["SecondaryStatus"] == "Training" and line in printed(name)


def archive(bucket: str, key: str) -> dict[str, bytes]:
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as packed:
        return {member.name: packed.extractfile(member).read() for member in packed}  # type: ignore[union-attr]


def channel(name: str, uri: str, kind: str = "S3Prefix", **more: Any) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}}} | more


def test_a_job_reads_its_inputs_and_leaves_model_output_logs_and_metrics(
    job_request: Make, when: When, bucket: str
) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="data/train/a.txt", Body=b"alpha")
    s3.put_object(Bucket=bucket, Key="data/train/deep/b.txt", Body=b"beta")
    s3.put_object(Bucket=bucket, Key="list", Body=json.dumps([{"prefix": f"s3://{bucket}/data/"}, "train/a.txt"]))
    request = job_request(
        """
import json
seen = {str(f.relative_to(base / 'input/data')): f.read_text() for f in sorted((base / 'input/data').rglob('*.txt'))}
(base / 'model' / 'seen.json').write_text(json.dumps(seen))
(base / 'model' / 'hp.json').write_text((base / 'input/config/hyperparameters.json').read_text())
(base / 'output' / 'data' / 'note').write_text(os.environ['GREETING'] + os.environ['TRAINING_JOB_NAME'])
for step in range(3): print(f'step={step} loss={1 / (step + 1):.2f};')
""",
        InputDataConfig=[
            channel("train", f"s3://{bucket}/data/train"),
            channel("listed", f"s3://{bucket}/list", "ManifestFile", InputMode="FastFile"),
        ],
        HyperParameters={"n_layer": "2"},
        Environment={"GREETING": "hello "},
    )
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
    name = create(request)
    job = when(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    ends = [entry["EndTime"] for entry in job["SecondaryStatusTransitions"]]
    starts = [entry["StartTime"] for entry in job["SecondaryStatusTransitions"]]
    assert starts[1:] == ends[:-1]
    assert starts == sorted(starts)

    model = archive(bucket, f"out/{name}/output/model.tar.gz")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/out/{name}/output/model.tar.gz"
    assert json.loads(model["seen.json"]) == {
        "listed/train/a.txt": "alpha",
        "train/a.txt": "alpha",
        "train/deep/b.txt": "beta",
    }
    assert json.loads(model["hp.json"]) == {"n_layer": "2"}
    assert archive(bucket, f"out/{name}/output/output.tar.gz") == {"note": f"hello {name}".encode()}

    assert printed(name) == ["step=0 loss=1.00;", "step=1 loss=0.50;", "step=2 loss=0.33;"]
    assert [(metric["MetricName"], round(metric["Value"], 2)) for metric in job["FinalMetricDataList"]] == [
        ("loss", 0.33)
    ]
    mine = {"Name": "TrainingJobName", "Value": name}
    assert boto3.client("cloudwatch").list_metrics(Namespace=GROUP, Dimensions=[mine])["Metrics"]
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (
            "(base / 'output/failure').write_text('no such rule: x'); raise SystemExit(3)",
            "no such rule: x, exit code: 3",
        ),
        ("raise SystemExit(1)", ", exit code: 1"),
        ("os.kill(os.getpid(), 9)", ", exit code: 137"),
        ("(base / 'output/failure').write_text('y' * 3000); raise SystemExit(1)", f"{'y' * 950}, exit code: 1"),
    ],
)
def test_a_failing_job_says_why(job_request: Make, when: When, bucket: str, program: str, reason: str) -> None:
    request = job_request(f"(base / 'output/data/trace').write_text('t')\n{program}")
    job = when(create(request))
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert statuses(job) == ["Starting", "Training", "Failed"]
    assert job["FailureReason"] == f"AlgorithmError: {reason}"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == ""
    assert archive(bucket, f"out/{request['TrainingJobName']}/output/output.tar.gz") == {"trace": b"t"}


def test_stopping_gives_the_program_time_and_keeps_its_model(job_request: Make, when: When, bucket: str) -> None:
    sagemaker = boto3.client("sagemaker")
    name = create(job_request(OBEDIENT))
    when(name, has_printed(name, "ready"))
    sagemaker.stop_training_job(TrainingJobName=name)
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    sagemaker.stop_training_job(TrainingJobName=name)  # again: no error while it is stopping
    job = when(name)
    assert statuses(job) == ["Starting", "Training", "Stopping", "Uploading", "Stopped"]
    assert job["TrainingJobStatus"] == "Stopped"
    assert archive(bucket, f"out/{name}/output/model.tar.gz") == {"partial": b"saved"}
    assert printed(name) == ["ready", "stopping"]
    with pytest.raises(ClientError, match="because the training job is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


def test_a_program_that_ignores_sigterm_is_killed(
    job_request: Make, when: When, aws: EmbeddedAws, monkeypatch: Any
) -> None:
    program = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    object.__setattr__(aws.sagemaker.training._host, "grace_seconds", 0.2)
    try:
        name = create(job_request(program))
        when(name, has_printed(name, "ready"))
        boto3.client("sagemaker").stop_training_job(TrainingJobName=name)
        assert when(name)["TrainingJobStatus"] == "Stopped"
    finally:
        object.__setattr__(aws.sagemaker.training._host, "grace_seconds", 10)


def test_a_job_over_its_time_is_stopped_and_keeps_its_model(job_request: Make, when: When, bucket: str) -> None:
    name = create(job_request(OBEDIENT, StoppingCondition={"MaxRuntimeInSeconds": 1}))
    job = when(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert statuses(job) == ["Starting", "Training", "Stopping", "Uploading", "MaxRuntimeExceeded"]
    assert archive(bucket, f"out/{name}/output/model.tar.gz") == {"partial": b"saved"}


# Counts to 3, a checkpoint at each number; where it is interrupted it waits at 1.
COUNTING = """
import time
state = base / 'checkpoints' / 'count'
count = int(state.read_text()) if state.exists() else 0
print(f'from {count}', flush=True)
resumed = count > 0
while count < 3:
    count += 1
    (base / 'checkpoints' / 'count.tmp').write_text(str(count))
    (base / 'checkpoints' / 'count.tmp').replace(state)
    if not resumed: time.sleep(60)
(base / 'model' / 'count').write_text(str(count))
"""


def spot(bucket: str, wait: int = 60) -> dict[str, Any]:
    return {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": wait},
        "CheckpointConfig": {"S3Uri": f"s3://{bucket}/checkpoints"},
    }


def test_an_interrupted_spot_job_goes_on_from_its_checkpoints(
    job_request: Make, when: When, bucket: str, aws: EmbeddedAws
) -> None:
    name = create(job_request(COUNTING, **spot(bucket)))
    when(name, has_printed(name, "from 0"))
    aws.sagemaker.training.interrupt("us-east-1", name, 1.2)
    job = when(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert statuses(job) == ["Starting", "Training", "Interrupted", "Starting", "Training", "Uploading", "Completed"]
    assert printed(name) == ["from 0", "from 1"]
    assert archive(bucket, f"out/{name}/output/model.tar.gz") == {"count": b"3"}
    assert boto3.client("s3").get_object(Bucket=bucket, Key="checkpoints/count")["Body"].read() == b"3"
    assert job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]


def test_a_spot_job_whose_capacity_stays_away_gives_up(
    job_request: Make, when: When, bucket: str, aws: EmbeddedAws
) -> None:
    request = job_request(COUNTING, **spot(bucket, wait=2))
    request["StoppingCondition"]["MaxRuntimeInSeconds"] = 2
    name = create(request)
    when(name, has_printed(name, "from 0"))
    aws.sagemaker.training.interrupt("us-east-1", name, 100)
    job = when(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert statuses(job) == ["Starting", "Training", "Interrupted", "MaxWaitTimeExceeded"]


def test_hosts_of_a_job_share_inputs_and_artifacts(job_request: Make, when: When, bucket: str) -> None:
    s3 = boto3.client("s3")
    for letter in "abc":
        s3.put_object(Bucket=bucket, Key=f"shards/{letter}", Body=b"")
    request = job_request(
        """
import json
config = json.loads((base / 'input/config/resourceconfig.json').read_text())
mine = sorted(os.listdir(base / 'input/data/train'))
(base / 'model' / config['current_host']).write_text(' '.join([*config['hosts'], *mine]))
""",
        InputDataConfig=[channel("train", f"s3://{bucket}/shards/")],
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
    )
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    name = create(request)
    assert when(name)["TrainingJobStatus"] == "Completed"
    model = archive(bucket, f"out/{name}/output/model.tar.gz")
    assert model == {"algo-1": b"algo-1 algo-2 a c", "algo-2": b"algo-1 algo-2 b"}
    streams = boto3.client("logs").describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")[
        "logStreams"
    ]
    assert [stream["logStreamName"].split("/")[1][:7] for stream in streams] == ["algo-1-", "algo-2-"]


def test_one_failing_host_ends_the_job(job_request: Make, when: When) -> None:
    program = """
import json, time
host = json.loads((base / 'input/config/resourceconfig.json').read_text())['current_host']
if host == 'algo-2': raise SystemExit(7)
time.sleep(60)
"""
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    job = when(create(job_request(program, ResourceConfig=resources)))
    assert job["FailureReason"] == "AlgorithmError: , exit code: 7"


def test_a_model_may_stay_unpacked(job_request: Make, when: When, bucket: str) -> None:
    output = {"S3OutputPath": f"s3://{bucket}/out", "CompressionType": "NONE"}
    name = create(job_request("(base / 'model' / 'm').write_text('w')", OutputDataConfig=output))
    assert when(name)["TrainingJobStatus"] == "Completed"
    assert boto3.client("s3").get_object(Bucket=bucket, Key=f"out/{name}/output/model/m")["Body"].read() == b"w"


def test_a_program_that_cannot_start_fails_the_job(job_request: Make, when: When) -> None:
    request = job_request()
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["/no/such/program"]
    job = when(create(request))
    assert job["FailureReason"].startswith("ClientError: CannotStartContainerError. cannot start the job")


def test_a_job_reaches_this_aws(job_request: Make, when: When, bucket: str) -> None:
    program = f"import boto3\nboto3.client('s3').put_object(Bucket='{bucket}', Key='from-inside', Body=b'x')"
    assert when(create(job_request(program)))["TrainingJobStatus"] == "Completed"
    assert boto3.client("s3").head_object(Bucket=bucket, Key="from-inside")["ContentLength"] == 1


def test_a_job_can_be_deleted_once_it_is_over(job_request: Make, when: When) -> None:
    sagemaker, request = boto3.client("sagemaker"), job_request(OBEDIENT)
    name = create(request)
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.delete_training_job(TrainingJobName=name)
    sagemaker.stop_training_job(TrainingJobName=name)
    when(name)
    sagemaker.delete_training_job(TrainingJobName=name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName=name)
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = [sys.executable, "-c", "pass"]
    create(request)  # its name is free again
    assert when(name)["TrainingJobStatus"] == "Completed"


def test_ten_jobs_at_once(job_request: Make, when: When) -> None:
    names = [create(job_request("(base / 'model' / 'm').write_text('w')")) for _ in range(10)]
    assert {when(name).get("FailureReason") for name in names} == {None}


def test_lines_of_any_length_arrive_whole(job_request: Make, when: When) -> None:
    """The service takes 256 KiB an event, less 26 bytes; what is no UTF-8 and a missing end do no harm."""
    program = """
import sys
for text in ("é" * 300_000, "x" * 262_118, "x" * 262_119, "", "1 %\\r2 %", "a\\0b"):
    print(text, flush=True)
sys.stdout.buffer.write(b"\\xff no end")
"""
    name = create(job_request(program.replace("\\\\", "\\")))
    assert when(name)["TrainingJobStatus"] == "Completed"
    messages = printed(name)
    assert max(len(message.encode()) for message in messages) == 262_118
    accented = [message for message in messages if "é" in message]
    assert "".join(accented) == "é" * 300_000
    rest = [message for message in messages if "é" not in message]
    assert [*map(len, rest[:3])] == [262_118, 262_118, 1]
    assert rest[3:] == [" ", "1 %\r2 %", "a\0b", "\ufffd no end"]


def test_a_clock_that_is_set_neither_ends_a_job_nor_bills_it(
    aws: EmbeddedAws, job_request: Make, when: When, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = create(job_request("import time\nprint('ready', flush=True)\ntime.sleep(2)", **spot(bucket, wait=60)))
    when(name, has_printed(name, "ready"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 6 * 3600)
    job = when(name)
    assert job["TrainingJobStatus"] == "Completed"
    assert 1 <= job["TrainingTimeInSeconds"] < 60
    assert job["BillableTimeInSeconds"] < 60
