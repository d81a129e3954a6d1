"""What a pool of trials costs beside the trainings themselves.

    python benchmarks/pool.py share --trials 100   # training's share of all CPU time, and the pool's memory
    python benchmarks/pool.py bits --trials 50     # weights against those of `ahx train`, in a process each

The trials are small models of double_a, 0.5 CPU seconds of training each. `share` sets the training loop's clock to
CPU time (cpu_clock/sitecustomize.py), so that `seconds` in metrics.jsonl are CPU seconds, and compares them with the
CPU time of all processes. trials.py measures the same for whole sweeps.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

CPU_CLOCK = str(Path(__file__).parent / "cpu_clock")
SHARED = {"rule": "double_a", "max_steps": "80", "device": "cpu"}


def configurations(n: int) -> Iterator[dict[str, str]]:
    """Twelve small models, with as many seeds as needed."""
    for seed, n_layer, n_embd, rate in product(range(n), "12", ("16", "32", "48"), ("0.01", "0.02")):
        yield {"n_layer": n_layer, "n_embd": n_embd, "muon_learning_rate": rate, "seed": str(seed)}


def trials(n: int) -> dict[str, dict[str, str]]:
    return {f"t{number:04}": one for number, one in zip(range(n), configurations(n), strict=False)}


def job(folder: Path, asked: Mapping[str, Mapping[str, str]], at_once: int, evaluate: bool = True) -> Path:
    """A job's tree with these trials; its base."""
    from opt_ml import tree

    (folder / "trials").mkdir()
    listed = [{"key": key, "hyperparameters": one} for key, one in asked.items()]
    text = json.dumps({"format": 1, "trials": listed, "trials_at_once": at_once, "evaluate": evaluate})
    (folder / "trials" / "trials.json").write_text(text, "utf-8")
    return tree.build(folder / "job", SHARED, {"trials": folder / "trials"}).base


def pool(base: Path, *, cpu_clock: bool = False) -> tuple[float, float, int]:
    """Run the job: wall seconds, CPU seconds of all its processes, and the most memory (PSS, kB) that they shared."""
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    if cpu_clock:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [CPU_CLOCK, os.environ.get("PYTHONPATH")]))
    before, began = cpu(), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "entrypoints.container"], env=environment, stdout=subprocess.DEVNULL
    )
    memory = 0
    while process.poll() is None:
        memory = max(memory, sum(map(proportional, [process.pid, *children(process.pid)])))
        time.sleep(1)
    assert process.returncode == 0, process.returncode
    return time.monotonic() - began, cpu() - before, memory


def cpu() -> float:
    """CPU seconds of all children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children(pid: int) -> list[int]:
    """The processes that any thread of `pid` has started."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it has ended
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, path.read_text("ascii").split())
    return found


def proportional(pid: int) -> int:
    """A process's share of the memory that it has mapped, in kB (PSS, proc(5))."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def share(n: int, at_once: int, evaluate: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = job(Path(folder), trials(n), at_once, evaluate)
        wall, total, memory = pool(base, cpu_clock=True)
        last = [path.read_text("utf-8").splitlines()[-1] for path in (base / "output/data").glob("*/metrics.jsonl")]
    assert len(last) == n
    training = sum(json.loads(line)["seconds"] for line in last)
    print(f"{n} trials, {at_once} at once: {training:.1f} of {total:.1f} CPU s are training: {training / total:.1%}")
    print(
        f"{training / n:.3f} s of training and {(total - training) / n:.3f} s else for each trial; {wall:.1f} s in all"
    )
    print(f"{60 * n / wall:.0f} trials a minute; memory at most {memory / 1024:.0f} MB (PSS of all processes)")


def bits(n: int, at_once: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asked = trials(n)
        base = job(Path(folder), asked, at_once, evaluate=False)
        pool(base)
        same = 0
        for key, own in asked.items():
            words = [f"--{name}={value}" for name, value in {**SHARED, **own, "model_out": f"{folder}/{key}"}.items()]
            command = [sys.executable, "-m", "entrypoints.main", "train", *words]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            name = "model.safetensors"
            same += (base / "model" / key / name).read_bytes() == Path(folder, key, name).read_bytes()
    print(f"{same} of {n} trials have the bits of a run of `ahx train`")
    assert same == n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["share", "bits"])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--no-evaluation", action="store_true", help="share: without evaluation.json of each trial")
    args = parser.parse_args()
    if args.what == "share":
        share(args.trials, args.at_once, not args.no_evaluation)
    else:
        bits(args.trials, args.at_once)


if __name__ == "__main__":
    main()
