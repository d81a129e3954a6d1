"""The interpreter of Turing machines, beside machines that it has never seen.

    python benchmarks/interpreter.py train --seed 0 --out runs/ti0 [--epochs 10]
    python benchmarks/interpreter.py errors runs/ti0 [--steps 3000000]
    python benchmarks/interpreter.py free-run runs/ti0 [--steps 100000] [--seconds 3600] [--cells 24]
    python benchmarks/interpreter.py universal runs/ti0 [--tokens 1000000] [--seconds 3600]

`train` is `ahx train` in a process of its own, on one thread, with its CPU seconds. `errors` asks for single steps on
tapes as long as in training, 20 and 50 times as long. `free-run` searches random machines of the split that training
never sees for one that runs for `--steps` steps on at most `--cells` cells without coming back to a configuration;
then the model decodes that run greedily, token by token, each fed back to it, to the end or until `--seconds` have
passed or a configuration is not the simulator's. There is nothing in it that remembers answers. `universal` does the
same with the universal machine of Neary and Woods (`utm64`), which runs a bi-tag system to its end.
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.turing_machines import Machines, Sizes, draw_split

SIZES = Sizes()  # as large as the interpreter allows
TRAINED_ON = (2, 6)  # cells
SHARE_ASKED = 0.89  # of the steps that a run may have: it ends where its machine halts
MOST_MACHINES = 2_000_000
MOST_STEPS = MOST_TOKENS = 10**9
STATES = "ABCDEFGHZ"  # Z halts
Rules = dict[tuple[int, int], tuple[int, int, int]]  # (state, symbol): (written, move, next state)


def cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def megabytes() -> float:
    """Memory that is in use now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def train(seed: int, out: str, epochs: int | None) -> None:
    words = ["train", "--rule", "turing-interpreter", "--seed", str(seed), "--model_out", out]
    words += [] if epochs is None else ["--num-epochs", str(epochs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = subprocess.run([sys.executable, "-m", "entrypoints.main", *words], env=environment, check=False).returncode
    if code:
        sys.exit(code)
    print(f"{cpu_seconds(resource.RUSAGE_CHILDREN):.0f} CPU s")


def errors(run: str, steps: int, seed: int) -> None:
    from ahx.evaluation.interpreting import judge_steps
    from ahx.evaluation.trained import load_trained

    trained = load_trained(run, trusted=None)
    print(f"{'cells':>7} {'machines':>9} {'errors':>6} {'steps':>10} {'95 % bound':>10} {'margin':>6} {'CPU s':>6}")
    series = ((TRAINED_ON, steps), ((120, 120), steps // 250), ((300, 300), steps // 1250))
    for lengths, asked in series:
        before = cpu_seconds(resource.RUSAGE_SELF)
        shape = Runs(lengths=lengths)
        machines = math.ceil(asked / (SHARE_ASKED * shape.runs * shape.steps))
        found = judge_steps(trained, SIZES, shape, machines, seed, n_mistakes=10)
        cpu = cpu_seconds(resource.RUSAGE_SELF) - before
        cells = "-".join(map(str, dict.fromkeys(lengths)))
        print(
            f"{cells:>7} {found.programs:9,} {found.errors:6,} {found.steps:10,} {found.bound:10.1e} "
            f"{found.margin:6.2f} {cpu:6.0f}",
            flush=True,
        )
        for mistake in found.mistakes:
            print("   ", *mistake)


def rules_of(machines: Machines, n: int) -> Rules:
    parts = (machines.write_NQS[n], machines.move_NQS[n], machines.target_NQS[n])
    return {
        (int(q), int(s)): (int(parts[0][q, s]), int(parts[1][q, s]), int(parts[2][q, s]))
        for q, s in np.argwhere(machines.has_rule_NQS[n])
    }


def simulate(
    rules: Rules, state: int, cells: Sequence[int] = (0, 0), head: int = 1
) -> Iterator[tuple[list[int], int, int]]:
    """Cells, head and state after each step, by default from a blank tape of two cells; always the same list."""
    cells = list(cells)
    while True:
        yield cells, head, state
        if (state, cells[head]) not in rules:
            return
        cells[head], move, state = rules[state, cells[head]]
        head += move
        if head < 0:
            cells.insert(0, 0)
            head = 0
        elif head == len(cells):
            cells.append(0)


def goes_on(rules: Rules, state: int, steps: int, most_cells: int) -> bool:
    """Whether a machine takes so many steps on so few cells and is never where it has been before.

    Each configuration is compared with one that is kept, at every power of two another (Brent 1980).
    """
    kept: tuple[list[int], int, int] | None = None
    count = 0
    for count, (cells, head, now) in enumerate(simulate(rules, state)):
        if len(cells) > most_cells or (kept is not None and (head, now) == kept[1:] and cells == kept[0]):
            return False
        if count & (count - 1) == 0:
            kept = list(cells), head, now
        if count == steps:
            return True
    return False


def find(steps: int, most_cells: int, seed: int) -> tuple[Rules, int, int]:
    """A machine that training never saw, the state it starts in, and how many were tried."""
    rng = np.random.default_rng((seed, *b"free run"))
    for begin in range(0, MOST_MACHINES, 1000):
        machines = draw_split(rng, 1000, SIZES, 8, 4, testing=True)
        for n in range(1000):
            rules, state = rules_of(machines, n), int(machines.states_NQ[n, 0])
            if goes_on(rules, state, steps, most_cells):
                return rules, state, begin + n + 1
    sys.exit(f"none of {MOST_MACHINES:,} machines runs for {steps:,} steps on {most_cells} cells; take fewer or more")


def free_run(run: str, steps: int, seconds: float, most_cells: int, seed: int) -> None:
    rules, state, tried = find(steps, most_cells, seed)
    print(f"the first of {tried:,} held-out machines that goes on:")
    follow(run, rules, simulate(rules, state), steps, MOST_TOKENS, seconds)


def universal(run: str, tokens: int, seconds: float) -> None:
    from ahx.rules.families.turing import TuringMachine
    from ahx.rules.families.universal_machines import neary_woods_64_configuration
    from ahx.rules.parse import parse_rule

    rule = parse_rule("utm64")
    assert isinstance(rule, TuringMachine)
    rules = {
        (q, s): (int(todo.symbol), -1 if todo.move == "L" else 1, STATES.index(todo.state))
        for q, row in enumerate(rule.table)
        for s, todo in enumerate(row)
        if todo is not None
    }
    before, after = neary_woods_64_configuration(1, 2, {(1, 1): (1, 2)}, [("e", 1), ("a", 1)]).split("A")
    truth = simulate(rules, 0, [int(symbol) for symbol in before + after], len(before))
    follow(run, rules, truth, MOST_STEPS, tokens, seconds)


def follow(
    run: str, rules: Rules, truth: Iterator[tuple[list[int], int, int]], steps: int, most_tokens: int, seconds: float
) -> None:
    """Decode the run of a machine greedily and compare each configuration with the true one."""
    from ahx.evaluation.interpreting import Runaway, interpret
    from ahx.evaluation.trained import load_trained

    trained = load_trained(run, trusted=None)
    program = "".join(f"{STATES[q]}{s}:{w}{'LR'[m > 0]}{STATES[t]}," for (q, s), (w, m, t) in rules.items())

    def shown() -> str:
        return "".join(map(str, cells[:head])) + STATES[now] + "".join(map(str, cells[head:]))

    cells, head, now = next(truth)
    print(f"machine {program} from {shown()}", flush=True)
    model = interpret(trained, program, shown())
    began = told = time.monotonic()
    before, memory = cpu_seconds(resource.RUSAGE_SELF), megabytes()
    done = tokens = 0

    def report(said: str) -> None:
        cpu = cpu_seconds(resource.RUSAGE_SELF) - before
        print(
            f"{said}: {done:,} steps, {tokens:,} tokens, {cpu:,.0f} CPU s, {tokens / cpu:,.0f} tokens/s, tape "
            f"{len(cells)} cells, memory {memory:.0f} MB at first, {megabytes():.0f} MB now",
            flush=True,
        )

    said = "the end"
    try:
        for (cells, head, now), written in zip(truth, model, strict=False):
            tokens += len(cells) + 1  # a token for each cell, one for the end
            if written != shown():
                said = f"WRONG at step {done + 1:,}, expected {shown()}, got {written}"
                break
            done += 1
            if done == steps or tokens >= most_tokens:
                break
            if time.monotonic() - began > seconds:
                said = "time is up"
                break
            if time.monotonic() - told > 30:
                told = time.monotonic()
                report("so far")
    except Runaway as text:
        said = f"WRONG at step {done + 1:,}, the model does not end the configuration {text}"
    report(f"{said}, no difference before")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    one = what.add_parser("train")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--out", required=True)
    one.add_argument("--epochs", type=int)
    two = what.add_parser("errors")
    two.add_argument("run")
    two.add_argument("--steps", type=int, default=3_000_000)
    two.add_argument("--seed", type=int, default=0)
    three = what.add_parser("free-run")
    three.add_argument("run")
    three.add_argument("--steps", type=int, default=100_000)
    three.add_argument("--seconds", type=float, default=3600)
    three.add_argument("--cells", type=int, default=24)
    three.add_argument("--seed", type=int, default=0)
    four = what.add_parser("universal")
    four.add_argument("run")
    four.add_argument("--tokens", type=int, default=1_000_000)
    four.add_argument("--seconds", type=float, default=3600)
    args = parser.parse_args()
    if args.what == "train":
        train(args.seed, args.out, args.epochs)
    elif args.what == "errors":
        errors(args.run, args.steps, args.seed)
    elif args.what == "universal":
        universal(args.run, args.tokens, args.seconds)
    else:
        free_run(args.run, args.steps, args.seconds, args.cells, args.seed)


if __name__ == "__main__":
    main()
