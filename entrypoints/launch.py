"""Train one configuration as a job, on this machine or on SageMaker: a sweep of one.

The model is brought home by `ahx jobs collect`, or used where it is: `ahx eval --model s3://...`.
"""

import argparse
import re

from entrypoints import launching
from entrypoints.arguments import add_hyperparameters

EXAMPLES = [
    "ahx launch --on process --rule double_a --max-steps 20 --dry-run",
    "ahx launch --name first --on process --rule double_a --max-steps 20",
]


def configure(parser: argparse.ArgumentParser) -> None:
    """Where, and all hyperparameters."""
    parser.usage = "%(prog)s (--rule RULE | --infile INFILE) [options]"
    parser.add_argument("--name", help="The job's name (made from the rule).")
    launching.job_options(parser.add_argument_group("Where and how much"))
    launching.run_options(parser.add_argument_group("The launcher"))
    add_hyperparameters(parser, without=("model_out", "resume"))


def run(args: argparse.Namespace) -> int:
    """Run the job. Returns the exit code."""
    from ahx.training.hyperparameters import spellings
    from infra.sweep import Sweep

    base = {name: value for name, value in vars(args).items() if name in spellings()}
    args.halving = None
    return launching.launch(Sweep(args.name or _name(base), base, {}), args)


def _name(base: dict[str, str]) -> str:
    """double-a for the rule double_a."""
    text = base.get("rule") or base.get("problem") or base.get("infile") or ""
    return re.sub(r"[^a-z0-9]+", "-", text.rstrip("/").rpartition("/")[2].lower()).strip("-")[:27].strip("-") or "run"
