"""Five training jobs on an AWS of this machine: interrupted spot, stopped, over its time, failing, over a quota.

    python examples/embedded_jobs.py

It starts an embedded AWS (`ahx aws --process`), asks for the jobs as any script would, in plain boto3, and prints what
became of each: statuses, transitions, times, artifacts and reasons. It takes about 45 seconds: the first job
works for 30, in which its instances are taken away once.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.embedded.server import EmbeddedAws

# Counts seconds up to 30, with a checkpoint at each; on SIGTERM it keeps what it has as a model, and ends.
WORK = """
import os, pathlib, signal, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
state = base / "checkpoints" / "second"
done = int(state.read_text()) if state.exists() else 0
def stop(*_):
    (base / "model" / "partial").write_text(str(done))
    print(f"stopped at second {done}", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print(f"starts at second {done}", flush=True)
while done < 30:
    time.sleep(1)
    done += 1
    state.with_suffix(".new").write_text(str(done))
    state.with_suffix(".new").replace(state)
    print(f"second={done};", flush=True)
(base / "model" / "whole").write_text(str(done))
"""
FAIL = """
import os, pathlib, sys
(pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "output" / "failure").write_text("rule: there is no preset 'doble_a'")
sys.exit(2)
"""
BUCKET, GROUP = "example-bucket", "/aws/sagemaker/TrainingJobs"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws(0, quotas={"ml.m5.large": 4}) as aws:
        os.environ.update(aws.environment)
        role = prepare()

        def ask(name: str, program: str = WORK, **more: Any) -> str:
            source = Path(folder) / f"{name}.py"
            source.write_text(program)
            try:
                boto3.client("sagemaker").create_training_job(**request(name, role, source) | more)
            except ClientError as error:
                print(f"\n{name}\n  refused: {error.response['Error']['Code']}: {error.response['Error']['Message']}")
            return name

        times = {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 200}
        interrupted = ask("interrupted", EnableManagedSpotTraining=True, StoppingCondition=times)
        stopped = ask("stopped")
        late = ask("late", StoppingCondition={"MaxRuntimeInSeconds": 5})
        failing = ask("failing", FAIL)
        ask("over-quota", ResourceConfig=instances(2))  # 3 of 4 are in use: the spot job counts for another quota
        time.sleep(8)
        boto3.client("sagemaker").stop_training_job(TrainingJobName=stopped)
        aws.sagemaker.training.interrupt(aws.region, interrupted, seconds=3)
        for name in (failing, late, stopped, interrupted):
            show(name)


def prepare() -> str:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(boto3.client("iam").create_role(RoleName="example", AssumeRolePolicyDocument=policy)["Role"]["Arn"])


def instances(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def request(name: str, role: str, source: Path) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/example:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [sys.executable, str(source)],
            "MetricDefinitions": [{"Name": "second", "Regex": "second=([0-9]+);"}],
        },
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/{name}"},
        "ResourceConfig": instances(1),
        "StoppingCondition": {"MaxRuntimeInSeconds": 100},
    }


def show(name: str) -> None:
    sagemaker, s3, logs = boto3.client("sagemaker"), boto3.client("s3"), boto3.client("logs")
    for _ in range(120):
        job = sagemaker.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        time.sleep(1)
    print(f"\n{name}\n  status: {job['TrainingJobStatus']}, {job['SecondaryStatus']}")
    if reason := job.get("FailureReason"):
        print(f"  reason: {reason}")
    steps = [
        f"{one['Status']} {(one['EndTime'] - one['StartTime']).total_seconds():.1f} s"
        for one in job["SecondaryStatusTransitions"]
    ]
    print(f"  transitions: {' > '.join(steps)}")
    print(f"  seconds: {job['TrainingTimeInSeconds']} on instances, {job['BillableTimeInSeconds']} billable")
    told = [f"{one['MetricName']} {one['Value']:g}" for one in job["FinalMetricDataList"]]
    print(f"  metrics: {', '.join(told)}")
    kept = [
        item["Key"]
        for prefix in (f"out/{name}/", f"checkpoints/{name}/")
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    ]
    print(f"  in S3: {', '.join(kept)}")
    for stream in logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]:
        events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"])["events"]
        told = [event["message"] for event in events if not event["message"].startswith("second=")]
        print(f"  log {stream['logStreamName'].partition('/')[2]}: {len(events)} lines; {'; '.join(told)}")


if __name__ == "__main__":
    main()
