"""The part of `ahx eval` for models that are given a program in the prompt."""

import argparse
import re
from typing import TYPE_CHECKING, Any

from ahx.errors import InputError

if TYPE_CHECKING:
    from ahx.evaluation.samples import Series
    from ahx.evaluation.trained import Trained

_NOT_FOR_PROGRAMS = ("rule", "alphabet", "max_new_tokens")
_FOR_PROGRAMS = ("states", "symbols", "steps")
_USUAL_STEPS = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Which machines to draw, and how long to follow them."""
    add = parser.add_argument_group(
        "For an interpreter of Turing machines",
        "Samples are random machines that training never saw, lengths those of their first tapes, in cells.",
    ).add_argument
    add("--states", metavar="A-B", help="Machines with so many states (2 to what the model knows).")
    add("--symbols", metavar="A-B", help="Machines with so many symbols (2 to what the model knows).")
    add("--steps", type=int, metavar="N", help=f"Follow each of a machine's four runs for N steps ({_USUAL_STEPS}).")


def refuse(args: argparse.Namespace) -> None:
    """Raises InputError for options that only interpreters take."""
    if given := [name for name in _FOR_PROGRAMS if getattr(args, name) is not None]:
        raise InputError(f"--{given[0]} is for a model that is given a machine in the prompt, which this one is not")


def run(args: argparse.Namespace, trained: "Trained") -> int:
    """Evaluate and print. Returns the exit code."""
    from ahx.data.machines import Sizes
    from ahx.data.programs import Runs
    from ahx.evaluation.interpreting import interpreter_of, judge_steps
    from ahx.evaluation.render_steps import Lengths, steps_as_json, steps_as_text
    from ahx.evaluation.step_errors import merged

    rule = interpreter_of(trained)
    for name in _NOT_FOR_PROGRAMS:
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} is not for an interpreter; leave it out")
    sizes = Sizes(_span("states", args.states, rule.n_states), _span("symbols", args.symbols, rule.n_symbols))
    steps = args.steps or _USUAL_STEPS
    groups: list[Lengths] = []
    for least, greatest, n in _series(args, trained):
        shown = args.failures - sum(len(group.report.mistakes) for group in groups)
        report = judge_steps(trained, sizes, Runs(4, steps, (least, greatest)), n, args.seed, shown, args.decode)
        groups.append(Lengths(least, greatest, report))
    if args.json:
        import json

        about: dict[str, Any] = {"model": str(trained.folder), "rule": rule.spec, "data": None, "steps_per_run": steps}
        about |= {"states": sizes.states, "symbols": sizes.symbols}
        print(json.dumps(steps_as_json(about, groups, args.decode)))
    else:
        states, symbols = ("-".join(map(str, dict.fromkeys(span))) for span in (sizes.states, sizes.symbols))
        what = f"random machines of {states} states and {symbols} symbols, four runs of {steps} steps each"
        print(steps_as_text(f"{trained.folder} on {what}", groups, args.decode))
    return int(args.require_exact and merged(group.report for group in groups).errors > 0)


def _span(name: str, text: str | None, most: int) -> tuple[int, int]:
    """What --states or --symbols says: 2-8, or 3."""
    if text is None:
        return 2, most
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    least, greatest = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 2 <= least <= greatest <= most:
        raise InputError(f"--{name}: write a number or two, such as 2-{most}, from 2 to {most} (got {text!r})")
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
