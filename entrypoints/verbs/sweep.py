"""Train many configurations, on this machine or on SageMaker, and rank them.

A sweep can be interrupted, repeated, and taken over from another machine; no job is submitted twice. `ahx jobs` shows
its jobs, logs and models.
"""

import argparse
from typing import Any

from ahx.errors import InputError
from entrypoints.shared import launching
from entrypoints.shared.arguments import add_hyperparameters

EXAMPLES = [
    "ahx sweep --name s1 --on process --rule double_a --max-steps 20 --grid n_layer=1,2 --dry-run",
    "ahx sweep --name s1 --on process --rule double_a --max-steps 20 --grid n_layer=1,2",
    "ahx sweep --name s2 --on process --rule double_a --grid learning_rate=1e-4:1e-2:log --sobol 4 --seeds 2 --dry-run",
]

LOGGED = True


def configure(parser: argparse.ArgumentParser) -> None:
    """The configurations, the backend, and all hyperparameters."""
    parser.usage = "%(prog)s [FILE] --name NAME (--rule RULE | --infile INFILE) --grid NAME=VALUES ... [options]"
    parser.add_argument("file", nargs="?", metavar="FILE", help="TOML file of the sweep; see docs/sweeps.md.")
    add = parser.add_argument_group("Configurations").add_argument
    add("--name", help="Name of the sweep: lower-case letters, digits and dashes.")
    add("--grid", action="append", default=[], metavar="NAME=VALUES",
        help="A hyperparameter with values, n_layer=1,2, or a range, learning_rate=1e-4:1e-2:log.")  # fmt: skip
    add("--seeds", type=int, metavar="N", help="Seeds for each configuration (default: 1).")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--random", type=int, metavar="N", help="Draw N random configurations instead of the whole grid.")
    how.add_argument("--sobol", type=int, metavar="N", help="Draw N evenly spread configurations (Sobol points).")
    add("--halving", type=int, metavar="N", help="Stop runs that are not in the best 1/N after 1, N, N*N ... epochs.")
    launching.job_options(parser.add_argument_group("Jobs"))
    launching.run_options(parser.add_argument_group("Launcher"))
    add_hyperparameters(parser, of_a_sweep=True)


def run(args: argparse.Namespace) -> int:
    """Plan and run the sweep. Returns the exit code."""
    from ahx.training.hyperparameters import spellings
    from infra.launch.sweep import Sweep, parse_grid
    from infra.launch.sweep_file import SweepFile, read_sweep_file

    said = read_sweep_file(args.file) if args.file else SweepFile()
    typed = {name: value for name, value in vars(args).items() if name in spellings()}
    for key, value in said.options.items():
        if getattr(args, key) is None and not (key in ("random", "sobol") and (args.random or args.sobol)):
            setattr(args, key, value)
    if not args.name:
        raise InputError("which name? A sweep is found again by it: --name s1")
    space = {name: values for name, values in {**said.space, **parse_grid(args.grid)}.items() if name not in typed}
    base: dict[str, Any] = {**{k: v for k, v in said.base.items() if k not in space}, **typed}
    if both := sorted(set(base) & set(space)):
        raise InputError(f"{both[0]} is given both as one value and with --grid; keep one of the two")
    draws = ("random", args.random) if args.random else ("sobol", args.sobol) if args.sobol else None
    seeds = 1 if args.seeds is None else args.seeds
    return launching.launch(Sweep(args.name, base, space, seeds, draws), args)
