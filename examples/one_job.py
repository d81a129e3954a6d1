"""The whole way of one training job, on a machine with no AWS account: set up, train, read back, take down.

    python examples/one_job.py

It runs itself inside an AWS of this machine (`ahx aws`). There the account is set up, and data and image go to where
SageMaker takes them from. The job is then asked for as anybody's script would do it, in plain boto3, with nothing of
this project but the image; it runs as a container. Without Docker or the image (`make image`) it runs as a process.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AHX = [sys.executable, "-m", "entrypoints.main"]
IMAGE = os.environ.get("AHX_IMAGE", "ahx-transformer:dev")
NAME, LOGS = "ahx-one-job", "/aws/sagemaker/TrainingJobs"
OVER = ("Completed", "Failed", "Stopped")


def main() -> None:
    if "AWS_ENDPOINT_URL" not in os.environ:
        kind = [f"--image={IMAGE}"] if has_image() else ["--process"]
        again = shlex.join([sys.executable, str(Path(__file__).resolve())])
        os.execv(sys.executable, [*AHX, "aws", "--port", "0", *kind, "--run", again])
    import boto3

    account, region = boto3.client("sts").get_caller_identity()["Account"], os.environ["AWS_DEFAULT_REGION"]
    bucket, role = f"ahx-{account}-{region}", f"arn:aws:iam::{account}:role/ahx-training-{region}"
    with step("ahx infra plan: what there would be"):
        ahx("infra", "plan", code=2)
    with step("ahx infra apply: bucket, role, image repository, logs, alarms"):
        ahx("infra", "apply", "--yes", quiet=True)
    with step("data to S3"), tempfile.TemporaryDirectory() as folder:
        ahx("gen-data", "--rule", "double_a", "--num-samples", "10000", "--max-len", "12", f"{folder}/da")
        for file in sorted(Path(folder).iterdir()):
            boto3.client("s3").upload_file(str(file), bucket, f"data/da/{file.name}")
    image = f"{account}.dkr.ecr.{region}.amazonaws.com/ahx-transformer:any"
    if has_image():
        with step("ahx push: the image to ECR"):
            image = json.loads(ahx("push", "--image", IMAGE, "--json"))["image"]
    with step("one training job"):
        job = train(bucket, role, image)
    with step("its logs, metrics and model"):
        read_back(job)
    with step("ahx eval --model s3://..."):
        ahx("eval", "--model", job["ModelArtifacts"]["S3ModelArtifacts"], "--rule", "double_a", "--max-len", "12")
    with step("ahx infra destroy: nothing is left"):
        ahx("infra", "destroy", "--yes", "--delete-data", quiet=True)
        print("left:", left() or "nothing")


def train(bucket: str, role: str, image: str) -> dict[str, Any]:
    """The job, when it is over, as DescribeTrainingJob tells of it."""
    import boto3

    sagemaker = boto3.client("sagemaker")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/da/"}}
    sagemaker.create_training_job(
        TrainingJobName=NAME,
        AlgorithmSpecification={
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "exact", "Regex": "val_exact=([0-9.]+)"}],
        },
        RoleArn=role,
        HyperParameters={"num_epochs": "1", "threads": "1"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    shown = ""
    while True:
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=NAME)
        if job["SecondaryStatus"] != shown:
            shown = job["SecondaryStatus"]
            print(f"{shown}: {job['SecondaryStatusTransitions'][-1].get('StatusMessage', '')}", flush=True)
        if job["TrainingJobStatus"] in OVER:
            break
        time.sleep(0.2)
    if job["TrainingJobStatus"] != "Completed":
        raise SystemExit(f"{NAME} is {job['TrainingJobStatus']}: {job.get('FailureReason')}")
    return job


def read_back(job: dict[str, Any]) -> None:
    import boto3

    logs = boto3.client("logs")
    streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix=f"{NAME}/")["logStreams"]
    for stream in streams:
        events = logs.get_log_events(logGroupName=LOGS, logStreamName=stream["logStreamName"])["events"]
        print(f"{stream['logStreamName']}: {len(events)} lines, the last of them:")
        print(*(f"  {event['message']}" for event in events[-3:]), sep="\n")
    for one in job["FinalMetricDataList"]:
        print(f"{one['MetricName']} = {one['Value']:g}")
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    bucket, _, key = model.removeprefix("s3://").partition("/")
    print(f"{model}: {boto3.client('s3').head_object(Bucket=bucket, Key=key)['ContentLength']:,} bytes")
    print(f"{job['TrainingTimeInSeconds']} s, {job['BillableTimeInSeconds']} of them billable")


def left() -> list[str]:
    """What the account still holds, but for the log that SageMaker itself keeps."""
    import boto3

    found = [f"bucket {one['Name']}" for one in boto3.client("s3").list_buckets()["Buckets"]]
    found += [f"role {one['RoleName']}" for one in boto3.client("iam").list_roles()["Roles"]]
    found += [
        f"repository {one['repositoryName']}" for one in boto3.client("ecr").describe_repositories()["repositories"]
    ]
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    found += [f"log group {one['logGroupName']}" for one in groups if one["logGroupName"] != LOGS]
    watch = boto3.client("cloudwatch")
    found += [f"alarm {one['AlarmName']}" for one in watch.describe_alarms()["MetricAlarms"]]
    found += [f"dashboard {one['DashboardName']}" for one in watch.list_dashboards()["DashboardEntries"]]
    return found + [f"rule {one['Name']}" for one in boto3.client("events").list_rules()["Rules"]]


def ahx(*words: str, code: int = 0, quiet: bool = False) -> str:
    """What the command prints; it is shown too, unless it is `quiet`."""
    print("$", shlex.join(["ahx", *words]), flush=True)
    done = subprocess.run([*AHX, *words], stdout=subprocess.PIPE, text=True, check=False)
    if not quiet or done.returncode != code:
        print(done.stdout, end="", flush=True)
    if done.returncode != code:
        raise SystemExit(f"ahx {words[0]} ended with {done.returncode}")
    return done.stdout


def has_image() -> bool:
    try:
        return subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def step(title: str) -> Iterator[None]:
    begun = time.monotonic()
    print(f"\n-- {title}", flush=True)
    yield
    print(f"   ({time.monotonic() - begun:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
