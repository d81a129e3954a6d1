"""Train one configuration as a job, on this machine or on SageMaker: a sweep of one.

`ahx jobs collect` fetches the model. It can also be used where it is: `ahx eval --model s3://...`.
"""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.errors import InputError
from entrypoints.shared import launching
from entrypoints.shared.arguments import add_hyperparameters

if TYPE_CHECKING:
    from infra.launch.sweep import Sweep

_FOLDER = Path("runs", "local-mode")

EXAMPLES = [
    "ahx launch --on process --rule double_a --max-steps 20 --dry-run",
    "ahx launch --name first --on process --rule double_a --max-steps 20",
]

LOGGED = True


def configure(parser: argparse.ArgumentParser) -> None:
    """The backend, and all hyperparameters."""
    parser.usage = "%(prog)s (--rule RULE | --infile INFILE) [options]"
    parser.add_argument("--name", help="Name of the job (default: made from the rule).")
    parser.add_argument("--local-mode", action="store_true", help="Run in the foreground in SageMaker's local mode.")
    launching.job_options(parser.add_argument_group("Jobs"))
    launching.run_options(parser.add_argument_group("Launcher"))
    add_hyperparameters(parser, of_a_sweep=True)


def run(args: argparse.Namespace) -> int:
    """Run the job. Returns the exit code."""
    from ahx.training.hyperparameters import spellings
    from infra.launch.sweep import Sweep

    base = {name: value for name, value in vars(args).items() if name in spellings()}
    args.halving = None
    sweep = Sweep(args.name or _name(base), base, {})
    return _in_foreground(sweep, args) if args.local_mode else launching.launch(sweep, args)


def _in_foreground(sweep: "Sweep", args: argparse.Namespace) -> int:
    """Run the job in local mode and show what it prints. Ctrl-C is for the job."""
    from ahx.training.tracking.choice import EXPERIMENT_VARIABLE
    from infra.launch.backends.choose import open_backend
    from infra.launch.job_request import job_name
    from infra.launch.plan import plan
    from infra.launch.sweep import as_strings
    from infra.run_local import foreground
    from infra.run_local.job_output import JobOutput
    from infra.run_local.local_mode_runner import LocalModeRunner
    from opt_ml import tree

    if args.on not in (None, "local-mode"):
        raise InputError(f"--local-mode is a backend by itself; leave out --on {args.on}")
    backend = open_backend("local-mode", Path(args.folder))
    planned = plan(backend, sweep, launching.options(args))
    if args.dry_run:
        launching.show_plan(backend, planned, args.json, dry_run=True)
        return 0
    config = planned.configs[0]
    folder = _FOLDER / job_name(planned.template, config)
    channels = {
        name: backend.share(files, planned.template.channels[name].rpartition("/")[2])
        for name, files in planned.files.items()
    }
    ready = tree.build(folder, as_strings(config), channels)
    environment = {"PYTHONUNBUFFERED": "1", EXPERIMENT_VARIABLE: sweep.name}
    job = LocalModeRunner(planned.template.image).start(ready, environment)
    with JobOutput() as show:
        code = foreground.watch(job, planned.template.max_runtime, show)
    print(f"The job's folder is {folder}; the same command resumes from its checkpoints.")
    return code


def _name(base: dict[str, str]) -> str:
    """double-a for the rule double_a."""
    text = base.get("rule") or base.get("problem") or base.get("infile") or ""
    return re.sub(r"[^a-z0-9]+", "-", text.rstrip("/").rpartition("/")[2].lower()).strip("-")[:27].strip("-") or "run"
