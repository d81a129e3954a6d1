"""Evaluate a trained model: exact match by input length, symbol errors, and the first failures.

Samples are read from a file (--data) or drawn from a rule, by default the rule and the lengths of training. Where a
file has several outputs for an input, any of them is right, and the input is counted once. The exit code is 0 for any
result; with --require-exact it is 1 unless every sample is exact.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ahx.data.files.format import FORMATS
from ahx.errors import InputError
from ahx.text.plural import counted
from ahx.text.printing import data
from entrypoints.shared import eval_steps
from entrypoints.shared.arguments import add_trust
from infra import locations

if TYPE_CHECKING:
    from pathlib import Path

    from ahx.evaluation.evaluate import Judged
    from ahx.evaluation.judging import Pair
    from ahx.evaluation.samples import Series
    from ahx.evaluation.trained import Trained

EXAMPLES = [
    "ahx eval --model runs/demo",
    "ahx eval --model runs/demo --lengths",
    "ahx eval --model runs/demo --rule double_a --num-samples 1000 --max-len 200 --decode",
    "ahx eval --model runs/demo --data data/da_val.txt --json",
    "ahx eval --model runs/demo --data data/da_val.txt --csv predictions.csv",
    "ahx eval --model runs/ti --states 2-4 --symbols 2-3 --num-samples 200",
]

LOGGED = True

_USUAL_SAMPLES = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """The model, the samples, and how to judge and show."""
    parser.usage = "%(prog)s --model RUN [--data FILE | --rule RULE] [options]"
    add = parser.add_argument_group("Which model").add_argument
    add("--model", metavar="RUN", help="Folder of a run (--model-out of `ahx train`) or of a checkpoint; may be in S3.")
    add("--model_file", dest="model", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add_trust(add)
    add("--device", default="auto", help="Device: auto, cpu, mps, cuda or cuda:N.")
    add = parser.add_argument_group("On which samples").add_argument
    add("--data", metavar="FILE", help="Data file, local or in S3; data/da means data/da_val.txt.")
    add("--format", choices=FORMATS, help="Format of the file (default: as in training; see docs/data.md).")
    add("--columns", metavar="A,B", help="Columns of input and output, by name or number (default: as in training).")
    add("--header", choices=("auto", "yes", "no"), help="Whether the first line names the columns.")
    add("--data_file", dest="data", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add("--rule", "--problem", metavar="RULE", help="Draw samples of this rule (default: the model's).")
    add("--num-samples", type=int, metavar="N", help="Samples to draw (default: 10000) or lines to read (all).")
    add("--min-len", type=int, metavar="N", help="Length of the shortest input, in symbols (default: as in training).")
    add("--max-len", type=int, metavar="N", help="Length of the longest input, in symbols (default: as in training).")
    add("--alphabet", metavar="SYMBOLS", help="Symbols of the inputs (default: as in training).")
    add("--seed", type=int, default=0, metavar="N", help="Seed of the random samples.")
    add(
        "--lengths", nargs="?", const="", metavar="LIST",
        help="Evaluate at these input lengths, such as 10,20,50. Without LIST: at 1, 2, 5, 10 and 20 times the "
        "training length (interpreters: also 50), with fewer samples at greater lengths unless --num-samples is given."
    )  # fmt: skip
    eval_steps.configure(parser)
    add = parser.add_argument_group("How").add_argument
    add("--decode", action="store_true", help="Decode answers token by token instead of teacher forcing.")
    add(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help="Longest answer, in tokens (default: twice the right answer's length).",
    )
    add("--failures", type=int, default=5, metavar="N", help="Show the first N failures.")
    add(
        "--csv",
        type="local",
        metavar="FILE",
        help="Write all predictions: input, expected, predicted, right, probability.",
    )
    add(
        "--calibrate", action="store_true",
        help="Fit the model's probabilities to these lines (those of validation), and keep that in its config.json."
    )  # fmt: skip
    add("--json", action="store_true", help="Print one JSON object.")
    add("--require-exact", action="store_true", help="Exit with 1 unless every sample is exact.")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print. Returns the exit code."""
    _check(args)

    from ahx.data.files.names import shown
    from ahx.evaluation.evaluate import evaluate
    from ahx.evaluation.leaks import LeakCounter
    from ahx.evaluation.render import Group, as_json, as_text, by_length
    from ahx.evaluation.report import merged
    from ahx.evaluation.samples import alphabet_of, data_files, draw, reader_of, rule_to_draw
    from ahx.evaluation.trained import load_trained

    trained = load_trained(
        locations.model(args.model), args.device, trusted=args.trust_rule or args.rule
    ).for_rewriting()
    if trained.teacher.kind == "program":
        return eval_steps.run(args, trained)
    eval_steps.refuse(args)
    if args.calibrate:
        return _calibrate(args, trained)
    about: dict[str, Any] = {"model": str(trained.folder), "rule": None, "data": None}
    how: dict[str, Any] = {
        "decode": args.decode, "max_new_tokens": args.max_new_tokens, "n_failures": args.failures,
    }  # fmt: skip
    counter = LeakCounter(trained)
    with _csv(args.csv) as how["on_sample"]:
        if args.data:
            paths = data_files(locations.data(args.data))
            about["data"] = shown(paths)
            form = reader_of(trained, **_said(args)).format_of(paths[0])
            source = f"{shown(paths)} ({form})"
            lines, several = _lines(args, trained, paths, args.num_samples)
            report = evaluate(trained, counter.watch(lines), alternatives=several, **how)
            groups = by_length(report)
        else:
            rule = rule_to_draw(trained, args.rule)
            about["rule"] = rule.spec
            alphabet = args.alphabet or alphabet_of(trained, rule)
            series = _series(args, trained)
            reports = [evaluate(trained, counter.watch(draw(rule, alphabet, one, args.seed)), **how) for one in series]
            report = merged(reports)
            del report.failures[args.failures :]
            if args.lengths is None:
                groups = by_length(report)
            else:
                parts = zip(series, reports, strict=True)
                groups = [Group(one.min_len, one.max_len, part.total) for one, part in parts]
            source = f"fresh samples of {rule.spec!r} over {alphabet!r}"
    if args.json:
        import json

        data(json.dumps(as_json(about, report, groups, args.decode, counter.leak)))
    else:
        print(as_text(f"{trained.folder} on {source}", report, groups, args.decode, counter.leak))
    return int(args.require_exact and report.total.exact < report.total.samples)


