"""Our speed beside that of the projects we compare with, measured here and now, in turns.

    python benchmarks/peers.py --peers FOLDER [--parts training,evaluation,coupled,startup] [--shapes S0,S1,S2,S3]

FOLDER holds clones of nanoGPT, minGPT and ahx-transformer (the seed); nothing of theirs is copied. Everything runs in
float32 on the CPU with one thread. README.md beside this file says what is measured and how.
"""

import argparse
import json
import platform
import random
import sys
from pathlib import Path
from typing import Any

from contenders import startup
from contenders.evaluation import draw
from contenders.training import Shape
from contenders.worker import Contender, interleave

SHAPES = {
    "S0": Shape(32, 32, 1, 2, 32),  # the seed's default
    "S1": Shape(64, 64, 2, 4, 64),
    "S2": Shape(128, 128, 4, 4, 64),
    "S3": Shape(256, 384, 6, 6, 32),
}
PARTS = ("training", "evaluation", "coupled", "startup")
TRAINING = ("seed", "minGPT", "nanoGPT", "nanoGPT compiled", "ahx", "ahx compiled", "floor")
EVALUATION = ("seed", "HF GPT-2", "ahx decoding", "ahx teacher-forced", "ahx evaluate")
COUPLED = ("windows", "dense mask")
LONGEST = {"S0": 10, "S1": 20}  # inputs of the evaluation
# Who groups samples by length needs many at a time, as an evaluation has them.
AT_ONCE = {"HF GPT-2": 2_560, "ahx decoding": 10_000, "ahx teacher-forced": 10_000, "ahx evaluate": 10_000}
Table = dict[str, dict[str, Any]]


