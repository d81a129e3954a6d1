"""Many trials through the command line: what they cost, and whether any is lost.

    python benchmarks/trials.py thousand [--trials 1008]   # --on process: training's share, trials a minute, memory
    python benchmarks/trials.py aws [--trials 1008] [--start-seconds 120]   # an `ahx aws` with a quota of 4 instances
    python benchmarks/trials.py chaos [--trials 200]   # 20 spot jobs, faults, interruptions, kill -9

Trials are small models of double_a, twelve configurations with as many seeds as needed. `thousand` sets the clock of
the training loop to CPU time (cpu_clock/sitecustomize.py). Beside its sweep it runs `--alone` trials with a process
each, half of them before and half after, because other work on the machine changes its speed. `aws` runs `--alone`
trials with a job each, and multiplies.
"""

import argparse
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pool import CPU_CLOCK, children, cpu, proportional
from served import AHX, served

from ahx.errors import AhxError

QUOTA = 4
Ran = tuple[list[dict[str, Any]], float, float, int]
TWELVE = {"n_layer": "1,2", "n_embd": "16,32,48", "muon_learning_rate": "0.01,0.02"}


def sweep(name: str, n: int, steps: int, on: str, *more: str) -> list[str]:
    """The command of a sweep of about `n` trials."""
    grid = {**TWELVE, "seed": ",".join(map(str, range(round(n / 12) or 1)))}
    words = [word for one, values in grid.items() for word in ("--grid", f"{one}={values}")]
    words += ["--rule", "double_a", "--max-steps", str(steps), "--device", "cpu", "--json", *more]
    return [*AHX, "sweep", "--name", name, "--on", on, *words]


def rows(output: bytes) -> list[dict[str, Any]]:
    """The trials in the output of `ahx sweep --json`; each must be Completed."""
    told: list[dict[str, Any]] = json.loads(output)["jobs"]
    assert all(one["status"] == "Completed" for one in told), Counter(one["status"] for one in told)
    return told


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def is_training(pid: int) -> bool:
    """Whether it is the process of a job, or a worker of its pool."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:3] == [b"-m", b"entrypoints.container"]


def run(command: list[str]) -> Ran:
    """Run a sweep on this machine: its trials, wall and CPU seconds, and the most memory (PSS, kB) of its pool."""
    before, began, memory = cpu(), time.monotonic(), 0
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            pool = [pid for pid in descendants(os.getpid()) if is_training(pid)]
            memory = max(memory, sum(map(proportional, pool)))
            time.sleep(2)
        wall = time.monotonic() - began
        assert process.returncode == 0, process.returncode
        with suppress(ChildProcessError):
            while True:
                os.wait()
        out.seek(0)
        return rows(out.read()), wall, cpu() - before, memory


def thousand(n: int, steps: int, n_alone: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphaned jobs become our children
    os.environ["PYTHONPATH"] = os.pathsep.join([CPU_CLOCK, os.environ["PYTHONPATH"]])
    each: list[Ran] = []
    if n_alone:
        each.append(run(sweep("before", n_alone // 2, steps, "process", "--trials-per-job", "1")))
    trained, wall, total, memory = run(sweep("thousand", n, steps, "process"))
    if n_alone:
        each.append(run(sweep("after", n_alone // 2, steps, "process", "--trials-per-job", "1")))
    n, training = len(trained), sum(one["metrics"]["seconds"] for one in trained)
    jobs = len({one["job"] for one in trained})
    print(f"{n} trials in {jobs} job: {training:.1f} of {total:.1f} CPU s are training: {training / total:.1%}")
    print(f"each: {training / n:.3f} CPU s of training and {(total - training) / n:.3f} else; {wall:.0f} s in all")
    print(f"{60 * n / wall:.0f} trials a minute; memory at most {memory / 1024:.0f} MB (PSS of the pool)")
    if each:
        alone = sum(len(one[0]) for one in each)
        wall_each, cpu_each = sum(one[1] for one in each) / alone, sum(one[2] for one in each) / alone
        print(f"a process each ({alone} trials): {60 / wall_each:.0f} a minute, {cpu_each:.2f} CPU s each")
        print(
            f"the pool: {wall_each / (wall / n):.1f} times as many a minute, {cpu_each / (total / n):.1f} by CPU time"
        )


def aws(n: int, steps: int, n_alone: int) -> None:
    told: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], float]] = {}
    for name, size, more in (("one", n_alone, ["--trials-per-job", "1"]), ("many", n, [])):
        began = time.monotonic()
        done = subprocess.run(sweep(name, size, steps, "embedded", *more), stdout=subprocess.PIPE, check=True)
        told[name] = rows(done.stdout), described(name), time.monotonic() - began
    for name, (trials, jobs, wall) in told.items():
        seconds = sum((one["TrainingEndTime"] - one["CreationTime"]).total_seconds() for one in jobs)
        n_exact = [one["metrics"]["val_exact"] for one in trials].count(1.0)
        usd, each = sum(one["usd"] for one in trials), seconds / len(trials)
        print(f"{name}: {len(trials)} trials in {len(jobs)} jobs, {wall:.0f} s, {n_exact} exact")
        print(f"  {each:.1f} instance-seconds a trial, ${usd / len(trials):.6f} a trial, ${usd:.2f} in all")
        print(f"  for {n} trials: {each * n:,.0f} instance-seconds, ${usd / len(trials) * n:.2f}")


def jobs_of(name: str) -> list[dict[str, Any]]:
    """The summaries of a sweep's jobs, oldest first; faults that were asked for are waited out."""
    from infra import aws_clients

    client = aws_clients.client("sagemaker")
    for _ in range(20):
        try:
            pages = client.get_paginator("list_training_jobs").paginate(NameContains=f"ahx-{name}-")
            found = [row for page in pages for row in page["TrainingJobSummaries"]]
            return sorted(found, key=lambda row: (row["CreationTime"], row["TrainingJobName"]))
        except aws_clients.exceptions.ClientError:
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


