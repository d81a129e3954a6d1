"""Find out what it takes to learn a rule: the smallest model, the fewest samples, the least time.

A study trains small models one after the other, each with several seeds, and makes them smaller until they fail. It may
be stopped at any time: the same command continues it, and trains nothing twice.
"""

import argparse
import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ahx.errors import InputError
from ahx.model.positions.schemes import SCHEMES
from entrypoints.shared import launching
from entrypoints.shared.arguments import add_hyperparameters
from infra import locations

if TYPE_CHECKING:
    from ahx.study.trial import Config
    from ahx.training.hyperparameters import Hyperparameters

EXAMPLES = [
    "ahx study double_a --on process --seeds 1 --max-steps 100 --budget '6 trials'",
    "ahx study --data data/da --on process --seeds 1 --max-steps 50 --n-layer 1 --n-embd 16 --n-head 2",
]
LOGGED = True
_POS = ("auto", *SCHEMES)


def configure(parser: argparse.ArgumentParser) -> None:
    """What to study, where, and all hyperparameters."""
    parser.usage = "%(prog)s (RULE | --data FILE) [--pos SCHEMES] [--seeds N] [--budget BUDGET] [options]"
    parser.add_argument("rule", nargs="?", metavar="RULE", help="A preset such as double_a, or a rule ('A -> AA').")
    add = parser.add_argument_group("What to find out").add_argument
    add("--data", metavar="FILE", help="Study FILE_train.txt and FILE_val.txt: how many lines are enough as well.")
    add("--pos", default="auto", metavar="SCHEMES", help="Position schemes, as in coupled,rope (auto).")
    add("--seeds", type=int, default=3, metavar="N", help="Train each configuration with N seeds (3).")
    add("--confirm", type=int, default=0, metavar="N",
        help="Train the smallest model with N fresh seeds, and wider ones until all are exact.")  # fmt: skip
    add("--lengths", default="2,5,10,20", metavar="LIST", help="Test at these multiples of the length (2,5,10,20).")
    add("--budget", metavar="BUDGET", help="What this call may spend: '200 trials', 10m or '$5' (no limit).")
    add("--name", help="The study's name (made from the rule).")
    add("--to", metavar="FOLDER", help="Where study.json, study.csv and figures go, here or in S3 (runs/studies/NAME).")
    add("--retry-failed", action="store_true", help="Train trials again that broke off with an error.")
    add("--yes", action="store_true", help="Do not ask before SageMaker is paid for.")
    add("--json", action="store_true", help="Print one JSON object.")
    launching.job_options(parser.add_argument_group("Jobs"))
    parser.set_defaults(halving=None)  # the search itself stops hopeless trials
    add_hyperparameters(parser, of_a_sweep=True, without=("rule", "infile", "pos", "seed", "threads", "track"))


def run(args: argparse.Namespace) -> int:
    """Search, test the models, and print the answer. Returns the exit code."""
    from ahx.study.session import Budget
    from entrypoints.shared.study_run import Study

    budget = Budget.parse(args.budget) if args.budget else Budget()
    multiples = _numbers("lengths", args.lengths)
    schemes = list(dict.fromkeys(args.pos.split(",")))
    if odd := [pos for pos in schemes if pos not in _POS]:
        raise InputError(f"--pos: {odd[0]!r} is no position scheme; choose from {', '.join(_POS)}")
    for name, least in (("seeds", 1), ("confirm", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name}: must be at least {least} (got {getattr(args, name)})")
    hp, start = _usual(args, schemes)
    name = args.name or _name(args.rule or args.data)
    with locations.shared_folder(args.to or f"runs/studies/{name}") as folder:
        study = Study(args, hp, start, schemes, name, folder, _fixed(args, hp))
        study.search(budget)
        return study.conclude(multiples)


def _usual(args: argparse.Namespace, schemes: Sequence[str]) -> tuple["Hyperparameters", "Config"]:
    """The usual hyperparameters with what was typed, and the configuration that the search starts from."""
    from ahx.rules import parse_rule
    from ahx.study.trial import SIZE
    from ahx.training.hyperparameters import spellings
    from ahx.training.settings import from_sources

    if bool(args.rule) == bool(args.data):
        raise InputError("what is to be studied? Give a rule, such as double_a, or --data FILE, and not both")
    if args.rule:
        parse_rule(args.rule)  # refused now, not by each trial
    known = {name: own for name, own in spellings().items() if name not in ("rule", "problem", "pos")}
    typed = {known[name]: value for name, value in vars(args).items() if name in known and value is not None}
    subject = {"rule": args.rule} if args.rule else {"infile": args.data}
    ours = {"max_steps": "500", "threads": "1", "checkpoint_interval": "25", "keep_checkpoints": "1"}
    if args.rule and typed.get("certify") not in ("true", ""):
        ours |= {"until_exact": "2000"}
    if args.rule:
        ours |= {"val_samples": "500"}
    else:
        ours |= {"ngrams": "0"}  # their tables would be most of a small model
    asked = {**ours, **typed, **subject}
    if "epoch_size" not in typed:  # training evaluates after each epoch: after ten batches
        asked["epoch_size"] = str(10 * from_sources(asked).batch_size)
    for pos in schemes:  # a mistake is one sentence, before anything is trained
        hp = from_sources({**asked, "pos": pos})
    names = {*asked, *SIZE, "batch_size", "learning_rate", "muon_learning_rate"}
    return hp, {name: value for name, value in hp.to_json().items() if name in names and value is not None}


def _fixed(args: argparse.Namespace, hp: "Hyperparameters") -> list[str]:
    """Hyperparameters that the search leaves alone: those that were typed, and what follows from them."""
    from ahx.training.hyperparameters import spellings

    names = [own for typed, own in spellings().items() if getattr(args, typed, None) is not None]
    return names + (["n_layer"] if hp.certify else []) + (["n_layer", "n_head"] if hp.heads else [])


def _name(subject: str) -> str:
    """A name that sweeps may have: that of a preset, else simplified and marked with a hash."""
    simple = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:20].strip("-")
    if simple == subject.replace("_", "-"):
        return simple
    return f"{simple}-{hashlib.sha256(subject.encode()).hexdigest()[:6]}".strip("-")


def _numbers(name: str, text: str) -> list[int]:
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise InputError(f"--{name}: must be numbers like 2,5,10,20 (got {text!r})")
    return [int(word) for word in words]
