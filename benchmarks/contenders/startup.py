"""How long a process takes from nothing to the end of its first step of training."""

import os
import resource
import subprocess
import sys
import time
from statistics import median

from contenders.worker import HERE, ONE_THREAD

BARE = """
import torch
x, weight = torch.randn(32, 32), torch.randn(32, 8, requires_grad=True)
torch.nn.functional.cross_entropy(x @ weight, torch.zeros(32, dtype=torch.long)).backward()
with torch.no_grad():
    weight -= 0.1 * weight.grad
"""

FIRST_STEP = """
from ahx.data.tokenizer import Tokenizer
from ahx.model.build import configure
from ahx.model.transformer import Transformer
from ahx.rules.transducer import STOP, Step
from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings
from ahx.training.step import TrainingStep
steps = [Step("A", 0, "1"), Step("A", 1), Step("B", 1), Step(STOP)]
tokenizer = Tokenizer.fit([("AB", steps)])
model = Transformer(configure(tokenizer, pos="coupled", n_layer=2, n_head=4, n_embd=48, block_size=64))
flat = FlatParameters(model)
step = TrainingStep(model, flat, Optimizer(flat, OptimizerSettings()), tokenizer.separator)
step([tokenizer.encode_input("AB") + tokenizer.encode_steps(steps)] * 32, 0, 1.0)
"""


def measure(command: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Median CPU and wall seconds of each start, in turns. `command` is a shell line that is timed too, to its end."""
    starts: dict[str, list[str]] = {
        "import torch, one step": [sys.executable, "-c", BARE],
        "ahx: import, build, first step": [sys.executable, "-c", FIRST_STEP],
    }
    if command:
        starts[command] = ["/bin/sh", "-c", command]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    for _ in range(rounds + 1):  # the first brings the files into memory
        for name, start in starts.items():
            times[name].append(_run(start))
    return {name: (median(cpu for cpu, _ in t[1:]), median(wall for _, wall in t[1:])) for name, t in times.items()}


def _run(command: list[str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, cwd=HERE.parent, capture_output=True, text=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"this command failed with code {done.returncode}:\n{' '.join(command)}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall
