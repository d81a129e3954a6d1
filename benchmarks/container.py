"""The image: how long it takes to start training, and what signals at random moments cost.

    python benchmarks/container.py start [--turns 5]       from `docker run` to the first step, beside a bare process
    python benchmarks/container.py kill [--signals 20]     SIGTERM and SIGKILL at random moments, each job started again
    python benchmarks/container.py size                    the image by layer

Needs Docker and the image (`make image`); AHX_IMAGE names another one.
"""

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from infra.run_local.docker import docker, find_image
from infra.run_local.job import Job
from infra.run_local.runner import IMAGE, ContainerRunner, ProcessRunner, Runner
from opt_ml import tree as trees

NAME = os.environ.get("AHX_IMAGE", IMAGE)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
FIRST_STEP = {"rule": "double_a", "max_steps": "1", "val_samples": "1", "warmup_steps": "0"}
#: About as long in training as in starting; a checkpoint every 5 steps and an evaluation every 10.
KILLED = {
    "rule": "double_a", "n_layer": "1", "n_embd": "16", "n_head": "2", "max_steps": "300", "epoch_size": "320",
    "checkpoint_interval": "0.5", "dropout": "0.1", "val_samples": "100",
}  # fmt: skip


def start(args: argparse.Namespace, folder: Path) -> None:
    """Median seconds to the first step, in turns."""
    runners: dict[str, Runner] = {"bare process": ProcessRunner(), "docker run": ContainerRunner(NAME)}
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(args.turns):
        for name, runner in runners.items():
            tree = trees.build(folder / f"{name}-{turn}", FIRST_STEP, {})
            began = time.monotonic()
            job = runner.start(tree, ONE_THREAD)
            seconds[name].append(next(time.monotonic() - began for line in job.lines() if line.startswith("step=1;")))
            assert job.wait() == 0
    for name, all_of_them in seconds.items():
        shown = " ".join(f"{one:.2f}" for one in sorted(all_of_them))
        print(f"{name}: {statistics.median(all_of_them):.2f} s to the first step ({shown})")
    more = statistics.median(seconds["docker run"]) - statistics.median(seconds["bare process"])
    print(f"docker run takes {more:.2f} s more")


def kill(args: argparse.Namespace, folder: Path) -> None:
    """The kill table."""
    runner, rng = ContainerRunner(NAME), random.Random(args.seed)
    whole = runner.start(trees.build(folder / "whole", KILLED, {}), ONE_THREAD)
    assert whole.wait() == 0
    for name in args.names:
        same = 0
        for number in range(args.signals):
            # A quarter of them in the seconds before the first step, the others at any step, and any moment in it.
            step = rng.randrange(int(KILLED["max_steps"])) if rng.random() > 0.25 else 0
            seconds = rng.uniform(0, 0.5) if step else rng.uniform(0, 4)
            row = _killed(runner, folder / f"{name}-{number}", name, step, seconds, _weights(whole))
            same += row[1]
            print(f"SIG{name} {seconds:.2f} s after {f'step {step}' if step else 'the start'}: {row[0]}", flush=True)
        print(f"SIG{name}: {same} of {args.signals} bit-identical to the uninterrupted run", flush=True)


def _killed(
    runner: ContainerRunner, folder: Path, name: str, step: int, seconds: float, expected: bytes
) -> tuple[str, bool]:
    """One row: a job that gets a signal, and is started again with nothing but its checkpoints."""
    job = runner.start(trees.build(folder, KILLED, {}), ONE_THREAD)
    while job.is_running and _step(job) < step // 5 * 5:
        time.sleep(0.005)
    time.sleep(seconds)
    while job.is_running and docker("kill", "--signal", name, job.name).returncode:
        time.sleep(0.05)
    sent = time.monotonic()
    code = job.wait()
    took = time.monotonic() - sent
    left = _step(job)
    model = "model" if (job.tree.model / "model.safetensors").exists() else "no model"
    for lost in (job.tree.model, job.tree.output):
        shutil.rmtree(lost)
    again = runner.start(trees.build(folder, KILLED, {}), ONE_THREAD)
    second = again.wait()
    identical = second == 0 and _weights(again) == expected
    at = f"checkpoint at step {left}" if left else "no checkpoint yet"
    verdict = "bit-identical" if identical else "DIFFERENT"
    return f"code {code} after {took:.1f} s, {model}, {at}; started again: code {second}, {verdict}", identical


def _step(job: Job) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name.removeprefix("step-")) for path in job.tree.checkpoints.glob("step-*")), default=0)


def _weights(job: Job) -> bytes:
    file = job.tree.model / "model.safetensors"
    return file.read_bytes() if file.exists() else b""


def size(args: argparse.Namespace, folder: Path) -> None:
    """Megabytes of each layer."""
    form = "{{.Size}}\t{{.CreatedBy}}"
    for line in docker("history", "--human=false", "--no-trunc", "--format", form, NAME).stdout.splitlines():
        n_bytes, made_by = line.split("\t", 1)
        if int(n_bytes) > 10_000:
            print(f"{int(n_bytes) / 1e6:8.1f} MB  {made_by[:100]}")
    total = docker("image", "inspect", "--format", "{{.Size}}", NAME).stdout
    print(f"{int(total) / 1e6:8.1f} MB  in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["start", "kill", "size"])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--names", nargs="*", default=["TERM", "KILL"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    find_image(NAME)
    with tempfile.TemporaryDirectory() as folder:
        {"start": start, "kill": kill, "size": size}[args.what](args, Path(folder))


if __name__ == "__main__":
    main()
