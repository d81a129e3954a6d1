"""Chooses what suits a data file where its lines alone do not tell: a short comparison on held-out lines.

Each candidate is trained for a small, equal share of the budget, its learning rate falling to the end. The first one
follows a cursor, which is quick to learn what windows show and no more (docs/LOG.md): it is taken if its validation
loss per line is clearly smaller, else the best of the others. A run that is limited by steps compares after equal
numbers of steps, so it chooses the same again; one that is limited by time compares after equal times. What was chosen
is in config.json.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from ahx.data.monotone.evidence import WIDEST
from ahx.data.teacher import MonotoneTeacher
from ahx.model.positions.schemes import SCHEMES
from ahx.model.scoring import score
from ahx.training.data import TrainingData, epoch_of
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.schedule import UNLIMITED, planned_steps, scale
from ahx.training.start import first_model, first_step

Prepare = Callable[[Hyperparameters], TrainingData]

_SHARE = 0.15  # of the budget, for all candidates together
_LEAST_SECONDS, _LEAST_STEPS = 2.0, 200  # for each candidate; with less, nothing is compared
_LINES = 500  # of validation that are looked at
_CLEARLY = 0.6  # times the loss of the others, or less
_MOST_SECONDS = 10.0  # for each candidate
#: Share of held-out lines that an alignment settles, below which it is compared with a plain decoder. Where errors
#: still fall at the widest window, it must settle more.
_DOUBTFUL, _DOUBTFUL_FALLING = 0.35, 0.5
_TOO_NARROW = (
    f"pos rope: a monotone alignment was found, but symbols farther from its cursor than {WIDEST} decide as well "
    "(--pos coupled follows it, with heads that see all)"
)


@dataclass(frozen=True)
class Candidate:
    """One way to train on a data file."""

    name: str  # as the sentence about the comparison names it: "pos rope"
    changes: Mapping[str, Any]  # hyperparameters that it sets, such as {"pos": "rope"}
    why: str = ""  # a sentence


class _Result(NamedTuple):
    exact: float
    loss: float  # nats per line
    seconds: float
    steps: int


def candidates(hp: Hyperparameters, data: TrainingData) -> list[Candidate]:
    """What may suit `data` from `prepare(hp)`, the default first; none where there is nothing to choose.

    Hyperparameters that the user gave are never changed.
    """
    teacher = data.source.teacher
    found = teacher.alignment.evidence if isinstance(teacher, MonotoneTeacher) else None
    narrow, doubtful = found is not None and found.narrow, False
    if found is not None and not narrow:
        doubtful = found.settled < (_DOUBTFUL_FALLING if found.falling < 1 else _DOUBTFUL)
    if not (narrow or doubtful or teacher.kind == "plain"):
        return []
    if not hp.infile or hp.model_in or hp.pos != "auto" or "c" in (hp.heads or ""):
        return []
    default = [Candidate("pos coupled", {"pos": "coupled"})] * doubtful
    rotates = hp.n_embd // hp.n_head % 2 == 0  # pairs of channels
    return default + [Candidate("pos rope", {"pos": "rope"}, _TOO_NARROW * narrow)] * rotates


def choose(
    hp: Hyperparameters, data: TrainingData, prepare: Prepare, device: torch.device, alone: bool = True
) -> tuple[dict[str, Any], str]:
    """The hyperparameters to change for `data`, which is `prepare(hp)`, and a sentence that says why.

    The first candidate is taken unseen where the budget is too small for a comparison, and where this process is not
    `alone`.
    """
    options = candidates(hp, data)
    if not options:
        return {}, ""
    steps, seconds = _budget(hp, data, len(options))
    if len(options) == 1 or not (steps or seconds) or not alone:
        return dict(options[0].changes), options[0].why
    results = {option.name: _try(hp, data, option, prepare, device, steps, seconds) for option in options}
    quick, *others = options
    best = min(others, key=lambda option: results[option.name].loss)
    taken = quick if results[quick.name].loss <= _CLEARLY * results[best.name].loss else best
    first = results[taken.name]
    after = f"{first.seconds:.0f} s" if seconds else f"{first.steps:,} steps"
    rest = (f"{one.exact:.0%} ({one.loss:.2f}) with {name}" for name, one in results.items() if name != taken.name)
    return dict(taken.changes), (
        f"{taken.name}: {first.exact:.0%} of held-out lines right after {after} (loss {first.loss:.2f} per line) "
        f"against {' and '.join(rest)}"
    )


def suited(hp: Hyperparameters, data: TrainingData, prepare: Prepare) -> TrainingData:
    """`data` with what `hp` changes: prepared again if other steps are to be learnt."""
    if hp.pos != "auto" and SCHEMES[hp.pos].coupled == (data.source.teacher.kind == "plain"):
        return prepare(hp)
    pos = data.pos if hp.pos == "auto" else hp.pos
    return replace(data, pos=pos, steps_per_epoch=epoch_of(hp, data.source))


def _budget(hp: Hyperparameters, data: TrainingData, options: int) -> tuple[int, float]:
    """Steps or seconds for each of the candidates; 0 and 0 where they are too few."""
    if hp.max_seconds is not None:
        seconds = min(_SHARE * hp.max_seconds / options, _MOST_SECONDS)
        return (UNLIMITED, seconds) if seconds >= _LEAST_SECONDS else (0, 0)
    steps = int(_SHARE * planned_steps(hp, data.steps_per_epoch)[0] / options)
    return (steps, 0) if steps >= _LEAST_STEPS else (0, 0)


def _try(
    asked: Hyperparameters, given: TrainingData, option: Candidate, prepare: Prepare, device: torch.device,
    steps: int, seconds: float,
) -> _Result:  # fmt: skip
    hp = asked.model_copy(update=dict(option.changes))
    data = suited(hp, given, prepare)
    model = first_model(hp, data, None).to(device)
    step = first_step(hp.model_copy(update={"compile": False}), data, model, device)
    began, done, used = time.monotonic(), 0, 0.0
    while done < steps and used < 1:
        rate = scale(done, steps, hp.warmup_steps, hp.lr_schedule, used)
        step(data.source.batch(done, hp.batch_size), done, rate)
        done += 1
        used = (time.monotonic() - began) / seconds if seconds else 0.0
    tokenizer = data.source.tokenizer
    scores = score(model, data.source.validation_rows(_LINES), tokenizer.separator, tokenizer.configuration)
    loss = float((scores.loss_N * scores.tokens_N).mean())
    return _Result(scores.exact, loss, time.monotonic() - began, done)
