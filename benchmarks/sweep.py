"""The launcher under fire, and how fast it is.

    python benchmarks/sweep.py chaos     # 200 jobs, quota 8, throttles, 5xx, kill -9, spot interruptions
    python benchmarks/sweep.py speed     # 1,000 submissions of jobs that take no time

Both run against an embedded AWS in a process of its own. In `chaos` the jobs are processes that take two seconds, or
with --real trainings, and every fifth is interrupted (stand_in.py). In `speed` the server's ceiling is measured in the
same run: as many threads as the launcher has send bytes that are ready, with as little work for the client as can be.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from served import AHX, served

THREADS = 8


def summaries(sweep: str) -> list[dict[str, Any]]:
    """All jobs of the sweep; faults that were asked for are waited out."""
    from infra import aws_clients

    client = aws_clients.client("sagemaker")
    for _ in range(10):
        try:
            pages = client.get_paginator("list_training_jobs").paginate(NameContains=f"ahx-{sweep}-")
            return [row for page in pages for row in page["TrainingJobSummaries"]]
        except aws_clients.exceptions.ClientError:
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


def chaos(n_jobs: int, kills: int) -> None:
    from infra.embedded import remote

    remote.post("faults", {"kind": "throttle", "service": "sagemaker", "rate": 0.1})
    remote.post("faults", {"kind": "error", "service": "sagemaker", "rate": 0.05, "seed": 1})
    words = [
        "--rule",
        "double_a",
        "--max-steps",
        "4",
        "--val-samples",
        "20",
        "--threads",
        "1",
        "--spot",
        "--trials-per-job",
        "1",
    ]
    seeds = ",".join(map(str, range(n_jobs)))
    command = [*AHX, "sweep", "--name", "chaos", "--on", "embedded", *words, "--grid", f"seed={seeds}", "--json"]
    begun = time.monotonic()
    with open("launcher.json", "w", encoding="utf-8") as out:
        for kill in range(kills):
            launcher = subprocess.Popen(command, stdout=out)
            while len(summaries("chaos")) < n_jobs * (kill + 1) / (kills + 1) and launcher.poll() is None:
                time.sleep(0.3)
            launcher.send_signal(signal.SIGKILL)
            launcher.wait()
            print(
                f"kill -9 of the launcher after {time.monotonic() - begun:.0f} s, {len(summaries('chaos'))} submitted"
            )
        subprocess.run([*AHX, "jobs", "attach", "chaos", "--on", "embedded", "--json"], check=True, stdout=out)
    seconds = time.monotonic() - begun
    remote_faults = remote.get("faults")["faults"]
    remote.delete("faults")
    rows, client = summaries("chaos"), boto3.client("sagemaker")
    told = [client.describe_training_job(TrainingJobName=row["TrainingJobName"]) for row in rows]
    interrupted = sum(any(t["Status"] == "Interrupted" for t in one["SecondaryStatusTransitions"]) for one in told)
    distinct = {json.dumps(one["InputDataConfig"], sort_keys=True) for one in told}
    statuses = dict(Counter(row["TrainingJobStatus"] for row in rows))
    struck = ", ".join(f"{rule['hits']} {rule['kind']}" for rule in remote_faults)
    print(f"{len(rows)} jobs of {len(distinct)} distinct sets of trials in {seconds:.0f} s; {statuses}")
    print(f"{interrupted} interrupted; faults: {struck}")


def speed(n_jobs: int) -> None:
    from infra.launch.backends.choose import open_backend
    from infra.launch.engine import Engine
    from infra.launch.job_request import job_name, training_job
    from infra.launch.options import Options
    from infra.launch.plan import plan, publish
    from infra.launch.sweep import Sweep

    backend = open_backend("embedded")
    seeds = {"seed": tuple(map(str, range(n_jobs)))}
    planned = plan(
        backend, Sweep("speed", {"rule": "double_a"}, seeds), Options(max_parallel=n_jobs, trials_per_job="1")
    )
    publish(backend, planned)
    address = backend.share([Path(__file__)], "trials")
    requests = [training_job(planned.template, job_name(planned.template, one), address) for one in planned.configs]
    rates: dict[str, list[float]] = {"server": [], "launcher": []}
    for turn in range(3):
        rates["server"].append(
            ceiling([{**r, "TrainingJobName": f"ahx-raw-{turn}-{n}"} for n, r in enumerate(requests)])
        )
        name = f"speed-{turn}"
        planned = plan(
            backend, Sweep(name, {"rule": "double_a"}, seeds), Options(max_parallel=n_jobs, trials_per_job="1")
        )
        engine = Engine(backend, name, planned.manifest)
        begun = time.monotonic()
        while any(trial.job is None for trial in engine.state.trials):
            engine.submit()
        rates["launcher"].append(n_jobs / (time.monotonic() - begun))
        assert len(summaries(name)) == n_jobs
        begun = time.monotonic()
        engine.poll()
        back = time.monotonic() - begun
        print(
            f"server {rates['server'][-1]:.0f}/s, launcher {rates['launcher'][-1]:.0f}/s; all read back in {back:.1f} s"
        )
    ratio = sorted(ours / theirs for ours, theirs in zip(rates["launcher"], rates["server"], strict=True))[1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"median of ratios {ratio:.2f}; the launcher's memory {memory:.0f} MB")


def ceiling(requests: Sequence[dict[str, Any]]) -> float:
    """CreateTrainingJob requests a second that the server answers, from bytes that are ready and signed."""
    host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    names = {"X-Amz-Target": "SageMaker.CreateTrainingJob", "Content-Type": "application/x-amz-json-1.1"}
    signer = SigV4Auth(boto3.Session().get_credentials(), "sagemaker", "us-east-1")
    ready = []
    for request in requests:
        signed = AWSRequest("POST", f"http://{host}/", names, json.dumps(request).encode())
        signer.add_auth(signed)
        ready.append((signed.data, dict(signed.headers)))

    def send(some: Sequence[tuple[bytes, dict[str, str]]]) -> None:
        connection = HTTPConnection(host)
        for body, headers in some:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
        connection.close()

    begun = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, [ready[n::THREADS] for n in range(THREADS)]))
    return len(ready) / (time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["chaos", "speed"])
    parser.add_argument("--jobs", type=int, help="200, and 1,000 for speed")
    parser.add_argument("--real", action="store_true", help="chaos: jobs that train")
    args = parser.parse_args()
    if args.what == "speed":
        command = [*AHX, "aws", "--port", "0", "--instant", "--quota", "ml.m5.large=100000"]
    else:
        real = ["--real"] if args.real else []
        command = [sys.executable, str(Path(__file__).with_name("stand_in.py").resolve()), "8", *real]
    with served(*command), tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([*AHX, "infra", "apply", "--yes"], check=True, stdout=subprocess.DEVNULL)
        if args.what == "chaos":
            chaos(args.jobs or 200, kills=3)
        else:
            speed(args.jobs or 1000)
        os.chdir("/")


if __name__ == "__main__":
    main()
