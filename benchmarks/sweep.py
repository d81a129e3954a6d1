"""How fast the launcher submits: 1,000 jobs that take no time, on an embedded AWS in a process of its own.

    python benchmarks/sweep.py [--jobs 1000]

The server's ceiling is measured in the same run: as many threads as the launcher has send bytes that are ready, with as
little work for the client as can be.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from served import AHX, served
from trials import jobs_of

THREADS = 8


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
        assert len(jobs_of(name)) == n_jobs
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
    parser.add_argument("--jobs", type=int, default=1000)
    args = parser.parse_args()
    command = [*AHX, "aws", "--port", "0", "--instant", "--quota", "ml.m5.large=100000"]
    with served(*command), tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([*AHX, "infra", "apply", "--yes"], check=True, stdout=subprocess.DEVNULL)
        speed(args.jobs)
        os.chdir("/")


if __name__ == "__main__":
    main()
