"""The same small scripts against plain moto and against the embedded AWS, and what a request costs on either.

    python benchmarks/embedded_aws.py              # both parts
    python benchmarks/embedded_aws.py --jobs 200   # a shorter second part

Each script is what anybody's launcher does, in plain boto3. A row of the table says what came of it on either server.
The second part creates instant jobs, which run nothing, as load tests do; both servers are processes of their own.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

ROLE, BUCKET = "arn:aws:iam::123456789012:role/trainer", "data-bucket"
FAILS = ["sh", "-c", "echo 'no such rule: x' > $SAGEMAKER_BASE_DIR/output/failure; exit 3"]
PRINTS = ["sh", "-c", "echo 'loss=0.25;'; cp -r $SAGEMAKER_BASE_DIR/input/data/train $SAGEMAKER_BASE_DIR/model/"]
Clients = Callable[[str], Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1_000, help="How many instant jobs are created. (1000)")
    jobs = parser.parse_args().jobs
    table: dict[str, list[str]] = {}
    for start in (moto, embedded):
        with start() as clients:
            prepare(clients)
            for script in SCRIPTS:
                table.setdefault((script.__doc__ or "").strip(), []).append(outcome(script, clients))
    print("| script | plain moto 5.2.5 | embedded AWS |\n|---|---|---|")
    for what, found in table.items():
        print(f"| {what} | {' | '.join(found)} |")
    for start, name in ((moto, "plain moto"), (instant, "embedded AWS, --instant")):
        with start() as clients:
            prepare(clients)
            print(f"\n{name}: {cost(clients, jobs)}")


def outcome(script: Callable[[Clients], str], clients: Clients) -> str:
    try:
        return script(clients)
    except ClientError as error:
        text = str(error.response["Error"]["Message"]) or "no message"
        return f"{error.response['Error']['Code']}: {text[:90]}{'...' if len(text) > 90 else ''}"
    except ResponseParserError:
        return "500: a page of HTML"


def request(name: str, command: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/any:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": command or ["true"],
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    } | more


def create(clients: Clients, name: str, command: list[str] | None = None, **more: Any) -> str:
    clients("sagemaker").create_training_job(**request(name, command, **more))
    return "accepted"


def finished(clients: Clients, name: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        job: dict[str, Any] = clients("sagemaker").describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return job
        time.sleep(0.05)
    raise SystemExit(f"{name} does not end")


def statuses(clients: Clients) -> str:
    """a job's statuses"""
    channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train/"}}
    inputs = [{"ChannelName": "train", "DataSource": channel}]
    create(clients, "statuses", PRINTS, InputDataConfig=inputs)
    return " > ".join(one["Status"] for one in finished(clients, "statuses")["SecondaryStatusTransitions"])


