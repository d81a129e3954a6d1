"""How much it takes to learn a rule exactly: samples, CPU seconds, and exact match far beyond the training lengths.

    python benchmarks/learning.py [--rules NAME ...] [--pos NAME ...] [--seeds 0 1 2] [--json FILE]

Each line is one training run in a process of its own, on one thread: trained on lengths 1-10 until 10,000 fresh samples
are all right, then tested on 10,000 others and on longer strings. CPU seconds are those of training, evaluations
included, without the start of Python.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ahx.model.positions.schemes import SCHEMES

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_LEN = 10
LONGER = {2: 300, 5: 100, 10: 50, 20: 20}  # times the training length: strings


def l_system(seed: int = 5) -> str:
    """26 rules, each of 0 to 3 random letters."""
    rng = np.random.default_rng(seed)
    rules = [f"{letter} -> {''.join(rng.choice(list(LETTERS), rng.integers(0, 4)))}" for letter in LETTERS]
    return "lsystem: " + ", ".join(rules)


RULES = {
    "copy": "copy; alphabet=" + LETTERS,
    "double_a": "double_a",
    "reverse": "reverse",
    "A -> w, 26 letters": f"A -> QXBA; alphabet={LETTERS}",
    "L-system, 26 rules": l_system(),
    "Markov step, 2 rules": f"markov: AB -> XYZ, CA -> ; steps=1; alphabet={LETTERS}",
    # Beyond the six that are run unless others are named:
    "increment": "increment",
    "sort": "sort",
}


def measure(spec: str, seed: int, pos: str) -> dict[str, object]:
    """Train and test one model, in this process."""
    import contextlib
    import resource

    from ahx.evaluation.evaluate import evaluate
    from ahx.evaluation.samples import Series, draw
    from ahx.evaluation.trained import load_trained
    from ahx.training.hyperparameters import Hyperparameters
    from ahx.training.run import run

    with tempfile.TemporaryDirectory() as folder:
        hp = Hyperparameters(
            rule=spec,
            until_exact=10_000,
            max_len=MAX_LEN,
            seed=seed,
            pos=pos,
            block_size=100 * MAX_LEN if SCHEMES[pos].trained else 0,  # room for the longest test
            threads=1,
            model_out=folder,
            device="cpu",
        )
        before = resource.getrusage(resource.RUSAGE_SELF)
        with contextlib.redirect_stdout(sys.stderr):
            outcome = run(hp)
        after = resource.getrusage(resource.RUSAGE_SELF)
        trained = load_trained(folder, trusted=None)
    assert trained.rule is not None
    series = {
        "fresh": Series(1, MAX_LEN, 10_000),
        **{f"{k}x": Series(k * MAX_LEN, k * MAX_LEN, n) for k, n in LONGER.items()},
    }
    reports = {name: evaluate(trained, draw(trained.rule, trained.rule.alphabet, s, 1)) for name, s in series.items()}
    return {
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "samples": outcome.step * hp.batch_size,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "margin": min(report.total.margin for report in reports.values()),
        **{name: report.total.share for name, report in reports.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES)[:6])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pos", nargs="+", choices=SCHEMES, default=["coupled"], help="position schemes")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]), arguments.one[2])))
        return
    columns = f"{'parameters':>10} {'samples':>8} {'CPU s':>6} {'10,000':>8} {'2x':>6} {'5x':>6} {'10x':>6} {'20x':>6}"
    print(f"{'rule':22} {'positions':10} {'seed':>4} {columns} {'margin':>6}")
    results = []
    for name, pos, seed in itertools.product(arguments.rules, arguments.pos, arguments.seeds):
        command = [sys.executable, __file__, "--one", RULES[name], str(seed), pos]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        r = json.loads(done.stdout)
        results.append({"rule": name, "pos": pos, "seed": seed, **r})
        print(
            f"{name:22} {pos:10} {seed:4} {r['parameters']:10,} {r['samples']:8,} {r['cpu_s']:6.1f} {r['fresh']:8.2%} "
            f"{r['2x']:6.0%} {r['5x']:6.0%} {r['10x']:6.0%} {r['20x']:6.0%} {r['margin']:6.2f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