def described(name: str) -> list[dict[str, Any]]:
    from infra import aws_clients

    client = aws_clients.client("sagemaker")
    return [client.describe_training_job(TrainingJobName=row["TrainingJobName"]) for row in jobs_of(name)]


def completions() -> Counter[str]:
    """How often each trial was completed, by the records of all jobs in the bucket."""
    from infra import aws_clients

    client, found = aws_clients.client("s3"), Counter[str]()
    for bucket in client.list_buckets()["Buckets"]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
        for one in (one for page in pages for one in page.get("Contents", ())):
            if one["Key"].endswith("/trials.jsonl"):
                text = client.get_object(Bucket=bucket["Name"], Key=one["Key"])["Body"].read()
                states = [json.loads(line) for line in text.splitlines()]
                found.update(state["key"] for state in states if state["status"] == "Completed")
    return found


def chaos(n: int, steps: int, launcher_kills: int = 3, worker_kills: int = 5, every: int = 5) -> None:
    """Every fifth job is interrupted, and a worker is killed in every third job until five are."""
    from infra.embedded import remote

    chance, began = random.Random(1), time.monotonic()
    remote.post("faults", {"kind": "throttle", "service": "sagemaker", "rate": 0.1})
    remote.post("faults", {"kind": "error", "service": "sagemaker", "rate": 0.05, "seed": 1})
    n_jobs = 20
    command = sweep("chaos", n, steps, "embedded", "--spot", "--trials-per-job", str(round(n / n_jobs)))
    interrupted, kills, killed = set[str](), 0, 0
    with tempfile.TemporaryFile() as out:
        launcher = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        while launcher.poll() is None:
            time.sleep(0.5)
            jobs = jobs_of("chaos")
            if kills < launcher_kills and len(jobs) >= n_jobs * (kills + 1) / (launcher_kills + 1):
                launcher.send_signal(signal.SIGKILL)
                launcher.wait()
                kills += 1
                print(f"kill -9 of the launcher after {time.monotonic() - began:.0f} s, {len(jobs)} jobs submitted")
                out.truncate(0)
                launcher = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            training = [row["TrainingJobName"] for row in jobs[::every] if row["TrainingJobStatus"] == "InProgress"]
            for name in set(training) - interrupted:
                with suppress(AhxError):  # it does not train yet
                    remote.post("interrupt", {"TrainingJobName": name, "Seconds": 1})
                    interrupted.add(name)
            workers = [pid for pid in descendants(os.getpid()) if is_training(pid) and is_training(parent(pid))]
            if workers and killed < worker_kills and len(jobs) > 3 * killed:
                os.kill(chance.choice(workers), signal.SIGKILL)
                killed += 1
        assert launcher.returncode == 0, launcher.returncode
        out.seek(0)
        trials = rows(out.read().lstrip(b"\0"))
    wall, told = time.monotonic() - began, completions()
    struck = ", ".join(f"{rule['hits']} {rule['kind']}" for rule in remote.get("faults")["faults"])
    remote.delete("faults")
    print(f"{len(trials)} trials in {len(jobs_of('chaos'))} jobs, {wall:.0f} s; {launcher_kills} launchers killed")
    print(f"{len(interrupted)} jobs interrupted; {killed} trial processes killed; faults: {struck}")
    keys = {one["key"] for one in trials}
    print(f"{len(keys)} have a result; lost: {len(keys - told.keys())}; twice: {sum(k > 1 for k in told.values())}")
    assert len(keys) == len(trials) == len(told) == sum(told.values())


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["thousand", "aws", "chaos"])
    parser.add_argument("--trials", type=int, help="1,008, and 204 for chaos; rounded to a multiple of 12")
    parser.add_argument("--steps", type=int, help="of training in each trial; 80, and 20 for chaos")
    parser.add_argument("--alone", type=int, default=24, help="thousand: with a process each; aws: with a job each")
    parser.add_argument("--start-seconds", default="120", help="aws: that each job waits for its instance")
    args = parser.parse_args()
    is_chaos = args.what == "chaos"
    n, steps = args.trials or (204 if is_chaos else 1008), args.steps or (20 if is_chaos else 80)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "thousand":
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
            os.chdir(folder)
            thousand(n, steps, args.alone)
        else:
            start = [] if is_chaos else ["--start-seconds", args.start_seconds]
            with served(*AHX, "aws", "--port", "0", "--process", "--quota", f"ml.m5.large={QUOTA}", *start):
                os.chdir(folder)
                subprocess.run([*AHX, "infra", "apply", "--yes"], check=True, stdout=subprocess.DEVNULL)
                chaos(n, steps) if is_chaos else aws(n, steps, args.alone)
        os.chdir("/")


if __name__ == "__main__":
    main()
