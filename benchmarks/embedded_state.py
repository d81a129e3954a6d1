"""What keeping costs, and what a kill loses: `ahx aws` with and without --state and --durable.

    python benchmarks/embedded_state.py speed            # requests a second, side by side
    python benchmarks/embedded_state.py speed --held 2000  # with so many objects, roles and jobs there before
    python benchmarks/embedded_state.py kills            # ten times kill -9 under load: acknowledged / lost

`speed` runs the servers at the same time and asks them in turns, so that what else the machine does meets them alike.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from embedded_aws import BUCKET, prepare, request

GROUP, STREAM = "/load", "one"
Clients = Callable[[str], Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["speed", "kills"])
    parser.add_argument("--held", type=int, default=0, help="Objects, roles and jobs that are there before. (0)")
    parser.add_argument("--rounds", type=int, default=10, help="Rounds of requests, or kills. (10)")
    parser.add_argument("--durable", action="store_true", help="Kill a server with --durable.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "speed":
            speed(Path(folder), args.held, args.rounds)
        else:
            kills(Path(folder), args.rounds, ["--durable"] if args.durable else [])


def speed(folder: Path, held: int, rounds: int) -> None:
    ways = {
        "none": [],
        "--state": ["--state", str(folder / "state")],
        "--state --durable": ["--state", str(folder / "durable"), "--durable"],
    }
    with ExitStack() as stack:
        servers = {name: stack.enter_context(server(options))[0] for name, options in ways.items()}
        for clients in servers.values():
            prepare(clients)
            clients("logs").create_log_group(logGroupName=GROUP)
            clients("logs").create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
            for number in range(held):
                small(clients, f"held-{number}")
                role(clients, f"held-{number}")
                job(clients, f"held-{number}")
        print(f"| request, {held:,} held | {' | '.join(f'{name} (1/s)' for name in ways)} | ratios |")
        print("|---|" + "---|" * (len(ways) + 1))
        for what, (ask, count) in REQUESTS.items():
            times: dict[str, list[float]] = {name: [] for name in ways}
            for turn in range(rounds):
                for name, clients in servers.items():
                    begun = time.perf_counter()
                    for number in range(count):
                        ask(clients, f"{turn}-{number}")
                    times[name].append((time.perf_counter() - begun) / count)
            rates = [1 / statistics.median(found) for found in times.values()]
            ratios = ", ".join(f"{rate / rates[0]:.2f}" for rate in rates[1:])
            print(f"| {what} | {' | '.join(f'{rate:.0f}' for rate in rates)} | {ratios} |", flush=True)


def small(clients: Clients, name: str) -> None:
    clients("s3").put_object(Bucket=BUCKET, Key=f"small/{name}", Body=b"x" * 100)


def large(clients: Clients, name: str) -> None:
    clients("s3").put_object(Bucket=BUCKET, Key=f"large/{name}", Body=bytes(1 << 20))


def parts(clients: Clients, name: str) -> None:
    s3, where = clients("s3"), {"Bucket": BUCKET, "Key": f"parts/{name}"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    done = []
    for number, size in ((1, 5 << 20), (2, 1 << 20)):
        part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=bytes(size))
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})


def job(clients: Clients, name: str) -> None:
    clients("sagemaker").create_training_job(**request(f"load-{name}"))


def log(clients: Clients, name: str) -> None:
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": f"line {number} of {name}"} for number in range(20)]
    clients("logs").put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


def role(clients: Clients, name: str) -> None:
    clients("iam").create_role(RoleName=f"role-{name}", AssumeRolePolicyDocument="{}")


REQUESTS: dict[str, tuple[Callable[[Clients, str], None], int]] = {
    "PutObject, 100 bytes": (small, 30),
    "PutObject, 1 MB": (large, 10),
    "multipart, 5 MB and 1 MB": (parts, 3),
    "CreateTrainingJob, --instant": (job, 30),
    "PutLogEvents, 20 lines": (log, 30),
    "CreateRole": (role, 30),
}


def kills(folder: Path, rounds: int, options: list[str]) -> None:
    state = ["--state", str(folder / "state"), *options]
    acknowledged: list[Kept] = []
    with server(state) as (clients, _):
        prepare(clients)
        clients("logs").create_log_group(logGroupName=GROUP)
        clients("logs").create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    total = lost = 0
    for turn in range(rounds):
        with server(state) as (clients, process):
            lost += len([kept for kept in acknowledged if not kept[0](clients, kept[1])])
            total, acknowledged = total + len(acknowledged), []
            writers = [threading.Thread(target=write, args=(clients, f"{turn}-{n}", acknowledged)) for n in range(6)]
            for writer in writers:
                writer.start()
            time.sleep(random.uniform(0.5, 3.0))
            process.kill()
            for writer in writers:
                writer.join()
        print(f"kill {turn + 1}: {len(acknowledged)} acknowledged since the last", flush=True)
    with server(state) as (clients, _):
        lost += len([kept for kept in acknowledged if not kept[0](clients, kept[1])])
    print(f"acknowledged {total + len(acknowledged)}, lost {lost}")


Kept = tuple[Callable[[Clients, str], bool], str]


def write(clients: Clients, name: str, acknowledged: list[Kept]) -> None:
    """Until the server is gone."""
    number = 0
    while True:
        number += 1
        one = f"{name}-{number}"
        ask, is_there = WRITES[number % len(WRITES)]
        try:
            ask(clients, one)
        except (ClientError, BotoCoreError, ResponseParserError):
            return
        acknowledged.append((is_there, one))


def is_object(clients: Clients, name: str) -> bool:
    return bool(clients("s3").head_object(Bucket=BUCKET, Key=f"small/{name}"))


def is_job(clients: Clients, name: str) -> bool:
    return bool(clients("sagemaker").describe_training_job(TrainingJobName=f"load-{name}"))


def is_role(clients: Clients, name: str) -> bool:
    return bool(clients("iam").get_role(RoleName=f"role-{name}"))


def is_logged(clients: Clients, name: str) -> bool:
    found = clients("logs").filter_log_events(logGroupName=GROUP, filterPattern=f'"line 19 of {name}"')
    return any(event["message"] == f"line 19 of {name}" for event in found["events"])


WRITES: list[tuple[Callable[[Clients, str], None], Callable[[Clients, str], bool]]] = [
    (small, is_object),
    (job, is_job),
    (role, is_role),
    (log, is_logged),
]


@contextmanager
def server(options: list[str]) -> Iterator[tuple[Clients, "subprocess.Popen[str]"]]:
    aws = [sys.executable, "-m", "entrypoints.main", "aws", "--port", "0"]
    command = [*aws, "--instant", "--quota", "ml.m5.large=100"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout
        exported: dict[str, str] = {}
        for line in process.stdout:
            exported |= dict(re.findall(r"export (\w+)=(\S+)", line))
            if line.startswith("# Jobs"):
                break
        yield client_maker(exported), process
    finally:
        process.terminate()
        process.communicate(timeout=120)


def client_maker(exported: dict[str, str]) -> Clients:
    made: dict[str, Any] = {}
    session = boto3.Session(
        aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, endpoint_url=exported["AWS_ENDPOINT_URL"], config=config)
        return made[service]

    for service in ("s3", "iam", "sagemaker", "logs"):
        client(service)
    return client


if __name__ == "__main__":
    main()
