"""What it takes to learn each of some rules: writes docs/what-it-takes.md from studies of them.

    python benchmarks/what_it_takes.py [--only NAME ...] [--folder runs/what-it-takes] [--page docs/what-it-takes.md]

Each study is one command, `ahx study`, which the page names. What was trained before is not trained again, so the
script may be stopped at any time, and run again to write the page anew.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: name -> what kind of rule, and what `ahx study` is given
STUDIES: dict[str, tuple[str, list[str]]] = {
    "double_a": ("substitution", ["double_a", "--confirm", "10"]),
    "copy": ("substitution", ["copy", "--confirm", "10"]),
    "reverse": ("transducer", ["reverse", "--confirm", "10"]),
    "increment": ("transducer", ["increment", "--confirm", "10"]),
    "parity": ("transducer", ["parity"]),
    "unary_add": ("substitution", ["unary_add"]),
    "swap 26": ("substitution", [f"A -> QXBA; alphabet={LETTERS}"]),
    "dragon": ("L-system", ["dragon"]),
    "koch": ("L-system", ["koch"]),
    "Markov step": ("Markov algorithm, one step", ["markov: AB -> XYZ, CA -> ; steps=1"]),
    "sort": ("Markov algorithm, run to the end", ["sort", "--max-len", "6", "--lengths", "2,5"]),
    "rule110": ("cellular automaton", ["rule110", "--confirm", "10"]),
    "tag step": ("tag system, one step", ["tag: 2; a -> bc, b -> a, c -> aaa; steps=1"]),
    "bb3": ("Turing machine, certified", ["bb3", "--certify"]),
    "bb4": ("Turing machine, certified", ["bb4", "--certify"]),
    "double_a, rope": ("substitution", ["double_a", "--pos", "rope"]),
    "double_a, alibi": ("substitution", ["double_a", "--pos", "alibi"]),
    "copy, alibi": ("substitution", ["copy", "--pos", "alibi"]),
}
SEEDS = ("--seeds", "3")


def study(name: str, arguments: list[str], folder: Path) -> dict[str, Any]:
    """Run one study and read its answer."""
    own = folder / name.replace(", ", "-").replace(" ", "-")
    command = [sys.executable, "-m", "entrypoints.main", "study", *arguments, *SEEDS, "--on", "process", "--to", own]
    began = time.monotonic()
    with open(folder / f"{own.name}.log", "a", encoding="utf-8") as log:
        subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    found: dict[str, Any] = json.loads((own / "study.json").read_text("utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=list(STUDIES), help="these studies")
    parser.add_argument("--folder", type=Path, default=Path("runs", "what-it-takes"))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        study(name, STUDIES[name][1], asked.folder)


if __name__ == "__main__":
    main()
