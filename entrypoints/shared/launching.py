"""What `ahx sweep`, `ahx launch` and `ahx jobs` share: options, and running a sweep."""

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.errors import InputError
from ahx.text.plural import counted
from ahx.text.printing import data
from infra.launch.options import BACKENDS, Options, type_of

if TYPE_CHECKING:
    from infra.launch.backends.backend import Backend, Manifest
    from infra.launch.plan import Planned
    from infra.launch.sweep import Sweep
    from infra.launch.trial import SweepState

_SHOWN_TRIALS = 12  # of a plan


def backend_options(parser: argparse._ActionsContainer) -> None:
    """Where jobs are stored."""
    add = parser.add_argument
    add("--folder", type="local", default="runs/sweeps", metavar="FOLDER", help="Folder of this machine's jobs.")
    add("--prefix", default="ahx", help="Prefix of the stack of `ahx infra apply`.")
    add("--region", help="Region in AWS. Default: AWS_REGION, else the region of `aws configure`.")


def job_options(parser: argparse._ActionsContainer) -> None:
    """What jobs run on. None has a default here, so that a value in the sweep's file counts."""
    add = parser.add_argument
    add("--on", choices=BACKENDS, help="Backend: a process of this machine, docker, SageMaker's local-mode, an embedded"
        " AWS (`ahx aws`) or sagemaker (default: process; embedded if AWS_ENDPOINT_URL is set).")  # fmt: skip
    for one in (one for one in fields(Options) if one.metadata["help"]):
        name, kind = f"--{one.name.replace('_', '-')}", type_of(one)
        if kind is bool:
            add(name, action="store_true", default=None, help=one.metadata["help"])
        else:
            add(name, type=kind, metavar=one.metadata["metavar"], help=one.metadata["help"])
    backend_options(parser)


def run_options(parser: argparse._ActionsContainer) -> None:
    """How the launcher behaves."""
    add = parser.add_argument
    add("--retry-failed", action="store_true", help="Run the failed jobs of an earlier call again.")
    add("--dry-run", action="store_true", help="Submit nothing; show trials, quota, time, cost, with --json requests.")
    add("--detach", action="store_true", help="Submit the jobs that can run now, then exit.")
    add("--yes", action="store_true", help="Do not ask for confirmation before jobs that cost money.")
    add("--json", action="store_true", help="Print one JSON object.")


def set_region(region: str | None) -> None:
    """All clients take the region from the environment."""
    import os

    if region:
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region


def follow(backend: "Backend", sweep: str, manifest: "Manifest", retry_failed: bool, as_json: bool) -> "SweepState":
    """Run the sweep to its end and show its progress. Ctrl-C does not stop the jobs."""
    from infra.launch.engine import Engine
    from infra.launch.leaderboard import View

    with View(backend.costs, quiet=as_json) as view:
        engine = Engine(backend, sweep, manifest, retry_failed=retry_failed, on_change=view)
        try:
            return engine.run()
        except KeyboardInterrupt:
            print(f"ahx: note: submitted jobs keep running; to watch them: ahx jobs attach {sweep}", file=sys.stderr)
            raise


def show_result(state: "SweepState", backend: "Backend", as_json: bool) -> int:
    """The leaderboard. The exit code is 1 when a job has failed or could not be submitted."""
    from infra.launch import leaderboard

    if as_json:
        trials = [leaderboard.as_json(trial) for trial in leaderboard.ranked(state.trials)]
        rest = [leaderboard.as_json(trial) for trial in state.trials if "val_exact" not in trial.metrics]
        data(json.dumps({"sweep": state.sweep, "usd": round(state.cost(), 4), "jobs": trials + rest}))
    else:
        console = leaderboard.console()
        console.print(leaderboard.leaderboard(state, backend.costs))
        for trial in state.trials:
            if trial.job is not None and trial.job.status == "Failed":
                console.print(f"{trial.name} failed: {leaderboard.first_line(trial.job.reason)}")
        console.print(leaderboard.summary(state, backend.costs))
    return int(any(trial.job is None or trial.job.status == "Failed" for trial in state.trials))