def _check(args: argparse.Namespace) -> None:
    """Refuse invalid options before anything slow is done."""
    if not args.model:
        raise InputError("which model? Name a run's folder: --model runs/double_a")
    for option, least in (
        ("num_samples", 1),
        ("min_len", 0),
        ("max_len", 0),
        ("max_new_tokens", 1),
        ("failures", 0),
        ("steps", 1),
    ):
        value = getattr(args, option)
        name = "--" + option.replace("_", "-")
        if value is not None and value < least:
            raise InputError(f"{name}: must be at least {least} (got {value})")
    if args.seed < 0:
        raise InputError(f"--seed: must be at least 0 (got {args.seed})")
    if args.alphabet == "":
        raise InputError("--alphabet: give at least one symbol, such as --alphabet AB")
    drawn = ["rule", "min_len", "max_len", "alphabet", "lengths"]
    if args.data is not None and (clash := [option for option in drawn if getattr(args, option) is not None]):
        option = clash[0].replace("_", "-")
        raise InputError(f"--{option} is for drawing samples, and --data reads them from a file; leave out one")
    if args.csv == "":
        raise InputError("--csv: name a file to write")
    if args.data == "":
        raise InputError("--data: name a file of input,output lines")
    if args.lengths and (args.min_len is not None or args.max_len is not None):
        raise InputError("--lengths lists the lengths to try; leave out --min-len and --max-len")


def _lines(
    args: argparse.Namespace, trained: "Trained", paths: "tuple[Path, ...]", n: int | None
) -> "tuple[Iterator[Pair], dict[str, list[str]]]":
    """The first `n` lines of the data, and the inputs that have several outputs there."""
    from ahx.evaluation.samples import alternatives, lines_of

    lines = partial(lines_of, trained, paths, n, **_said(args))
    return lines(), alternatives(lines)


def _said(args: argparse.Namespace) -> dict[str, str | None]:
    """How the user says that files are read."""
    return {"format": args.format, "columns": args.columns, "header": args.header}


def _calibrate(args: argparse.Namespace, trained: "Trained") -> int:
    """Fit the probabilities to the first lines of the data, keep the result, and say what it changes."""
    from ahx.evaluation.calibrating import MOST_SAMPLES, fit
    from ahx.evaluation.evaluate import evaluate
    from ahx.evaluation.samples import data_files
    from ahx.model.config_file import add_to_config

    if not args.data or args.model.startswith("s3://"):
        raise InputError(
            "--calibrate fits a model on this machine to lines of a file; name both: --model RUN --data FILE"
        )
    judged: list[Judged] = []
    lines, several = _lines(args, trained, data_files(locations.data(args.data)), args.num_samples or MOST_SAMPLES)
    evaluate(trained, lines, alternatives=several, on_sample=judged.append)
    fitted = fit(trained, judged)
    add_to_config(trained.folder, calibration=fitted.divisor)
    print(
        f"{trained.folder}: logits are divided by {fitted.divisor:g} from now on. The probabilities of these "
        f"{counted(len(judged), 'answer')} differ from the share that is exact by {fitted.after:.1%} on average; "
        f"before, by {fitted.before:.1%}"
    )
    return 0


@contextmanager
def _csv(place: str | None) -> "Iterator[Callable[[Judged], None] | None]":
    """What writes a line of --csv for each sample."""
    if place is None:
        yield None
        return
    import csv

    with locations.written(place) as path, open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["input", "expected", "predicted", "right", "probability"])

        def write(found: "Judged") -> None:
            got, verdict = found.verdict.got, found.verdict
            probability = "" if got is None else f"{verdict.probability:.6g}"
            writer.writerow([found.text, found.output, got or "", int(verdict.right), probability])

        yield write


def _series(args: argparse.Namespace, trained: "Trained") -> "list[Series]":
    """How many samples of what lengths to draw."""
    from ahx.evaluation.samples import Series, lengths_to_try

    if args.lengths:
        with_training = None if trained.hyperparameters.get("infile") else trained.training_lengths()
        return lengths_to_try(args.lengths, with_training, args.num_samples)
    least, greatest = trained.training_lengths() if args.max_len is None else (1, args.max_len)
    least = min(least, greatest) if args.min_len is None else args.min_len
    if args.lengths is not None:
        return lengths_to_try("", (least, greatest), args.num_samples)
    return [Series(least, greatest, args.num_samples or _USUAL_SAMPLES)]
