"""What the points of the learning curve cost: whole runs with and without them, in turns, in one process.

    python benchmarks/curve.py [--rounds 7] [--only NAMES]

`whole` is the least CPU time of runs without points divided by the least of runs with them: 1 is no cost. `inside` is 1
minus the share of a run's CPU time in which points are measured and written, the median of all runs: other work on the
machine moves it less. The weights of both must be the same bits.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch

from ahx.training.curve import Curve
from ahx.training.run import run
from ahx.training.settings import from_keywords

RUNS: dict[str, dict[str, object]] = {
    "double_a, 100 steps": {"rule": "double_a", "max_steps": 100},
    "double_a, 300 steps": {"rule": "double_a", "max_steps": 300},
    "double_a, 300 steps, evaluated once": {"rule": "double_a", "max_steps": 300, "eval_interval": 6.0},
    "reverse, rope, 200 steps": {"rule": "reverse", "pos": "rope", "max_steps": 200},
    "turing-interpreter, 60 steps": {"rule": "turing-interpreter", "max_steps": 60},
    "double_a, batches of 8, 300 steps": {"rule": "double_a", "max_steps": 300, "batch_size": 8},
}


class Result(NamedTuple):
    seconds: float  # CPU time of the run
    inside: float  # CPU time in which points are measured and written
    points: int
    weights: bytes


def measured(settings: dict[str, Any], points: bool) -> Result:
    inside = 0.0

    def timed(work: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            nonlocal inside
            began = time.process_time()
            work(*arguments)
            inside += time.process_time() - began

        return call

    changed: dict[str, Any] = {"is_due": mock.Mock(return_value=False), "take": mock.Mock()}
    if points:
        changed = {name: timed(getattr(Curve, name)) for name in ("measure", "take")}
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(Curve, **changed):
        hp = from_keywords({**settings, "model_out": folder, "threads": 1, "device": "cpu"})
        began = time.process_time()
        run(hp, quiet=True)
        seconds = time.process_time() - began
        lines = (Path(folder) / "curve.jsonl").read_text("utf-8").splitlines()
        return Result(seconds, inside, len(lines), (Path(folder) / "model.safetensors").read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="runs whose names contain this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, settings in RUNS.items():
        if options.only not in name:
            continue
        measured(settings, True)  # warms up
        runs: dict[bool, list[Result]] = {True: [], False: []}
        for number in range(options.rounds):
            for points in ((True, False), (False, True))[number % 2]:
                runs[points].append(measured(settings, points))
            assert runs[True][-1].weights == runs[False][-1].weights, "the points have changed the weights"
        least = {points: min(one.seconds for one in own) for points, own in runs.items()}
        inside = 1 - statistics.median(one.inside / one.seconds for one in runs[True])
        took = f"{runs[True][0].points} points in {least[True]:.2f} s"
        print(f"{name}: whole {least[False] / least[True]:.3f}, inside {inside:.3f}, {took}", flush=True)


if __name__ == "__main__":
    main()
