"""List, stop and take over the jobs of sweeps, and fetch their models.

A sweep is searched in the folder of this machine's jobs, then in AWS (or in the `ahx aws` at AWS_ENDPOINT_URL).
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.errors import InputError
from ahx.text.plural import counted
from ahx.text.printing import data
from entrypoints.shared import launching
from entrypoints.shared.sweeps import backend_of, manifest_of, observed
from infra.launch.options import BACKENDS

if TYPE_CHECKING:
    from infra.launch.backends.backend import Backend

EXAMPLES = [
    "ahx jobs list",
    "ahx jobs list s1",
    "ahx jobs attach s1",
    "ahx jobs leaderboard s1 --json",
    "ahx jobs collect s1 --to runs/s1 --best 1",
]

_POLL_SECONDS = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The actions list, logs, stop, attach, leaderboard and collect."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str, what: str, needed: bool = True) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text)
        one.add_argument("what", metavar=what, nargs=None if needed else "?", help=f"Name of the {what.lower()}.")
        one.add_argument("--json", action="store_true", help="Print one JSON object.")
        one.add_argument("--on", choices=BACKENDS, help="Backend to search (default: this machine, then AWS).")
        launching.backend_options(one)
        return one

    action("list", "List all sweeps, or the jobs of one.", "SWEEP", needed=False)
    logs = action("logs", "Print the log of a job or a trial.", "JOB")
    logs.add_argument("-f", "--follow", action="store_true", help="Print new lines until the job ends.")
    action("stop", "Stop a job, or all jobs of a sweep; jobs not yet submitted are dropped.", "SWEEP-OR-JOB")
    action("attach", "Take over a sweep of another launcher: submit what is missing, and watch.", "SWEEP")
    action("leaderboard", "Rank the jobs by exact match, then by least margin and loss.", "SWEEP")
    collect = action("collect", "Fetch models and metrics, and verify them.", "SWEEP")
    collect.add_argument(
        "--to", type="local", metavar="FOLDER", help="Folder to write to (default: runs/ and the sweep's name)."
    )
    collect.add_argument("--best", type=int, metavar="N", help="Fetch only the first N of the leaderboard.")


def run(args: argparse.Namespace) -> int:
    """Do the action. Returns the exit code."""
    launching.set_region(args.region)
    return _ACTIONS[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from infra.launch.leaderboard import as_json, console, summary, table

    if args.what is None:
        backend = backend_of(args, None)
        states = [observed(backend, sweep) for sweep in backend.sweeps()]
        if args.json:
            data(json.dumps({"sweeps": [{"name": s.sweep, "jobs": len(s.trials)} for s in states]}))
        for state in states if not args.json else ():
            print(summary(state, backend.costs))
        if not states and not args.json:
            print("no sweeps yet; `ahx sweep` starts one")
        return 0
    backend = backend_of(args, args.what)
    state = observed(backend, args.what)
    if args.json:
        data(json.dumps({"sweep": state.sweep, "jobs": [as_json(trial) for trial in state.trials]}))
    else:
        console().print(table(state, backend.costs))
    return 0


def _logs(args: argparse.Namespace) -> int:
    backend, job, key = _job(args)
    sweep, cursor = _sweep_of(job), None
    printed = list[str]()
    while True:
        lines, cursor = backend.log(job, cursor)
        own = [line.removeprefix(f"{key}: ") for line in lines if not key or _is_of(line, key)]
        if args.json:
            printed += own
        for line in own if not args.json else ():
            print(line, flush=True)
        found = backend.jobs(sweep).get(job) if args.follow else None
        if not args.follow or args.json or ((found is None or found.over) and not lines):
            break
        if not lines:
            time.sleep(_POLL_SECONDS)
    if args.json:
        data(json.dumps({"job": job, "lines": printed}))
    return 0


def _stop(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from infra.launch.job_request import job_name

    sweep = _sweep_of(args.what)
    backend = backend_of(args, sweep)
    manifest = manifest_of(backend, sweep)
    state = observed(backend, sweep)
    jobs = {trial.name: trial.job.name for trial in state.in_flight() if trial.job is not None}
    if args.what in jobs and jobs[args.what] != args.what:
        raise InputError(f"{args.what} is trained in {jobs[args.what]}, with other trials; stop that job")
    chosen = sorted({job for job in jobs.values() if args.what in (sweep, job)})
    if args.what == sweep:  # so that no launcher that attaches submits them
        begun = {job_name(trial.template, trial.config) for trial in state.trials if trial.job is not None}
        left = [(n, c) for n, c in manifest.entries if job_name(manifest.templates[n], c) in begun]
        backend.write_manifest(sweep, replace(manifest, entries=left))
    for name in chosen:
        backend.stop(name)
    if args.json:
        data(json.dumps({"stopped": chosen}))
    else:
        print(f"asked {counted(len(chosen), 'job')} to stop; each keeps its models so far")
    return 0


def _attach(args: argparse.Namespace) -> int:
    backend = backend_of(args, args.what)
    state = launching.follow(backend, args.what, manifest_of(backend, args.what), False, args.json)
    return launching.show_result(state, backend, args.json)


def _leaderboard(args: argparse.Namespace) -> int:
    backend = backend_of(args, args.what)
    launching.show_result(observed(backend, args.what), backend, args.json)
    return 0


def _collect(args: argparse.Namespace) -> int:
    from infra.launch.collect import collect

    backend = backend_of(args, args.what)
    state = observed(backend, args.what)
    folder = Path(args.to or Path("runs", args.what))
    if args.best is not None and args.best < 1:
        raise InputError(f"--best: must be at least 1 (got {args.best})")
    fetched = collect(state.trials, folder, args.best)
    if args.json:
        data(json.dumps({"sweep": args.what, "jobs": fetched}))
        return 0
    for one in fetched:
        print(f"{one['metrics']['val_exact']:.2%} exact  {one['model']}")
    print(f"{len(fetched)} of {len(state.trials)} models are in {folder}, and their SHA-256 is right")
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "logs": _logs,
    "stop": _stop,
    "attach": _attach,
    "leaderboard": _leaderboard,
    "collect": _collect,
}


def _job(args: argparse.Namespace) -> "tuple[Backend, str, str]":
    """The job that is named, or the job and the key of the trial that is named, or of the sweep's only trial."""
    sweep = _sweep_of(args.what)
    backend = backend_of(args, sweep)
    trials = [trial for trial in observed(backend, sweep).trials if args.what in (sweep, trial.name)]
    if sweep == args.what and len(trials) != 1:
        raise InputError(f"{sweep} has {len(trials)} trials; name one of those that `ahx jobs list {sweep}` shows")
    if trials and trials[0].job is not None:
        return backend, trials[0].job.name, trials[0].key
    return backend, trials[0].name if trials else args.what, ""


def _is_of(line: str, key: str) -> bool:
    """Whether the line of a job's log is not another trial's."""
    return line.startswith(f"{key}: ") or not re.match(r"[0-9a-f]{10}: ", line)


def _sweep_of(name: str) -> str:
    """The sweep in the name of a job or trial; any other name is the name of a sweep."""
    match = re.fullmatch(r".*?-(.+)-[0-9a-ft][0-9a-f]{9}(-r\d+)?", name)
    return match[1] if match else name
