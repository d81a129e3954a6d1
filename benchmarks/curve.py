"""What the points of the learning curve cost: whole runs with and without them, in turns, in one process.

    python benchmarks/curve.py [--rounds 7] [--only NAMES]

A number is the CPU time of runs without points divided by that of runs with them: 1 is no cost. It is the median over
pairs of neighbouring runs, with the quartiles. The weights of both must be the same bits.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
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


def measured(settings: dict[str, Any], points: bool) -> tuple[float, bytes, int]:
    """CPU seconds of the run, its weights, and how many points it has."""
    with tempfile.TemporaryDirectory() as folder:
        hp = from_keywords({**settings, "model_out": folder, "threads": 1, "device": "cpu"})
        none = mock.patch.multiple(Curve, is_due=mock.Mock(return_value=False), take=mock.Mock())
        with nullcontext() if points else none:
            began = time.process_time()
            run(hp, quiet=True)
            seconds = time.process_time() - began
        lines = (Path(folder) / "curve.jsonl").read_text("utf-8").splitlines()
        return seconds, (Path(folder) / "model.safetensors").read_bytes(), len(lines)


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
        ratios, times = [], []
        for number in range(options.rounds):
            one = {points: measured(settings, points) for points in ((True, False), (False, True))[number % 2]}
            assert one[True][1] == one[False][1], "the points have changed the weights"
            ratios.append(one[False][0] / one[True][0])
            times.append(one[False][0])
        low, middle, high = statistics.quantiles(ratios, n=4)
        took = f"{one[True][2]} points in {statistics.median(times):.2f} s"
        print(f"{name}: {middle:.3f} ({low:.3f} to {high:.3f}), {took}", flush=True)


if __name__ == "__main__":
    main()
