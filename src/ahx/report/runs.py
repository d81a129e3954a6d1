"""The report of one run, or of several side by side."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahx.errors import InputError
from ahx.evaluation.attention import attention
from ahx.evaluation.evaluate import evaluate
from ahx.evaluation.judging import REASONS
from ahx.evaluation.report import Failure, Report
from ahx.evaluation.samples import SAMPLES_BY_MULTIPLE, Series, alphabet_of, draw, lengths_to_try
from ahx.evaluation.trained import Trained
from ahx.model.checkpoint import CONFIG
from ahx.report import curves, pictures
from ahx.report.page import Section, plain
from ahx.safe_files.untrusted import json_object
from ahx.training.metrics import CURVE, METRICS, history

_SHAPE = ("pos", "n_layer", "n_head", "n_embd")  # as they came out; the other settings as they were given
_NOT_COMPARED = ("seed", "model_out", "threads", "device", "resume", "model_in")
_MOST_FAILURES = 10
_USUAL_SAMPLES = 1_000
_EXAMPLE_LENGTH = 8  # symbols
_SEED = 1


@dataclass(frozen=True)
class Run:
    """A trained model with the record of its training."""

    trained: Trained
    config: Mapping[str, Any]
    history: curves.History
    curve: curves.History

    @classmethod
    def of(cls, trained: Trained, folder: Path) -> "Run":
        """The run in `folder`, whose model was loaded. Raises CheckpointError."""
        config = json_object(trained.folder / CONFIG)
        return cls(trained, config, history(folder / METRICS), history(folder / CURVE))

    @property
    def subject(self) -> str:
        told = self.trained.hyperparameters
        return str(told.get("rule") or told.get("infile") or self.config.get("rule") or "a model")

    @property
    def batch(self) -> int:
        """Samples in a step."""
        return int(self.trained.hyperparameters.get("batch_size") or 1)

    @property
    def machine(self) -> bool:
        """Whether it is a queue machine, which runs instead of rewriting."""
        return self.trained.teacher.kind == "queue"

    def line(self) -> Mapping[str, Any]:
        """The settings that tell it from other runs, apart from the seed."""
        shape = {name: self.config["architecture"][name] for name in _SHAPE}
        settings = {**shape, **self.trained.hyperparameters, **shape}
        return {name: value for name, value in settings.items() if name not in _NOT_COMPARED}


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs that differ by their seed only, under the settings that tell them from the others."""
    lines = [run.line() for run in runs]
    names = dict.fromkeys(name for line in lines for name in line)
    varied = [name for name in names if len({str(line.get(name)) for line in lines}) > 1]
    found: dict[str, list[Run]] = {}
    for run, line in zip(runs, lines, strict=True):
        name = ", ".join(f"{name} {line.get(name)}" for name in varied if line.get(name) is not None)
        found.setdefault(name or run.subject, []).append(run)
    return found


def sections(runs: Sequence[Run], example: str = "", samples: int | None = None) -> Iterator[Section]:
    """What is known of `runs`; the models are evaluated on fresh samples. Raises AhxError."""
    groups = grouped(runs)
    yield _table(runs)
    learning = Section("Learning")
    lines = [
        curves.Learning(name, [run.history for run in own], own[0].batch, [run.curve for run in own])
        for name, own in groups.items()
    ]
    if figure := curves.learning(lines):
        learning.figure(figure)
        yield learning
    reports = {id(run): evaluated(run, samples) for run in runs}
    lengths = [(name, [shares(reports[id(run)]) for run in own]) for name, own in groups.items()]
    if figure := curves.by_length(lengths):
        section = Section("Length")
        section.text("Fresh samples at the length of training and beyond; one is right only if every symbol is.")
        section.figure(figure)
        yield section
    failures = [(run, failure) for run in runs for report in reports[id(run)].values() for failure in report.failures]
    if failures:
        yield _failures(failures[:_MOST_FAILURES])
    run = runs[0]
    if run.machine:
        section = Section("Space-time diagram")
        section.figure(pictures.spacetime(run.trained))
        yield section
    elif text := example or _example(run):
        section = Section("Attention")
        section.text(
            f"What each head attends to while {'the first model' if len(runs) > 1 else 'the model'} rewrites "
            f"{text!r}. A row is a query: the token at its left is known, and the next one is predicted."
        )
        section.figure(pictures.heads(attention(run.trained, text)))
        yield section


