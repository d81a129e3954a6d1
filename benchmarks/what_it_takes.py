"""What it takes to learn each of some rules: writes docs/what-it-takes.md from studies of them.

    python benchmarks/what_it_takes.py [--only NAME ...] [--folder FOLDER] [--page FILE]

Each study is one command, `ahx study`, which the page names. What was trained before is not trained again, so the
script may be stopped at any time, and run again to write the page anew.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- written by benchmarks/what_it_takes.py -->", "<!-- end -->"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: name -> what kind of rule, and what `ahx study` is given
STUDIES: dict[str, tuple[str, list[str]]] = {
    "double_a": ("substitution", ["double_a", "--confirm", "10"]),
    "copy": ("substitution", ["copy", "--confirm", "10"]),
    "reverse": ("transducer", ["reverse", "--confirm", "10"]),
    "increment": ("transducer", ["increment", "--confirm", "10"]),
    "parity": ("transducer", ["parity"]),
    "unary_add": ("substitution", ["unary_add"]),
    "26 letters": ("substitution", [f"A -> QXBA; alphabet={LETTERS}"]),
    "dragon": ("L-system", ["dragon"]),
    "Markov step": ("Markov algorithm, one step", ["markov: AB -> XYZ, CA -> ; steps=1"]),
    "sort": ("Markov algorithm, run to the end", ["sort", "--max-len", "6", "--lengths", "2,5"]),
    "rule110": ("cellular automaton", ["rule110", "--confirm", "10"]),
    "tag step": ("tag system, one step", ["tag: 2; a -> bc, b -> a, c -> aaa; steps=1"]),
    "bb3": ("Turing machine, certified", ["bb3", "--certify"]),
    "bb4": ("Turing machine, certified", ["bb4", "--certify"]),
    "double_a, rope": ("substitution", ["double_a", "--pos", "rope"]),
    "double_a, alibi": ("substitution", ["double_a", "--pos", "alibi"]),
    "copy, alibi": ("substitution", ["copy", "--pos", "alibi"]),
    "files": (
        "data files",
        ["--data", "files", "--pos", "alibi", "--n-layer", "2", "--n-head", "4", "--n-embd", "48"],
    ),
}
FILES = ["gen-data", "--rule", "double_a", "--alphabet", "ABCD", "--num-samples", "4000", "--max-len", "10"]
HEAD = (
    "| rule | kind | positions | smallest model | parameters | seeds | fresh seeds | fewest samples | least CPU s "
    "| holds to | trials | CPU s of all |"
)


def study(name: str, folder: Path) -> None:
    """Run one study, or go on with it."""
    own = folder_of(name, folder)
    ahx = [sys.executable, "-m", "entrypoints.main"]
    given = [str(folder / "files") if word == "files" else word for word in arguments(name)]
    if given != arguments(name) and not (folder / "files_train.txt").is_file():
        subprocess.run([*ahx, *FILES, folder / "files"], check=True)
    command = [*ahx, "study", *given, "--on", "process", "--to", str(own)]
    began = time.monotonic()
    with open(own.with_suffix(".log"), "a", encoding="utf-8") as log:
        subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def arguments(name: str) -> list[str]:
    return [*STUDIES[name][1], "--seeds", "3"]


def folder_of(name: str, folder: Path) -> Path:
    return folder / name.replace(", ", "-").replace(" ", "-")


def row(name: str, found: dict[str, Any]) -> list[str]:
    """A line of the table."""
    [scheme] = found["schemes"].values()
    trials = list(found["trials"].values())
    cost = [f"{len(trials)}", f"{sum(one['result']['seconds'] for one in trials):,.0f}"]
    first = [name, STUDIES[name][0], scheme["positions"]]
    smallest, usual = scheme["smallest"], scheme["usual"]
    if smallest is None:
        told = [f"not {size(usual)}", f"{usual['parameters']:,}", f"{usual['exact']} of {usual['of']}", "", "", "", ""]
        return [*first, *told, *cost]
    again = scheme["confirmed"]
    certified = "--certify" in STUDIES[name][1]
    return [
        *first, size(smallest), f"{smallest['parameters']:,}", f"{smallest['exact']} of {smallest['of']}",
        f"{again['exact']} of {again['of']}" if again else "", span(scheme["fewest_samples"]["samples"]),
        span(scheme["least_seconds"]["seconds"]), "any length (proved)" if certified else holds(scheme), *cost,
    ]  # fmt: skip


def size(attempt: dict[str, Any]) -> str:
    """1 layer, 2 heads of 4 channels, as 1 x 2 x 4."""
    return f"{attempt['n_layer']} x {attempt['n_head']} x {attempt['n_embd'] // attempt['n_head']}"


def span(values: list[float]) -> str:
    low, high = (f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in (values[0], values[-1]))
    return low if low == high else f"{low} - {high}"


def holds(scheme: dict[str, Any]) -> str:
    """The greatest multiple of the training length at which all seeds are exact; else the least shares at 1x and 2x."""
    measured = scheme["exact_by_length"]
    if not measured:
        return ""
    right = [int(k) for k in measured[0] if all(one[k] == 1.0 for one in measured)]
    least = [f"{min(one[k] for one in measured):.2%} at {k}x" for k in ("1", "2")]
    return f"{max(right)}x" if right else ", ".join(least)


def page(folder: Path) -> str:
    """docs/what-it-takes.md but for what is written by hand: the table, the commands, and each study's own words."""
    read = {name: path for name in STUDIES if (path := folder_of(name, folder) / "study.json").is_file()}
    found = {name: json.loads(path.read_text("utf-8")) for name, path in read.items()}
    found = {name: one for name, one in found.items() if one.get("complete")}
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for name, one in found.items():
        cells = [cell.replace("|", "\\|") for cell in row(name, one)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## In words", ""]
    for name, one in found.items():
        told = [line.replace(f"{folder}/", "") for line in one["answer"][: 1 + bool(one["data"])]]
        lines += [f"`ahx study {shlex.join(arguments(name))}`", "", *told, ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=STUDIES, default=list(STUDIES), help="these studies; none of them")
    parser.add_argument("--folder", type=Path, default=Path("runs", "what-it-takes"))
    parser.add_argument("--page", type=Path, default=Path("docs", "what-it-takes.md"), help="the page to write")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        study(name, asked.folder)
    text = asked.page.read_text("utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    asked.page.write_text(f"{before}{BEGIN}\n{page(asked.folder)}{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
