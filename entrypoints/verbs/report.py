"""Write a page with figures of runs, of a sweep or of a study: one HTML file that opens from disk.

Runs are folders, here or in S3; several are compared, and those that differ by their seed only are one line with a
band. A sweep is a name, searched as `ahx jobs` does, and may still be running. A study is the folder of its study.json,
here or in S3.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.errors import InputError
from ahx.safe_files.atomic import atomic_files
from ahx.text.plural import counted
from ahx.text.printing import data
from entrypoints.shared import launching
from entrypoints.shared.arguments import add_trust
from entrypoints.shared.sweeps import backend_of, observed
from infra import locations
from infra.launch.options import BACKENDS

if TYPE_CHECKING:
    from ahx.report.page import Section

EXAMPLES = ["ahx report runs/demo --to demo.html", "ahx report s1", "ahx report runs/bb4"]

_STUDY = "study.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """What to show, and where to write it."""
    add = parser.add_argument
    add("what", metavar="RUN|SWEEP|STUDY", nargs="+", help="Folders of runs, or a sweep, or the folder of a study.")
    add("--to", default="report.html", metavar="FILE", help="The page.")
    add("--example", default="", metavar="TEXT", help="Show attention for this input (default: a drawn one).")
    add("--num-samples", type=int, metavar="N", help="Evaluate models on N samples at each length (default: 1000).")
    add_trust(add)
    add("--on", choices=BACKENDS, help="Backend of the sweep (default: this machine, then AWS).")
    launching.backend_options(parser)
    add("--json", action="store_true", help="Print one JSON object.")


def run(args: argparse.Namespace) -> int:
    """Collect, draw and write. Returns the exit code."""
    if args.num_samples is not None and args.num_samples < 1:
        raise InputError(f"--num-samples: must be at least 1 (got {args.num_samples})")
    launching.set_region(args.region)
    from ahx.report.page import html

    try:
        title, sections = _found(args)
        page = html(title, [], list(sections))
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise InputError("figures need matplotlib; install it with: pip install matplotlib") from None
    with locations.written(args.to) as path, atomic_files([Path(path)]) as [file]:
        file.write(page.encode("utf-8"))
    if args.json:
        data(json.dumps({"page": args.to, "title": title}))
    else:
        print(f"{args.to}: {title} ({len(page) / 1000:,.0f} kB)")
    return 0


def _found(args: argparse.Namespace) -> "tuple[str, Iterator[Section]]":
    first = args.what[0]
    if locations.is_given(first) and (told := locations.contents(f"{first.rstrip('/')}/{_STUDY}")):
        _alone(args.what, "a study")
        return _study(first, told)
    if not args.on and locations.is_given(first):
        return _runs(args, args.what)
    _alone(args.what, "a sweep")
    return _sweep(args, first)


def _alone(what: Sequence[str], kind: str) -> None:
    if len(what) > 1:
        raise InputError(f"{what[0]} is {kind}, which has a page of its own; leave out {' '.join(what[1:])}")


def _study(folder: str, text: bytes) -> "tuple[str, Iterator[Section]]":
    from ahx.report.studies import sections
    from ahx.safe_files.reading import json_of

    path = f"{folder.rstrip('/')}/{_STUDY}"
    told = json_of(text, path)
    subject = told.get("subject", folder) if isinstance(told, dict) else folder
    return f"Study of {subject}", sections(told, path)


def _runs(args: argparse.Namespace, folders: Sequence[str]) -> "tuple[str, Iterator[Section]]":
    from ahx.evaluation.trained import load_trained
    from ahx.report.runs import Run, sections

    places = [Path(locations.model(folder)) for folder in folders]
    runs = [Run.of(load_trained(place, trusted=args.trust_rule), place) for place in places]
    title = runs[0].subject if len(runs) == 1 else f"{counted(len(runs), 'run')} of {runs[0].subject}"
    return title, sections(runs, args.example, args.num_samples)


def _sweep(args: argparse.Namespace, name: str) -> "tuple[str, Iterator[Section]]":
    from ahx.report.sweeps import sections
    from infra.launch.leaderboard import as_json, ranked, summary
    from infra.launch.sweep import shown, varied

    backend = backend_of(args, name)
    state = observed(backend, name)
    best = ranked(state.trials)
    trials = best + [trial for trial in state.trials if trial not in best]
    histories = {trial.name: [dict(one) for one in trial.history] for trial in trials}
    names = varied([trial.config for trial in trials])
    configs = [{one: shown(trial.config, one) for one in (*names, "batch_size")} for trial in trials]
    rows = [{**as_json(trial), "config": config} for trial, config in zip(trials, configs, strict=True)]
    return f"Sweep {summary(state, backend.costs)}", sections(rows, histories, names)