def show_plan(backend: "Backend", planned: "Planned", as_json: bool, dry_run: bool) -> None:
    """Print what would be submitted, and its quota, time and cost."""
    from infra.launch import prices
    from infra.launch.batch_jobs import job_of_trials
    from infra.launch.job_request import batch_name, job_name, key_of
    from infra.launch.plan import estimate

    template, halving = planned.template, planned.manifest.limits["halving"]
    most = estimate(backend, planned)
    made = []
    for configs in planned.jobs if as_json else ():
        name = batch_name(template, [key_of(template, config) for config in configs])
        made.append(job_of_trials(backend, template, configs, name, halving)[0])
    names = [job_name(template, config) for config in planned.configs]
    if as_json:
        about = {"place": backend.title, "quota": most.quota, "hours": round(most.hours, 3), "usd": most.usd}
        trials = dict(zip(names, planned.configs, strict=True))
        told = {"sweep": template.sweep, "at_most": about, "notes": planned.notes, "trials": trials, "requests": made}
        data(json.dumps(told))
        return
    if dry_run:
        _print_trials(planned, names)
    kind = f" of {template.instance_type}" if backend.costs else ""
    most_jobs = counted(most.n_jobs, "job")
    if most.n_jobs > 1 and planned.manifest.limits["trials_per_job"] == "auto":
        most_jobs = f"at most {most_jobs}"
    print(
        f"{counted(len(names), 'trial')} in {most_jobs} on {backend.title}, {most.parallel} at a time; "
        f"the quota{kind} is {most.quota:,}."
    )
    limit = f"its limit of {template.max_runtime:,} s"
    if backend.costs:
        cost = f"${most.usd:,.2f}" if most.usd is not None else "an unknown amount"
        spot = f" (on spot usually about ${most.usd_spot:,.2f})" if template.spot and most.usd_spot is not None else ""
        print(f"At most {most.hours:,.1f} h and {cost}{spot} if every job runs to {limit}.")
        print(f"That is {prices.note(template.instance_type, template.spot)}.")
        if template.keep_alive:
            print(f"Included: each instance is kept for {template.keep_alive:,} s after a job, which cost as much.")
    else:
        print(f"At most {most.hours:,.1f} h if every job runs to {limit}.")
    for note in planned.notes:
        print(f"Note: {note}.")
    if dry_run:
        print("Nothing was submitted. --json prints every trial and request.")


def confirm(backend: "Backend", yes: bool) -> None:
    """Ask before jobs that cost money. Raises InputError without a terminal, or when the answer is no."""
    if backend.on != "sagemaker" or yes:
        return
    if not sys.stdin.isatty():
        raise InputError("these jobs cost money; add --yes to submit them without confirmation")
    if input("Submit? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was submitted")


def _print_trials(planned: "Planned", names: list[str]) -> None:
    from rich.table import Table

    from ahx.text.printing import one_line
    from infra.launch.leaderboard import console
    from infra.launch.sweep import shown, varied

    columns = varied(planned.configs)
    table = Table("trial", *columns, box=None)
    for name, config in list(zip(names, planned.configs, strict=True))[:_SHOWN_TRIALS]:
        table.add_row(name, *[one_line(shown(config, column)) for column in columns])
    console().print(table)
    more = len(names) - _SHOWN_TRIALS
    print(f"... and {more:,} more\n" if more > 0 else "")


def options(args: argparse.Namespace) -> Options:
    """The options as typed. Raises InputError."""
    given = {name: value for name in Options.__dataclass_fields__ if (value := getattr(args, name)) is not None}
    return Options(**given)


def launch(sweep: "Sweep", args: argparse.Namespace) -> int:
    """Plan, ask, submit and follow a sweep. Returns the exit code."""
    from infra.launch.backends.choose import default_backend, open_backend
    from infra.launch.plan import plan, publish

    set_region(args.region)
    backend = open_backend(args.on or default_backend(), Path(args.folder), args.prefix)
    planned = plan(backend, sweep, options(args))
    if args.dry_run:
        show_plan(backend, planned, args.json, dry_run=True)
        return 0
    if not args.json:
        show_plan(backend, planned, False, dry_run=False)
    confirm(backend, args.yes)
    publish(backend, planned)
    if args.detach:
        from infra.launch.engine import Engine

        engine = Engine(backend, sweep.name, planned.manifest, retry_failed=args.retry_failed)
        engine.poll()
        engine.submit()
        print(f"{len(engine.state.in_flight())} jobs are running; `ahx jobs attach {sweep.name}` submits the rest")
        return 0
    state = follow(backend, sweep.name, planned.manifest, args.retry_failed, args.json)
    return show_result(state, backend, args.json)
