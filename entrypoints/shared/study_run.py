"""One call of `ahx study`: search, measure, report."""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ahx.data.files.format import Reading
from ahx.data.files.reader import Reader
from ahx.data.files.shares import write_shares
from ahx.rules.parse import interpreter_kind
from ahx.study import search
from ahx.study.answer import COLUMNS, Answer
from ahx.study.lines import SHARES, Curve, study_lines
from ahx.study.record import FILES, Record
from ahx.study.search import Findings
from ahx.study.session import Budget, Session
from ahx.study.trial import SIZE, Config, Result, key
from ahx.text.plural import counted
from ahx.text.printing import data, one_line
from ahx.training.hyperparameters import Hyperparameters
from entrypoints.shared import launching
from infra import locations

if TYPE_CHECKING:
    from entrypoints.shared.study_pool import Runner


class Study:
    """The question, the results of earlier calls, and where trials are trained."""

    def __init__(
        self, args: argparse.Namespace, hp: Hyperparameters, start: Config, schemes: Sequence[str], name: str,
        folder: Path, fixed: Sequence[str],
    ) -> None:  # fmt: skip
        self.args, self.hp, self.start, self.name, self.folder, self.fixed = args, hp, start, name, folder, fixed
        # In S3 another machine may have gone on since this one.
        self.record = Record(self.folder, locations.contents(f"{args.to.rstrip('/')}/{FILES[0]}") if args.to else None)
        self.findings = [Findings(pos) for pos in schemes]
        self.curve: Curve | None = None
        self.digest = ""
        if args.data:
            reader = Reader(Reading(hp.format, hp.columns or "", hp.header))
            lines, validation = write_shares(locations.data(args.data), self.folder / "data", SHARES, reader)
            self.curve, whole = Curve(lines, validation), list(lines)[-1]
            self.digest = _digest(Path(f"{whole}_train.txt"), Path(f"{whole}_val.txt"))
            said = ("format", "columns", "header")  # of the file, not of its shares
            self.start = {name: value for name, value in start.items() if name not in said} | {"infile": whole}
        self.runner = self._runner()

    def search(self, budget: Budget) -> None:
        """Until the search has its answer or the budget is spent."""
        seeds = range(self.args.seeds)
        searches = [
            search.study({**self.start, "pos": found.pos}, seeds, found, self.args.confirm, self.fixed)
            for found in self.findings
        ]
        if self.curve is not None:
            first = {**self.start, "pos": self.findings[0].pos}
            searches.append(study_lines(first, list(self.curve.lines), seeds, self.curve))
        session = Session(search.together(searches), self.record.known(self.args.retry_failed), budget, self.digest)
        while configs := session.ask():
            results = self.runner.train(configs)
            session.tell(configs, results)
            session.usd = self.runner.usd
            for config, result in zip(configs, results, strict=True):
                self.record.trials[session.key(config)] = config, result
                print(f"{len(self.record.trials):4} {_progress(config, result)}", file=sys.stderr, flush=True)
            self.record.write({})
        self.ended = session.ended

    def conclude(self, multiples: Sequence[int]) -> int:
        """Measure the models that were found, write everything, and print the answer. 1 where all trials failed."""
        from entrypoints.shared.study_measurements import parameters

        answer = Answer(
            self.args.rule or self.args.data, self.findings, self.runner.seconds_are,
            parameters([one.config for found in self.findings for one in found.attempts + found.fresh]),
            self._lengths(multiples), self.curve, self.hp.certify, self.ended,
        )  # fmt: skip
        self.record.write(answer.to_json())
        drawn = self._draw(answer)
        if self.args.json:
            data(json.dumps(answer.to_json()))
        else:
            _show(answer)
            print(f"\n{', '.join((*FILES, *drawn))} are in {self.args.to or self.folder}")
        return int(all(result.failure for _, result in self.record.trials.values()))

    def _runner(self) -> "Runner":
        from infra.launch.backends.choose import default_backend, open_backend

        folder, on = self.folder / "trials", self.args.on or default_backend()
        if on == "process":
            from entrypoints.shared.study_pool import PoolRunner

            return PoolRunner(folder, self.digest, self.args.retry_failed)
        from infra.launch.study_runner import SweepRunner

        launching.set_region(self.args.region)
        backend = open_backend(on, Path(self.args.folder), self.args.prefix)
        launching.confirm(backend, self.args.yes)

        def follow(sweep: str, manifest: Any) -> Any:
            return launching.follow(backend, sweep, manifest, self.args.retry_failed, as_json=True)

        return SweepRunner(backend, self.name, launching.options(self.args), folder, follow)

    def _lengths(self, multiples: Sequence[int]) -> dict[str, list[dict[str, float]]]:
        """Exact match by length of the smallest model of each scheme, for each seed. Measured once."""
        from entrypoints.shared.study_measurements import exact_by_length

        found: dict[str, list[dict[str, float]]] = {}
        if self.args.data or self.hp.certify or interpreter_kind(self.args.rule):
            return found
        measured = self.record.lengths
        for pos, smallest in ((one.pos, one.smallest) for one in self.findings if one.smallest is not None):
            for seed in smallest.seeds:
                config = {**smallest.config, "seed": seed}
                name = f"{key(config, self.digest)} {self.args.lengths}"
                model = self.runner.model(config) if name not in measured else None
                if model is not None:
                    measured[name] = exact_by_length(model, self.args.rule, self.hp.until_exact, [1, *multiples])
                if name in measured:
                    found.setdefault(pos, []).append(measured[name])
        return found

    def _draw(self, answer: Answer) -> list[str]:
        from ahx.report.studies import figures

        drawn = {
            f"{name}.{kind}": figure for name, figure in figures(answer.to_json()).items() for kind in ("svg", "png")
        }
        try:
            for name, figure in drawn.items():
                figure.save(self.folder / name)
            return list(drawn)
        except ImportError:
            print("ahx: note: no figures without matplotlib: pip install 'ahx-transformer[report]'", file=sys.stderr)
            return []


def _digest(*files: Path) -> str:
    """20 hexadecimal digits of the files' contents."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:20]


def _progress(config: Config, result: Result) -> str:
    names = (*SIZE, "batch_size", "learning_rate", "seed")
    told = f"{config['pos']}, " + ", ".join(f"{name} {config[name]}" for name in names)
    if "infile" in config:
        told = f"{Path(config['infile']).name}, {told}"
    if result.failure:
        return f"{told}: {result.failure}"
    outcome = "exact" if result.exact else f"{result.val_exact:.2%} exact"
    return f"{told}: {outcome} after {counted(result.samples, 'sample')}, {result.seconds:.1f} s"


def _show(answer: Answer) -> None:
    from rich.table import Table

    from infra.launch.leaderboard import console

    for sentence in answer.sentences():
        print(sentence)
    table = Table(*COLUMNS[:-1], answer.seconds_are, box=None)
    for row in answer.rows():
        table.add_row(*map(one_line, row))
    console().print(table)