def model(clients: Clients) -> str:
    """its model in S3"""
    job = finished(clients, "statuses")
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    size = clients("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]
    return f"{key}, {size} bytes"


def metrics(clients: Clients) -> str:
    """its metrics, by its regular expressions"""
    found = finished(clients, "statuses").get("FinalMetricDataList", [])
    return ", ".join(f"{one['MetricName']} {one['Value']:g}" for one in found) or "none"


def logs(clients: Clients) -> str:
    """its log"""
    group = "/aws/sagemaker/TrainingJobs"
    streams = clients("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix="statuses/")["logStreams"]
    events = clients("logs").get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]
    return str([event["message"] for event in events])


def failing(clients: Clients) -> str:
    """a program that exits with 3 and writes a failure file"""
    create(clients, "failing", FAILS)
    job = finished(clients, "failing")
    return f"{job['TrainingJobStatus']}, {job.get('FailureReason', 'no reason')}"


def twice(clients: Clients) -> str:
    """a name that is taken"""
    return create(clients, "failing")


def bad_name(clients: Clients) -> str:
    """the name a_b"""
    return create(clients, "a_b")


def bad_role(clients: Clients) -> str:
    """a role that does not exist"""
    return create(clients, "role", RoleArn="arn:aws:iam::123456789012:role/nobody")


def bad_bucket(clients: Clients) -> str:
    """an input that does not exist"""
    channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://no-such-bucket/x"}}
    return create(clients, "bucket", InputDataConfig=[{"ChannelName": "train", "DataSource": channel}])


def bad_type(clients: Clients) -> str:
    """the instance type ml.m5.tiny"""
    resources = {"InstanceType": "ml.m5.tiny", "InstanceCount": 1, "VolumeSizeInGB": 1}
    return create(clients, "type", ResourceConfig=resources)


def spot(clients: Clients) -> str:
    """managed spot without MaxWaitTimeInSeconds"""
    return create(clients, "spot", EnableManagedSpotTraining=True)


def environment(clients: Clients) -> str:
    """Environment in DescribeTrainingJob"""
    create(clients, "environment", Environment={"A": "1"})
    return str(finished(clients, "environment").get("Environment", "dropped"))


def stop(clients: Clients) -> str:
    """StopTrainingJob"""
    create(clients, "stop", ["sleep", "30"])
    clients("sagemaker").stop_training_job(TrainingJobName="stop")
    return str(finished(clients, "stop")["TrainingJobStatus"])


def over_time(clients: Clients) -> str:
    """30 s of work, MaxRuntimeInSeconds 1"""
    create(clients, "time", ["sleep", "30"], StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = finished(clients, "time")
    return f"{job['TrainingJobStatus']}, {job['SecondaryStatus']}"


def order(clients: Clients) -> str:
    """ListTrainingJobs by name, descending"""
    rows = clients("sagemaker").list_training_jobs(SortBy="Name", SortOrder="Descending")["TrainingJobSummaries"]
    names = [row["TrainingJobName"] for row in rows]
    return "sorted" if names == sorted(names, reverse=True) else "not sorted"


def found(clients: Clients) -> str:
    """Search for failed jobs"""
    filters = [{"Name": "TrainingJobStatus", "Operator": "Equals", "Value": "Failed"}]
    results = clients("sagemaker").search(Resource="TrainingJob", SearchExpression={"Filters": filters})["Results"]
    return f"{len(results)} found"


def quota(clients: Clients) -> str:
    """service-quotas of SageMaker"""
    page = clients("service-quotas").list_service_quotas(ServiceCode="sagemaker")
    return f"{len(page['Quotas'])} on the first page"


def simulation(clients: Clients) -> str:
    """SimulatePrincipalPolicy"""
    asked = {"PolicySourceArn": ROLE, "ActionNames": ["s3:GetObject"]}
    return str(clients("iam").simulate_principal_policy(**asked)["EvaluationResults"][0]["EvalDecision"])


def tls(clients: Clients) -> str:
    """reading under a policy that denies what is not TLS"""
    s3 = clients("s3")
    s3.create_bucket(Bucket="tls-only")
    s3.put_object(Bucket="tls-only", Key="k")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::tls-only/*"}
    policy = {"Version": "2012-10-17", "Statement": [deny | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps(policy))
    s3.get_object(Bucket="tls-only", Key="k")
    return "read"


SCRIPTS = [statuses, model, metrics, logs, failing, twice, bad_name, bad_role, bad_bucket, bad_type, spot, environment]
SCRIPTS += [stop, over_time, order, found, quota, simulation, tls]


def cost(clients: Clients, jobs: int) -> str:
    """Creates jobs one after the other, and lists them by pages of 100; medians and totals."""
    sagemaker, times = clients("sagemaker"), []
    begun = time.perf_counter()
    for number in range(jobs):
        one = time.perf_counter()
        sagemaker.create_training_job(**request(f"load-{number}"))
        times.append(time.perf_counter() - one)
    created = time.perf_counter() - begun
    begun = time.perf_counter()
    pages = sagemaker.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 100})
    rows = sum(len(page["TrainingJobSummaries"]) for page in pages)
    listed = time.perf_counter() - begun
    return (
        f"{jobs:,} jobs created in {created:.1f} s ({jobs / created:.0f}/s, median "
        f"{1e3 * statistics.median(times):.1f} ms each), {rows:,} listed by pages of 100 in {listed:.2f} s"
    )


def prepare(clients: Clients) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    clients("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument=policy)
    clients("s3").create_bucket(Bucket=BUCKET)
    clients("s3").put_object(Bucket=BUCKET, Key="train/a.txt", Body=b"A -> AA")


@contextmanager
def moto() -> Iterator[Clients]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _process(command, subprocess.DEVNULL):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield _clients(f"http://127.0.0.1:{port}")


@contextmanager
def embedded(*options: str) -> Iterator[Clients]:
    command = [sys.executable, "-m", "entrypoints.main", "aws", "--port", "0", *(options or ("--process",))]
    with _process(command, subprocess.PIPE) as process:
        assert process.stdout
        told = dict(re.findall(r"export (\w+)=(\S+)", "".join(process.stdout.readline().decode() for _ in range(3))))
        yield _clients(told["AWS_ENDPOINT_URL"], told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])


def instant() -> Any:
    return embedded("--instant", "--quota", "ml.m5.large=100")


@contextmanager
def _process(command: list[str], out: int) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _clients(endpoint: str, key: str = "test", secret: str = "test") -> Clients:
    made: dict[str, Any] = {}
    config = Config(retries={"total_max_attempts": 1})

    def client(service: str) -> Any:
        if service not in made:
            made[service] = boto3.Session(key, secret, region_name="us-east-1").client(
                service, endpoint_url=endpoint, config=config
            )
        return made[service]

    return client


if __name__ == "__main__":
    main()
