"""The part of `ahx eval` for interpreters: models that read a program in the prompt."""

import argparse
import re
from typing import TYPE_CHECKING, Any

from ahx.errors import InputError
from ahx.text.printing import data

if TYPE_CHECKING:
    from ahx.evaluation.samples import Series
    from ahx.evaluation.trained import Trained

_NOT_FOR_PROGRAMS = ("rule", "data", "alphabet", "max_new_tokens", "csv")
_SIZES = ("states", "symbols", "letters", "rules")
_FOR_PROGRAMS = (*_SIZES, "steps")


def configure(parser: argparse.ArgumentParser) -> None:
    """Which programs to draw, and how long to follow them."""
    add = parser.add_argument_group(
        "For an interpreter",
        "Samples are random programs that were not in training. Lengths are those of their first tapes or strings.",
    ).add_argument
    for name in _SIZES:
        kind = "Turing machines" if name in ("states", "symbols") else "string rewriting rules"
        add(f"--{name}", metavar="A-B", help=f"Programs of {kind} with A to B {name} (default: as in training).")
    add("--steps", type=int, metavar="N", help="Steps of each of a program's four runs (default: as in training).")


def refuse(args: argparse.Namespace) -> None:
    """Raises InputError for options that only interpreters take."""
    if given := [name for name in _FOR_PROGRAMS if getattr(args, name) is not None]:
        raise InputError(f"--{given[0]} is for a model that is given a program in the prompt, which this one is not")


def run(args: argparse.Namespace, trained: "Trained") -> int:
    """Evaluate and print. Returns the exit code."""
    from ahx.data.programs.program_writer import Runs
    from ahx.data.programs.writers import writer_of
    from ahx.evaluation.interpreting import interpreter_of, judge_steps
    from ahx.evaluation.render_steps import Lengths, steps_as_json, steps_as_text
    from ahx.evaluation.step_errors import merged

    rule = interpreter_of(trained)
    for name in _NOT_FOR_PROGRAMS:
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} is not for an interpreter; leave it out")
    for name in _SIZES:
        if name not in rule.sizes and getattr(args, name) is not None:
            raise InputError(f"--{name} is not for {rule.programs}; the sizes here are --{' and --'.join(rule.sizes)}")
    spans = {name: _span(name, getattr(args, name), *span) for name, span in rule.sizes.items()}
    writer = writer_of(rule, trained.tokenizer)
    sizes, steps = writer.usual._replace(**spans), args.steps or writer.steps
    groups: list[Lengths] = []
    for least, greatest, n in _series(args, trained):
        shown = args.failures - sum(len(group.report.mistakes) for group in groups)
        report = judge_steps(trained, sizes, Runs(4, steps, (least, greatest)), n, args.seed, shown, args.decode)
        groups.append(Lengths(least, greatest, report))
    if args.json:
        import json

        about: dict[str, Any] = {"model": str(trained.folder), "rule": rule.spec, "data": None, "steps_per_run": steps}
        data(json.dumps(steps_as_json(about | spans, groups, args.decode)))
    else:
        of = " and ".join(f"{'-'.join(map(str, dict.fromkeys(span)))} {name}" for name, span in spans.items())
        what = f"random {rule.programs} of {of}, four runs of at most {steps} steps each"
        print(steps_as_text(f"{trained.folder} on {what}", groups, args.decode))
    return int(args.require_exact and merged(group.report for group in groups).errors > 0)


def _span(name: str, text: str | None, least_known: int, most: int) -> tuple[int, int]:
    """What --states, --rules ... says: 2-8, or 3."""
    if text is None:
        return least_known, most
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    least, greatest = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not least_known <= least <= greatest <= most:
        span = f"such as {least_known}-{most}, from {least_known} to {most}"
        raise InputError(f"--{name}: write a number or two, {span} (got {text!r})")
    return least, greatest


def _series(args: argparse.Namespace, trained: "Trained") -> "list[Series]":
    """How many machines to draw, on tapes of what lengths."""
    from ahx.evaluation.samples import LONGEST_INPUT, PROGRAMS_BY_MULTIPLE, Series, lengths_to_try

    least, greatest = trained.training_lengths()
    greatest = greatest if args.max_len is None else args.max_len
    least = min(least, greatest) if args.min_len is None else args.min_len
    if args.lengths is None:
        series = [Series(least, greatest, args.num_samples or PROGRAMS_BY_MULTIPLE[0][1])]
    else:
        series = lengths_to_try(args.lengths, (least, greatest), args.num_samples, PROGRAMS_BY_MULTIPLE)
    for one in series:
        if not 1 <= one.min_len <= one.max_len <= LONGEST_INPUT:
            raise InputError(
                f"tapes of {one.min_len:,} to {one.max_len:,} cells cannot be drawn; give --min-len and --max-len, or "
                f"--lengths, from 1 to {LONGEST_INPUT:,}, the lesser first"
            )
    return series
