"""Training and trained models as Python objects: `from ahx import train, load` (docs/python.md).

The verbs of the command line use the same functions. Every mistake is an `ahx.errors.AhxError` with one sentence.
Nothing here handles signals or ends the process.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

import torch

from ahx.errors import InputError, StorageError
from ahx.evaluation.attention import Attention, attention
from ahx.evaluation.evaluate import evaluate
from ahx.evaluation.render import Group, as_json, by_length
from ahx.evaluation.report import Report
from ahx.evaluation.rewriter import Rewriter, usual_beam
from ahx.evaluation.samples import (
    Series,
    alphabet_of,
    alternatives,
    data_files,
    draw,
    lengths_to_try,
    lines_of,
    rule_to_draw,
)
from ahx.evaluation.trained import SHIPPED, Trained, load_trained
from ahx.model import checkpoint
from ahx.rules import Rule
from ahx.training import card
from ahx.training.metrics import CURVE, METRICS, Evaluation, history
from ahx.training.run import run
from ahx.training.settings import from_keywords
from ahx.training.signals import StopRequest

__all__ = ["Attention", "Model", "load", "train"]

_FILES = (checkpoint.WEIGHTS, checkpoint.SEEN, checkpoint.CONFIG, checkpoint.CERTIFICATE, card.NAME, METRICS, CURVE)
_USUAL_SAMPLES = 10_000


class Model:
    """A trained model: a function from strings to strings.

    `history` has the evaluations of its training, `curve` the points of its learning curve; `transformer` is the torch
    module, `folder` where its files are.
    """

    def __init__(self, trained: Trained, history: list[Evaluation], curve: list[Evaluation]) -> None:
        self._trained, self.history, self.curve = trained, history, curve

    @property
    def transformer(self) -> torch.nn.Module:
        return self._trained.model

    @property
    def folder(self) -> Path:
        return self._trained.folder

    @property
    def rule(self) -> str | None:
        """The rule that it learnt, where that is known."""
        return self._trained.rule.spec if self._trained.rule else None

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        return self._trained.hyperparameters

    @property
    def parameters(self) -> int:
        """How many weights are trained."""
        return sum(p.numel() for p in self._trained.model.parameters())

    @property
    def training_lengths(self) -> tuple[int, int]:
        """Least and greatest input length in training, in symbols. Raises InputError where that is not known."""
        return self._trained.training_lengths()

    def __call__(self, text: str) -> str:
        """What the model writes for `text`. Raises InputError, for instance for an unknown symbol."""
        return self.rewrite([text])[0]

    def rewrite(self, texts: Iterable[str]) -> list[str]:
        """What the model writes for each text; they are decoded together. Raises InputError for the first bad one."""
        return [rewriting.output for rewriting in Rewriter(self._trained.for_rewriting()).many(list(texts))]

    def best(self, text: str, n: int = 5) -> list[tuple[str, float]]:
        """The `n` most probable outputs that beam search finds, with their probabilities. Raises InputError."""
        if n < 1:
            raise InputError(f"n: must be at least 1 (got {n})")
        found = Rewriter(self._trained.for_rewriting(), beam=usual_beam(n), n_best=n)(text).best
        return [(answer.text, answer.probability) for answer in found]

    def evaluate(
        self, lengths: Iterable[int] | None = None, *, rule: str | Rule | None = None,
        data: str | PathLike[str] | None = None, n: int | None = None, seed: int = 0, decode: bool = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Exact match by input length, a row each, with the names of `ahx eval --json`.

        Samples are drawn from `rule` (default: the model's), `n` for each of `lengths`: by default over the lengths of
        training, and for an empty list at 1, 2, 5, 10 and 20 times the greatest. Or they are the first `n` lines of the
        file `data`. With `decode`, all answers are decoded. Raises AhxError.
        """
        trained = self._trained.for_rewriting()
        if trained.teacher.kind == "program":
            raise InputError(f"{trained.folder} is an interpreter of programs; evaluate it with `ahx eval`")
        if n is not None and n < 1:
            raise InputError(f"n: must be at least 1 (got {n})")
        if data is not None:
            lines = partial(lines_of, trained, data_files(str(data)), n)
            groups = by_length(evaluate(trained, lines(), alternatives=alternatives(lines), decode=decode))
        else:
            drawn = rule_to_draw(trained, rule.spec if isinstance(rule, Rule) else rule)
            alphabet = alphabet_of(trained, drawn)
            series = self._series(lengths, n)
            reports = [evaluate(trained, draw(drawn, alphabet, one, seed), decode=decode) for one in series]
            groups = [Group(one.min_len, one.max_len, part.total) for one, part in zip(series, reports, strict=True)]
            if lengths is None:
                groups = by_length(reports[0])
        rows: list[dict[str, Any]] = as_json({}, Report(), groups, decode, None)["by_length"]
        return rows

    def attention(self, text: str) -> Attention:
        """What each head attends to while the model rewrites `text`. Raises InputError."""
        return attention(self._trained.for_rewriting(), text)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Copy the model's files to `folder`; those of an earlier model there are moved aside. Raises StorageError."""
        to = Path(folder)
        try:
            to.mkdir(parents=True, exist_ok=True)
            if not to.samefile(self.folder):
                checkpoint.set_aside(to)
                for name in _FILES:
                    if (self.folder / name).exists():
                        shutil.copyfile(self.folder / name, to / name)
        except OSError as error:
            raise StorageError(
                f"cannot copy the model from {self.folder} to {to}: {error.strerror}; choose another place"
            ) from error
        return to

    def _series(self, lengths: Iterable[int] | None, n: int | None) -> list[Series]:
        if lengths is None:
            return [Series(*self.training_lengths, n or _USUAL_SAMPLES)]
        of_training = None if self.hyperparameters.get("infile") else self.training_lengths
        return lengths_to_try(",".join(map(str, lengths)), of_training, n)

    def __repr__(self) -> str:
        learnt = self.rule or self.hyperparameters.get("infile") or "an unknown rule"
        return f"<ahx.Model of {learnt!r}, {self.parameters:,} parameters, in {self.folder}>"


