"""See, stop and take over the jobs of sweeps, and bring their models home.

A sweep is looked for in the folder of this machine's jobs, then in AWS (or the `ahx aws` that AWS_ENDPOINT_URL names).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.counting import counted
from ahx.errors import InputError
from ahx.printing import data
from entrypoints import launching

if TYPE_CHECKING:
    from infra.jobs.engine import State
    from infra.jobs.place import Manifest, Place

EXAMPLES = [
    "ahx jobs list",
    "ahx jobs list s1",
    "ahx jobs attach s1",
    "ahx jobs leaderboard s1 --json",
    "ahx jobs collect s1 --to runs/s1 --best 1",
]

_POLL_SECONDS = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """An action for each thing that can be done with jobs."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str, what: str, needed: bool = True) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text)
        one.add_argument("what", metavar=what, nargs=None if needed else "?", help=f"The {what.lower()}'s name.")
        one.add_argument("--json", action="store_true", help="Print one JSON object.")
        one.add_argument("--on", choices=launching.ON, help="Where to look (see above).")
        launching.place_options(one)
        return one

    action("list", "List all sweeps, or the jobs of one.", "SWEEP", needed=False)
    logs = action("logs", "Print what a job has printed.", "JOB")
    logs.add_argument("-f", "--follow", action="store_true", help="Go on until the job ends.")
    action("stop", "Stop a job, or all jobs of a sweep; those that wait are not submitted any more.", "SWEEP-OR-JOB")
    action("attach", "Go on with a sweep that another launcher began: submit what is missing, and watch.", "SWEEP")
    action("leaderboard", "Rank the jobs by exact match, then by time.", "SWEEP")
    collect = action("collect", "Fetch models and metrics, and verify them.", "SWEEP")
    collect.add_argument("--to", metavar="FOLDER", help="Where they go (runs/ and the sweep's name).")
    collect.add_argument("--best", type=int, metavar="N", help="Only the first N of the leaderboard.")


def run(args: argparse.Namespace) -> int:
    """Do one of them. Returns the exit code."""
    launching.set_region(args.region)
    return _ACTIONS[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from infra.jobs.board import as_json, console, summary, table

    if args.what is None:
        place = _place(args, None)
        states = [_observed(place, sweep) for sweep in place.sweeps()]
        if args.json:
            data(json.dumps({"sweeps": [{"name": s.sweep, "jobs": len(s.rows)} for s in states]}))
        for state in states if not args.json else ():
            print(summary(state, place.costs))
        if not states and not args.json:
            print("no sweeps yet; `ahx sweep` starts one")
        return 0
    place = _place(args, args.what)
    state = _observed(place, args.what)
    if args.json:
        data(json.dumps({"sweep": state.sweep, "jobs": [as_json(row) for row in state.rows]}))
    else:
        console().print(table(state, place.costs))
    return 0


def _logs(args: argparse.Namespace) -> int:
    place, job = _job(args)
    lines, cursor = place.log(job, None)
    sweep = _sweep_of(job, place)
    if args.json:
        data(json.dumps({"job": job, "lines": lines}))
        return 0
    while True:
        for line in lines:
            print(line, flush=True)
        found = place.jobs(sweep).get(job) if args.follow else None
        if not args.follow or ((found is None or found.over) and not lines):
            return 0
        if not lines:
            time.sleep(_POLL_SECONDS)
        lines, cursor = place.log(job, cursor)


def _stop(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from infra.request import job_name

    sweep = _sweep_of(args.what, None)
    place = _place(args, sweep)
    manifest = _manifest(place, sweep)
    state = _observed(place, sweep)
    rows = [row for row in state.in_flight() if args.what in (sweep, row.name)]
    if args.what == sweep:  # what waits shall not be submitted by anybody who attaches
        begun = {job_name(row.setting, row.config) for row in state.rows if row.job is not None}
        left = [(n, c) for n, c in manifest.entries if job_name(manifest.settings[n], c) in begun]
        place.write_manifest(sweep, replace(manifest, entries=left))
    for row in rows:
        place.stop(row.name)
    if args.json:
        data(json.dumps({"stopped": [row.name for row in rows]}))
    else:
        print(f"asked {counted(len(rows), 'job')} to stop; each keeps its model so far")
    return 0


def _attach(args: argparse.Namespace) -> int:
    place = _place(args, args.what)
    state = launching.follow(place, args.what, _manifest(place, args.what), False, args.json)
    return launching.show_result(state, place, args.json)


def _leaderboard(args: argparse.Namespace) -> int:
    place = _place(args, args.what)
    launching.show_result(_observed(place, args.what), place, args.json)
    return 0


def _collect(args: argparse.Namespace) -> int:
    from infra.jobs.collect import collect

    place = _place(args, args.what)
    state = _observed(place, args.what)
    folder = Path(args.to or Path("runs", args.what))
    if args.best is not None and args.best < 1:
        raise InputError(f"--best: must be at least 1 (got {args.best})")
    fetched = collect(place, state.rows, folder, args.best)
    if args.json:
        data(json.dumps({"sweep": args.what, "jobs": fetched}))
        return 0
    for one in fetched:
        print(f"{one['metrics']['val_exact']:.2%} exact  {one['model']}")
    print(f"{len(fetched)} of {len(state.rows)} models are in {folder}, and their SHA-256 is right")
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "logs": _logs,
    "stop": _stop,
    "attach": _attach,
    "leaderboard": _leaderboard,
    "collect": _collect,
}


def _place(args: argparse.Namespace, sweep: str | None) -> "Place":
    from infra.jobs.places import find_place, open_place

    folder = Path(args.folder)
    return open_place(args.on, folder, args.prefix) if args.on else find_place(sweep, folder, args.prefix)


def _manifest(place: "Place", sweep: str) -> "Manifest":
    manifest = place.read_manifest(sweep)
    if manifest is None:
        known = ", ".join(place.sweeps()) or "none"
        raise InputError(f"there is no sweep {sweep!r} on {place.title}; there are: {known}")
    return manifest


def _observed(place: "Place", sweep: str) -> "State":
    """The sweep as it is now; nothing is submitted."""
    from infra.jobs.engine import Engine

    engine = Engine(place, sweep, _manifest(place, sweep))
    engine.poll()
    return engine.state


def _job(args: argparse.Namespace) -> "tuple[Place, str]":
    """The job that is meant: by its name, or as the only one of a sweep."""
    sweep = _sweep_of(args.what, None)
    place = _place(args, sweep)
    if sweep != args.what:
        return place, args.what
    rows = _observed(place, sweep).rows
    if len(rows) != 1:
        raise InputError(f"{sweep} has {len(rows)} jobs; name one of those that `ahx jobs list {sweep}` shows")
    return place, rows[0].name


def _sweep_of(name: str, place: "Place | None") -> str:
    """The sweep that a job's name holds; any other name is a sweep's own."""
    import re

    match = re.fullmatch(r".*?-(.+)-[0-9a-f]{10}(-r\d+)?", name)
    return match[1] if match else name
