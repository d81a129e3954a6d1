"""What models learn from files of string pairs: ours, a plain GPT and a small encoder-decoder, in equal CPU seconds.

    python benchmarks/data.py [--sets "CMUdict,sorting"] [--seconds 60,300] [--seeds 3] [--models ahx]

Each model is trained in a process of its own, on one thread. `ahx train --infile ... --max-seconds` runs with its
defaults; its clock counts the CPU seconds of the process, so other work on the machine costs it nothing. Every result
is appended to the JSON lines of --results, and what stands there is not measured again. The table is Markdown.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from contenders.data_sets import SETS, Pair, make

OURS, BASELINES = "ahx", ("plain GPT", "encoder-decoder")
# `ahx` with a clock that counts the CPU seconds of this process.
_AHX = "import time; time.monotonic = time.process_time; import entrypoints.main as m; raise SystemExit(m.main())"
_TESTS = ("test", "longer")
Result = dict[str, Any]


def main() -> None:
    options = parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seconds in options.seconds:
        for seed in range(options.seeds):
            for name in options.sets:
                for model in options.models:
                    key = {"set": name, "model": model, "seconds": seconds, "seed": seed}
                    if not any(key.items() <= result.items() for result in results(options.results)):
                        result = key | measure(name, model, seconds, seed, options.folder)
                        with open(options.results, "a", encoding="utf-8") as file:
                            file.write(json.dumps(result, ensure_ascii=False) + "\n")
                        print(json.dumps(result, ensure_ascii=False), file=sys.stderr, flush=True)
    print("\n\n".join(table(results(options.results), seconds) for seconds in options.seconds))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {re.sub(r"\W+", "", name).lower(): name for name in SETS}

    def sets(text: str) -> list[str]:
        return [
            names[re.sub(r"\W+", "", word).lower()] for word in text.split(";" if ";" in text else ",") if word.strip()
        ]

    parser.add_argument("--sets", type=sets, default=list(SETS), help="of: " + "; ".join(SETS))
    parser.add_argument("--models", type=lambda text: text.split(","), default=[OURS, *BASELINES])
    parser.add_argument("--seconds", type=lambda text: [int(word) for word in text.split(",")], default=[60, 300])
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--folder", type=Path, default=Path("build/data"), help="for data and models")
    parser.add_argument("--results", type=Path, default=Path("build/data/results.jsonl"))
    return parser.parse_args()


def results(path: Path) -> list[Result]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def measure(name: str, model: str, seconds: int, seed: int, folder: Path) -> Result:
    """Train and test one model. Raises CalledProcessError where a command fails."""
    data = make(name)
    stem = folder / re.sub(r"\W+", "-", name).strip("-")
    parts = {"train": data.train, "val": data.val, "test": data.test}
    tests = {"test": data.test} | {f"{k}x": pairs for k, pairs in data.longer.items()}
    for part, pairs in (parts | tests).items():
        path = Path(f"{stem}_{part}.txt")
        path.write_text("".join(f"{text},{output}\n" for text, output in pairs), "utf-8")
    paths = {part: f"{stem}_{part}.txt" for part in tests}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if model == OURS:
        run = f"{stem}-{seconds}-{seed}"
        for old in (run, f"{stem}_train.txt.ahxcache", f"{stem}_val.txt.ahxcache"):  # reading and aligning count too
            shutil.rmtree(old, ignore_errors=True)
        train = ["train", "--infile", stem, "--model-out", run, "--max-seconds", seconds, "--seed", seed]
        said = command([sys.executable, "-c", _AHX, *train, "--threads", 1])
        used = cpu_seconds(before)
        answers = {part: predicted(run, Path(path), Path(f"{run}-{part}")) for part, path in paths.items()}
        config = json.loads(Path(run, "config.json").read_text("utf-8"))
        about: Result = {"said": chosen(said), "pos": config["hyperparameters"].get("pos")}
    else:
        script = Path(__file__).parent / "contenders" / "sequence_training.py"
        said = command([sys.executable, script, model, seconds, seed, f"{stem}_train.txt", *paths.values()])
        used = cpu_seconds(before)
        about = json.loads(said.splitlines()[-1])
        answers = dict(zip(paths, about.pop("answers"), strict=True))
    return {part: score(pairs, answers[part]) for part, pairs in tests.items()} | {"cpu": round(used, 1), **about}


def command(words: list[Any], unanswered: int = 0) -> str:
    """What a command prints. It may end with the exit code `unanswered`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, env=environment, check=False)
    if done.returncode not in (0, unanswered):
        sys.exit(f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cpu_seconds(before: resource.struct_rusage) -> float:
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def predicted(run: str, test: Path, to: Path) -> list[str]:
    """What `ahx predict` answers to the inputs of `test`, a line for each."""
    to.write_text("".join(line.split(",")[0] + "\n" for line in test.read_text("utf-8").splitlines()), "utf-8")
    asked = [sys.executable, "-m", "entrypoints.main", "predict", run, "--data", to]
    return command(asked, unanswered=1).split("\n")[:-1]


def chosen(said: str) -> str:
    """The lines of `ahx train` before its first step, which say what it chose, but for those about files."""
    lines = said.partition("\nstep=")[0].splitlines()
    return "\n".join(line for line in lines if not re.search(r" samples, |is not read", line))


def score(pairs: list[Pair], answers: list[str]) -> dict[str, float]:
    """Shares of inputs answered exactly and symbol error rate; where an input has several outputs, any is right."""
    from ahx.evaluation.edits import align

    outputs: defaultdict[str, list[str]] = defaultdict(list)
    for text, output in pairs:
        outputs[text].append(output)
    got = {text: answer for (text, _), answer in zip(pairs, answers, strict=True)}
    exact = edits = symbols = 0
    for text, right in outputs.items():
        aligned = align([(one, got[text]) for one in right])
        distance, length = min((counts.distance, len(o)) for o, (counts, _) in zip(right, aligned, strict=True))
        exact, edits, symbols = exact + (distance == 0), edits + distance, symbols + length
    return {"inputs": len(outputs), "exact": exact / len(outputs), "symbol_errors": edits / symbols}


def table(found: list[Result], seconds: int) -> str:
    """Means over seeds, as Markdown: exact match, and symbol error rate in brackets."""
    by = defaultdict(list)
    for result in found:
        if result["seconds"] == seconds:
            for part in result:
                if part == "test" or re.fullmatch(r"\d+x", part):
                    by[result["set"], part, result["model"]].append(result[part])
    models = [OURS, *BASELINES]
    lines = [f"| after {seconds} CPU seconds | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
    for name, part in dict.fromkeys((name, part) for name, part, _ in by):
        cells = [cell(by.get((name, part, model), [])) for model in models]
        label = name if part == "test" else f"{name}, {part} as long"
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(found: list[dict[str, float]]) -> str:
    if not found:
        return ""
    exact, errors = (mean(one[key] for one in found) for key in ("exact", "symbol_errors"))
    return f"{exact:.1%} ({errors:.1%})"


if __name__ == "__main__":
    main()
