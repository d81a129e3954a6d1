"""Machines in weights: what it takes to certify them, and long runs by the network against the rules' own simulators.

    python benchmarks/machines.py certify [--rules bb4 ...] [--seeds 0 1 2]
    python benchmarks/machines.py run [--rule bb5] [--tokens 10000000] [--no-cache]
    python benchmarks/machines.py universal [--tokens 2000000]

`certify` trains each machine in a process of its own, on one thread, to its certificate, and checks that with
`ahx verify`; CPU seconds are those of the whole `ahx train` process, the start of Python and torch included. `run`
trains one, lets the network run it from a blank tape, and compares every configuration with the simulator's.
`universal` does so for the universal machines, with other machines as their programs.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MACHINES = ("bb3", "bb4", "bb5", "rule110", "collatz", "utm15_2", "utm46", "utm64")


def ahx(*words: str) -> tuple[str, float, int]:
    """What a command printed, its CPU seconds, and its exit code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "entrypoints.main", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout + done.stderr, cpu, done.returncode


def train(rule: str, seed: int, folder: str) -> tuple[dict[str, object], float]:
    """Train and certify; the certificate and the CPU seconds."""
    import json

    printed, cpu, code = ahx("train", "--rule", rule, "--certify", "--seed", str(seed), "--model_out", folder)
    if code:
        sys.exit(printed)
    certificate: dict[str, object] = json.loads((Path(folder) / "certificate.json").read_text("utf-8"))
    return certificate, cpu


def certify(rules: list[str], seeds: list[int]) -> None:
    columns = f"{'windows':>7} {'right':>7} {'contexts':>8} {'margin':>6} {'rounding':>8} {'CPU s':>6}"
    print(f"{'machine':8} {'seed':>4} {columns} verify")
    for rule in rules:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                found, cpu = train(rule, seed, folder)
                verdict = ahx("verify", folder)[0].splitlines()[-1]
            windows = found["windows"]
            assert isinstance(windows, dict)
            print(
                f"{rule:8} {seed:4} {windows['all']:7,} {windows['checked']:7,} {found['contexts']:8,} "
                f"{found['least_margin']:6.2f} {found['rounding']:8.1g} {cpu:6.1f} {verdict}",
                flush=True,
            )


def run(rule: str, text: str, tokens: int, cached: bool, folder: str) -> None:
    """Run and compare, in this process."""
    from ahx.evaluation.execution import Execution
    from ahx.evaluation.recording import Recorder
    from ahx.evaluation.trained import load_trained
    from ahx.evaluation.verification import machine_learnt

    trained = load_trained(folder, trusted=None)
    machine = machine_learnt(trained)
    began = time.process_time()
    execution = Execution(trained.model, trained.tokenizer, machine, text, cached)
    recorder = Recorder(trained, machine, text, draw=False, check=True)
    execution.on_step = recorder
    while not execution.halted and execution.tokens < tokens and not recorder.difference:
        execution.run(tokens=min(tokens, execution.tokens + 100_000))
    cpu = time.process_time() - began
    verdict = recorder.difference or f"all {recorder.compared:,} configurations are the simulator's"
    output = machine.unload(execution.queue()) if execution.halted else ""
    print(
        f"{rule}, {'cached' if cached else 'no cache'}: {'halted' if execution.halted else 'stopped'} after "
        f"{execution.steps:,} steps, {execution.tokens:,} tokens, {execution.asked:,} questions to the model, "
        f"{cpu:.1f} CPU s, {execution.tokens / cpu:,.0f} tokens/s; {verdict}"
        + (f"; {output.count('1')} ones on the tape" if output else ""),
        flush=True,
    )


def universal(tokens: int) -> None:
    from ahx.rules.families.universal_machines import (
        BiTag,
        neary_woods_64_configuration,
        neary_woods_configuration,
        rogozhin_configuration,
    )

    words = {(1, 1): (2, 2), (1, 2): (1, 2, 2), (2, 1): (2, 1, 1), (2, 2): (1, 3)}
    start: list[BiTag] = [("e", 1), ("a", 1), ("a", 2)]
    programs = {
        "utm46": rogozhin_configuration([[2, 2, 1], [2, 2, 3, 0], [2, 2]], [0, 2, 1, 2]),
        "utm64": neary_woods_64_configuration(2, 3, words, start),
        "utm15_2": neary_woods_configuration(2, 3, words, start),
    }
    for rule, text in programs.items():
        with tempfile.TemporaryDirectory() as folder:
            train(rule, 0, folder)
            run(rule, text, tokens, True, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["certify", "run", "universal"])
    parser.add_argument("--rules", nargs="+", default=list(MACHINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rule", default="bb5")
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--no-cache", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "certify":
        certify(arguments.rules, arguments.seeds)
    elif arguments.what == "run":
        with tempfile.TemporaryDirectory() as folder:
            train(arguments.rule, 0, folder)
            run(arguments.rule, "", arguments.tokens, not arguments.no_cache, folder)
    else:
        universal(arguments.tokens)


if __name__ == "__main__":
    main()
