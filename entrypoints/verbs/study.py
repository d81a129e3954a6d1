"""Find out what it takes to learn a rule: the smallest model, the fewest samples, the least time.

A study trains small models one after the other, each with several seeds, and makes them smaller until they fail. It may
be stopped at any time: the same command goes on with it, and trains nothing twice.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ahx.errors import InputError
from ahx.text.plural import counted
from ahx.text.printing import data, one_line
from entrypoints.shared import launching
from entrypoints.shared.arguments import add_hyperparameters

if TYPE_CHECKING:
    from ahx.study.answer import Answer
    from ahx.study.session import Session
    from ahx.study.trial import Config
    from ahx.training.hyperparameters import Hyperparameters
    from entrypoints.shared.studying import Runner

EXAMPLES = [
    "ahx study double_a --on process --seeds 1 --max-steps 100 --budget '6 trials'",
    "ahx study --data data/da --on process --seeds 1 --max-steps 50 --n-layer 1 --n-embd 16 --n-head 2",
]
LOGGED = True
_FILES = ("study.json", "study.csv")
_POS = ("auto", "coupled", "learned", "none", "rope", "alibi", "hard-alibi")


def configure(parser: argparse.ArgumentParser) -> None:
    """What to study, where, and all hyperparameters."""
    parser.usage = "%(prog)s (RULE | --data FILE) [--pos SCHEMES] [--seeds N] [--budget BUDGET] [options]"
    parser.add_argument("rule", nargs="?", metavar="RULE", help="A preset such as double_a, or a rule ('A -> AA').")
    add = parser.add_argument_group("What to find out").add_argument
    add("--data", metavar="FILE", help="Study FILE_train.txt and FILE_val.txt: how many lines are enough as well.")
    add("--pos", default="auto", metavar="SCHEMES", help="Position schemes, as in coupled,rope (auto).")
    add("--seeds", type=int, default=3, metavar="N", help="Train each configuration with N seeds (3).")
    add("--confirm", type=int, default=0, metavar="N", help="Train the smallest model with N fresh seeds as well.")
    add("--lengths", default="2,5,10,20", metavar="LIST", help="Test at so many times the length (2,5,10,20).")
    add("--budget", metavar="BUDGET", help="What this call may spend: '200 trials', 10m or '$5' (no limit).")
    add("--name", help="The study's name (made from the rule).")
    add("--to", metavar="FOLDER", help="Where study.json, study.csv and figures go (runs/studies/NAME).")
    add("--retry-failed", action="store_true", help="Train trials again that broke off with an error.")
    add("--yes", action="store_true", help="Do not ask before SageMaker is paid for.")
    add("--json", action="store_true", help="Print one JSON object.")
    launching.job_options(parser.add_argument_group("Jobs"))
    parser.set_defaults(halving=None)  # the search itself stops what is hopeless
    add_hyperparameters(parser, of_a_sweep=True, without=("rule", "infile", "pos", "seed", "threads"))


def run(args: argparse.Namespace) -> int:
    """Search, test the models, and say what was found. Returns the exit code."""
    from ahx.study.session import Budget

    budget = Budget.parse(args.budget) if args.budget else Budget()
    multiples = _numbers("lengths", args.lengths)
    schemes = list(dict.fromkeys(args.pos.split(",")))
    if odd := [pos for pos in schemes if pos not in _POS]:
        raise InputError(f"--pos: {odd[0]!r} is no position scheme; choose from {', '.join(_POS)}")
    for name, least in (("seeds", 1), ("confirm", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name}: must be at least {least} (got {getattr(args, name)})")
    hp, start = _usual(args)
    name = args.name or _name(args.rule or args.data)
    study = _Study(args, hp, start, schemes, name)
    study.search(study.session(budget))
    return study.conclude(multiples)


class _Study:
    """One call of the verb."""

    def __init__(
        self, args: argparse.Namespace, hp: "Hyperparameters", start: "Config", schemes: Sequence[str], name: str
    ) -> None:
        from ahx.study.lines import SHARES, Curve
        from ahx.study.search import Findings

        self.args, self.hp, self.start, self.name = args, hp, start, name
        self.folder = Path(args.to or f"runs/studies/{name}")
        self.kept = _read(self.folder / "study.json")
        self.findings = [Findings(pos) for pos in schemes]
        self.trials: dict[str, tuple[Config, Any]] = {}
        self.digest, self.curve, self.infiles = "", None, list[str]()
        if args.data:
            from ahx.data.files.shares import write_shares
            from infra import locations

            lines, validation = write_shares(locations.data(args.data), self.folder / "data", SHARES)
            self.curve = Curve(lines, validation)
            self.infiles = list(lines)
            self.digest = _digest(Path(f"{self.infiles[-1]}_train.txt"), Path(f"{self.infiles[-1]}_val.txt"))
            self.start = {**start, "infile": self.infiles[-1]}
        self.runner = self._runner()

    def _runner(self) -> "Runner":
        from infra.launch.backends.choose import open_backend, usual

        on = self.args.on or usual()
        if on == "process":
            from entrypoints.shared.studying import PoolRunner

            return PoolRunner(self.folder / "trials", self.digest, self.args.retry_failed)
        from infra.launch.study import SweepRunner

        launching.set_region(self.args.region)
        backend = open_backend(on, Path(self.args.folder), self.args.prefix)
        launching.confirm(backend, self.args.yes)

        def follow(sweep: str, manifest: Any) -> Any:
            return launching.follow(backend, sweep, manifest, self.args.retry_failed, as_json=True)

        return SweepRunner(backend, self.name, launching.options(self.args), self.folder / "trials", follow)

    def session(self, budget: Any) -> "Session":
        """The search with what earlier calls have found out."""
        from ahx.study import search
        from ahx.study.lines import study_lines
        from ahx.study.session import Session
        from ahx.study.trial import Result

        known = {key: Result(**told["result"]) for key, told in self.kept.get("trials", {}).items()}
        if self.args.retry_failed:
            known = {key: one for key, one in known.items() if not one.failure}
        self.trials = {key: (self.kept["trials"][key]["config"], one) for key, one in known.items()}
        seeds, fixed = range(self.args.seeds), _fixed(self.args, self.hp)
        searches = [
            search.study({**self.start, "pos": found.pos}, seeds, found, self.args.confirm, fixed)
            for found in self.findings
        ]
        if self.curve is not None:
            first = {**self.start, "pos": self.findings[0].pos}
            searches.append(study_lines(first, self.infiles, seeds, self.curve))
        return Session(search.together(searches), known, budget, self.digest)

    def search(self, session: "Session") -> None:
        """Until the search has its answer or the budget is spent."""
        self.ended = False
        while configs := session.ask():
            results = self.runner.train(configs)
            session.tell(configs, results)
            session.usd = self.runner.usd
            for config, result in zip(configs, results, strict=True):
                self.trials[session.key(config)] = (config, result)
                print(f"{len(self.trials):4} {_told(config, result)}", file=sys.stderr, flush=True)
            self._write({})
        self.ended = session.ended

    def conclude(self, multiples: Sequence[int]) -> int:
        """Measure the models that were found, write everything, and print the answer. 1 where all trials failed."""
        from ahx.study.answer import Answer
        from entrypoints.shared.studying import parameters

        answer = Answer(
            self.args.rule or self.args.data, self.findings, self.runner.seconds_are,
            parameters([one.config for found in self.findings for one in found.attempts]),
            self._lengths(multiples), self.curve, self.hp.certify, self.ended,
        )  # fmt: skip
        self._write(answer.to_json())
        drawn = self._draw(answer)
        if self.args.json:
            data(json.dumps(answer.to_json()))
        else:
            _show(answer)
            print(f"\n{', '.join((*_FILES, *drawn))} are in {self.folder}")
        return int(all(result.failure for _, result in self.trials.values()))

    def _lengths(self, multiples: Sequence[int]) -> dict[str, list[dict[str, float]]]:
        """Exact match of the smallest model of each scheme, by length, for each seed; measured once."""
        from entrypoints.shared.studying import exact_by_length

        if self.args.data or self.hp.certify:
            return {}
        measured = self.kept.setdefault("lengths", {})
        found: dict[str, list[dict[str, float]]] = {}
        for one in self.findings:
            for seed in range(self.args.seeds) if one.smallest is not None else ():
                assert one.smallest is not None
                config = {**one.smallest.config, "seed": seed}
                name = f"{self._key(config)} {self.args.lengths}"
                model = self.runner.model(config) if name not in measured else None
                if model is not None:
                    measured[name] = exact_by_length(model, self.args.rule, self.hp.until_exact, [1, *multiples])
                if name in measured:
                    found.setdefault(one.pos, []).append(measured[name])
        return found

    def _key(self, config: "Config") -> str:
        from ahx.study.trial import key

        return key(config, self.digest)

    def _draw(self, answer: "Answer") -> list[str]:
        from ahx.study.figures import draw

        try:
            return [path.name for path in draw(answer, self.folder)]
        except ImportError:
            print("ahx: note: no figures without matplotlib: pip install 'ahx-transformer[report]'", file=sys.stderr)
            return []

    def _write(self, answer: dict[str, Any]) -> None:
        """study.json and study.csv, whole or not at all."""
        from ahx.files.atomic import atomic_files
        from ahx.study.answer import trials_csv

        trials = {key: {"config": dict(c), "result": r.to_json()} for key, (c, r) in self.trials.items()}
        whole = {**answer, "lengths": self.kept.get("lengths", {}), "trials": trials}
        with atomic_files([self.folder / name for name in _FILES]) as [as_json, as_csv]:
            as_json.write(json.dumps(whole, indent=1).encode() + b"\n")
            as_csv.write(trials_csv(list(self.trials.values())).encode())


def _usual(args: argparse.Namespace) -> tuple["Hyperparameters", "Config"]:
    """The usual hyperparameters with what was typed, and the configuration that the search starts from."""
    from ahx.training.hyperparameters import spellings
    from ahx.training.settings import from_sources

    if bool(args.rule) == bool(args.data):
        raise InputError("what is to be studied? Give a rule, such as double_a, or --data FILE, and not both")
    typed = {name: value for name, value in vars(args).items() if name in spellings() and value is not None}
    typed = {name: value for name, value in typed.items() if name not in ("pos", "rule")}
    subject = {"rule": args.rule} if args.rule else {"infile": args.data}
    ours = {"max_steps": "500", "threads": "1", "checkpoint_interval": "25", "keep_checkpoints": "1"}
    if args.rule and typed.get("certify") not in ("true", ""):
        ours |= {"until_exact": "2000"}
    if args.rule:
        ours |= {"val_samples": "500"}
    hp = from_sources({**ours, **typed, **subject})
    if "epoch_size" not in typed:  # an epoch is what training evaluates after: about ten batches
        hp = from_sources({**ours, **typed, **subject, "epoch_size": str(10 * hp.batch_size)})
    names = {*ours, *typed, *subject, "epoch_size", "n_layer", "n_head", "n_embd", "batch_size", "learning_rate"}
    names |= {"muon_learning_rate", "pos"}
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


def _read(path: Path) -> dict[str, Any]:
    """What an earlier call has left."""
    from ahx.files.reading import json_of, text_of

    told = json_of(text_of(str(path)), str(path)) if path.exists() else {}
    if not isinstance(told, dict):
        raise InputError(f"{path} is not the record of a study; choose another --to")
    return told


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _told(config: "Config", result: Any) -> str:
    from ahx.study.trial import SIZE

    names = (*SIZE, "batch_size", "learning_rate", "seed")
    size = ", ".join(f"{name} {config[name]}" for name in names)
    if "infile" in config:
        size = f"{Path(config['infile']).name}, {size}"
    if result.failure:
        return f"{config['pos']}, {size}: {result.failure}"
    outcome = "exact" if result.exact else f"{result.val_exact:.2%} exact"
    return f"{config['pos']}, {size}: {outcome} after {counted(result.samples, 'sample')}, {result.seconds:.1f} s"


def _show(answer: "Answer") -> None:
    from rich.table import Table

    from ahx.study.answer import COLUMNS
    from infra.launch.leaderboard import console

    for sentence in answer.sentences():
        print(sentence)
    table = Table(*COLUMNS[:-1], answer.seconds_are, box=None)
    for row in answer.rows():
        table.add_row(*map(one_line, row))
    console().print(table)