def train(rule: str | Rule | None = None, *, quiet: bool = False, **hyperparameters: object) -> Model:
    """Train a model. Every option of `ahx train` is an argument, such as `until_exact=10_000`. Raises AhxError.

    Without `model_out`, the model's files are in a temporary folder that is deleted with the model: see `Model.save`.
    `quiet` prints nothing; otherwise progress is shown as on the command line.
    """
    values = dict(hyperparameters)
    if rule is not None:
        values["rule"] = rule.spec if isinstance(rule, Rule) else rule
    temporary = None if values.get("model_out") else mkdtemp(prefix="ahx-")
    try:
        hp = from_keywords(values | ({"model_out": temporary} if temporary else {}))
        with _same_threads():
            run(hp, stop=StopRequest(), quiet=quiet)  # a request that is not entered handles no signals
        model = load(hp.model_out, hp.device, trust_rule=hp.rule)
    except BaseException:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if temporary:
        finalize(model, shutil.rmtree, temporary, ignore_errors=True)
    return model


def load(model: str | PathLike[str], device: str = "cpu", *, trust_rule: str | None = None) -> Model:
    """Read the model in the folder `model`; "turing-interpreter" is the one that is part of the package.

    `device` is auto, cpu, mps, cuda or cuda:N. Nothing in the folder is run, except that a Python function
    `trust_rule`, module:function, is if it is the rule that the model names. Raises AhxError.
    """
    folder = SHIPPED if str(model) == SHIPPED.name and not Path(model).exists() else Path(model)
    with _same_threads():
        trained = load_trained(folder, device, trusted=trust_rule)
    return Model(trained, *(history(trained.folder / name) for name in (METRICS, CURVE)))


@contextmanager
def _same_threads() -> Iterator[None]:
    """torch's number of threads is the caller's: what a run chooses for itself is undone."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