def main() -> None:
    options = parse()
    results: dict[str, Any] = {"machine": machine(), "options": {k: str(v) for k, v in vars(options).items()}}
    print(f"{results['machine']}; one thread, float32; CPU seconds, medians of {options.rounds} interleaved turns")
    if "training" in options.parts:
        results["training"] = {name: training(name, options) for name in options.shapes}
    if "evaluation" in options.parts:
        results["evaluation"] = {name: evaluation(name, options) for name in options.shapes if name in LONGEST}
    if "coupled" in options.parts:
        results["coupled"] = coupled(options)
    if "startup" in options.parts:
        results["startup"] = start_up(options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words: dict[str, Any] = {"type": lambda text: [word.strip() for word in text.split(",")]}
    parser.add_argument("--peers", type=Path, required=True, help="folder with clones of the three projects")
    parser.add_argument("--parts", **words, default=list(PARTS), help=f"which of {','.join(PARTS)} (default: all)")
    parser.add_argument("--shapes", **words, default=["S0", "S1", "S2"], help="which of S0,S1,S2,S3 (default: not S3)")
    parser.add_argument("--contenders", **words, default=[], help="only these, by name as in the tables")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender (default: 7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a turn takes, about (default: 0.5)")
    parser.add_argument("--vocab", type=int, default=8, help="tokens of the vocabulary in training (default: 8)")
    parser.add_argument("--data", type=Path, help="samples to evaluate at S0, lines of input,output (default: drawn)")
    parser.add_argument("--hf-python", default=sys.executable, help="a Python that can import transformers")
    parser.add_argument("--models", type=Path, default=Path("build/peers"), help="where trained models are kept")
    parser.add_argument("--startup-command", default="", help="a shell line to time beside the others, to its end")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    for chosen, known in ((options.parts, PARTS), (options.shapes, SHAPES)):
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}")
    missing = [name for name in ("nanoGPT", "minGPT", "ahx-transformer") if not (options.peers / name).is_dir()]
    if missing and {"training", "evaluation"} & set(options.parts):
        parser.error(f"{options.peers} has no clone of {', '.join(missing)}; see benchmarks/README.md")
    options.peers, options.models = options.peers.resolve(), options.models.resolve()
    return options


def training(name: str, options: argparse.Namespace) -> Table:
    """Tokens a second, and how that compares with nanoGPT and with the matrix products alone."""
    shape = SHAPES[name]
    spec = {"shape": shape, "vocab": options.vocab, "peers": str(options.peers)}
    contenders = [Contender("training", one, spec) for one in chosen(TRAINING, options)]
    per_step = interleave(contenders, options.rounds, options.seconds)
    rates = {one: shape.batch * shape.block / seconds for one, seconds in per_step.items()}
    table = to_table(contenders, rates, {"to nanoGPT": "nanoGPT", "to the floor": "floor"}, "tokens/s")
    described = ", ".join(f"{field} {value}" for field, value in zip(shape._fields, shape, strict=True))
    show(f"Training, {name} ({described})", table)
    return table


def evaluation(name: str, options: argparse.Namespace) -> Table:
    """Samples a second of exact-match evaluation, and how that compares with the seed."""
    data, longest = options.data, LONGEST[name]
    if data is None or name != "S0":
        data = options.models / f"double_a-{longest}.txt"
        data.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{text},{output}\n" for text, output in draw(10_000, longest, random.Random(1))]
        data.write_text("".join(lines), "utf-8")
    spec = {
        "shape": SHAPES[name], "peers": str(options.peers), "data": str(data.resolve()), "models": str(options.models),
    }  # fmt: skip
    contenders = [
        Contender("evaluation", one, spec, options.hf_python if one == "HF GPT-2" else sys.executable)
        for one in chosen(EVALUATION, options)
    ]
    per_sample = interleave(contenders, options.rounds, 2 * options.seconds, at_least=AT_ONCE)
    rates = {one: 1 / seconds for one, seconds in per_sample.items()}
    table = to_table(contenders, rates, {"to the seed": "seed", "to HF GPT-2": "HF GPT-2"}, "samples/s")
    show(f"Exact-match evaluation, {name} (double_a, inputs of up to {longest})", table)
    return table


def coupled(options: argparse.Namespace) -> dict[int, Table]:
    """Samples a second in training the coupled-window model, and its own dense-mask path."""
    tables = {}
    for longest in (10, 20, 40, 80):
        contenders = [Contender("coupled", one, {"longest": longest, "batch": 32}) for one in COUPLED]
        per_step = interleave(contenders, options.rounds, options.seconds)
        rates = {one: 32 / seconds for one, seconds in per_step.items()}
        tables[longest] = to_table(contenders, rates, {"to the dense mask": "dense mask"}, "samples/s")
        show(f"Training of the coupled model, inputs of up to {longest} (batch 32)", tables[longest])
    return tables


def start_up(options: argparse.Namespace) -> Table:
    """CPU and wall seconds from nothing to the first step."""
    times = startup.measure(options.startup_command, min(options.rounds, 5))
    bare, _ = next(iter(times.values()))
    table: Table = {
        name: {"CPU s": cpu, "wall s": wall, "to bare": cpu / bare, "note": ""} for name, (cpu, wall) in times.items()
    }
    show("Start-up", table)
    return table


def chosen(names: tuple[str, ...], options: argparse.Namespace) -> list[str]:
    return [name for name in names if not options.contenders or name in options.contenders]


def to_table(contenders: list[Contender], rates: dict[str, float], ratios: dict[str, str], unit: str) -> Table:
    """A row for each contender: its rate, the rate divided by that of others, what it says of itself."""
    table: Table = {}
    for contender in contenders:
        rate = rates.get(contender.name)
        row: dict[str, Any] = {unit: rate}
        for label, base in ratios.items():
            row[label] = rate / rates[base] if rate and base in rates else None
        table[contender.name] = row | {"note": contender.failed or contender.note}
    return table


def show(title: str, table: Table) -> None:
    """Print rows in aligned columns; the note comes last."""
    columns = [column for column in next(iter(table.values())) if column != "note"]
    lines = [["", *columns, ""]]
    lines += [[name, *(number(row[column]) for column in columns), row["note"]] for name, row in table.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
    print(f"\n{title}")
    for first, *rest, note in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        print("  ".join([*cells, note]).rstrip(), flush=True)


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def machine() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