def _table(runs: Sequence[Run]) -> Section:
    section = Section("Runs" if len(runs) > 1 else "The run")
    columns = (
        "folder", "learns", "positions", "layers", "heads", "width", "parameters", "seed", "steps", "samples",
        "seconds", "loss", "exact, %", "least margin",
    )  # fmt: skip
    rows = []
    for run in runs:
        shape, last = run.config["architecture"], run.history[-1] if run.history else {}
        step = last.get("step", run.config.get("step"))
        exact = last.get("val_exact")
        rows.append((
            str(run.trained.folder), run.subject, shape["pos"], shape["n_layer"], shape["n_head"], shape["n_embd"],
            run.config.get("parameters"), run.trained.hyperparameters.get("seed"), None if step is None else int(step),
            None if step is None else int(step * run.batch), last.get("seconds"), last.get("val_loss"),
            None if exact is None else 100 * exact, last.get("val_margin"),
        ))  # fmt: skip
    section.table(columns, rows)
    return section


def evaluated(run: Run, samples: int | None) -> dict[float, Report]:
    """Reports by the multiple of the training length; none for a model that is not asked strings of a rule."""
    trained = run.trained
    if trained.rule is None or trained.teacher.kind in ("queue", "program") or trained.hyperparameters.get("infile"):
        return {}
    found: dict[float, Report] = {}
    every = lengths_to_try("", trained.training_lengths(), None)
    for (multiple, _), series in zip(SAMPLES_BY_MULTIPLE, every, strict=True):
        fewer = series._replace(n=min(series.n, samples or _USUAL_SAMPLES))
        found[multiple] = evaluate(trained, draw(trained.rule, alphabet_of(trained, trained.rule), fewer, _SEED))
    return found


def shares(reports: Mapping[float, Report]) -> dict[float, float]:
    return {multiple: report.total.share for multiple, report in reports.items()}


def _failures(failures: Sequence[tuple[Run, Failure]]) -> Section:
    section = Section("What went wrong")
    section.text("The first failures. The first wrong symbol is marked.")
    rows = "".join(
        f"<tr><td>{plain(run.trained.folder.name)}</td><td><code>{plain(one.text)}</code></td>"
        f"<td><code>{plain(one.expected)}</code></td><td><code>{_marked(one)}</code></td>"
        f"<td>{plain(REASONS[one.reason])}</td></tr>"
        for run, one in failures
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("run", "input", "right output", "written", "reason"))
    section.parts.append(
        '<div class="wide" tabindex="0" role="region" aria-label="Failures">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    return section


def _marked(failure: Failure) -> str:
    """What was written as HTML, with the first wrong symbol marked; at its end, where symbols are missing."""
    if failure.got is None or failure.position is None:
        return ""
    at = failure.position
    wrong = plain(failure.got[at : at + 1]) or "(end)"
    return f"{plain(failure.got[:at])}<mark>{wrong}</mark>{plain(failure.got[at + 1 :])}"


def _example(run: Run) -> str:
    """A short input of training length; none for models that are not asked strings of a rule."""
    rule = run.trained.rule
    if rule is None or run.trained.teacher.kind in ("queue", "program"):
        return ""
    with suppress(InputError):
        least, greatest = run.trained.training_lengths()
        length = max(least, min(greatest, _EXAMPLE_LENGTH))
        return next(draw(rule, alphabet_of(run.trained, rule), Series(length, length, 1), _SEED))[0]
    return ""
