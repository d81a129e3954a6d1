"""Chooses what suits a data file where its lines alone do not tell: a short comparison on held-out lines.

Each candidate is trained for a small, equal share of the budget, its learning rate falling to the end; the one with
the most validation lines right (then the least loss) is taken. A run that is limited by steps compares after equal
numbers of steps, so it chooses the same again; one that is limited by time compares after equal times.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ahx.training.data import TrainingData
from ahx.training.hyperparameters import Hyperparameters

Prepare = Callable[[Hyperparameters], TrainingData]


@dataclass(frozen=True)
class Candidate:
    """One way to train on a data file."""

    name: str  # as the sentence about the comparison names it: "rope"
    changes: Mapping[str, Any]  # hyperparameters that it sets, such as {"pos": "rope"}; never one that the user gave
    why: str = ""  # a reason to take it without a comparison


def candidates(hp: Hyperparameters, data: TrainingData) -> list[Candidate]:
    """What to compare for `data`, the default first. With `data` from `prepare(hp)`; one candidate alone is taken.

    Only files whose output has no cursor leave a choice.
    """
    if not hp.infile or hp.pos != "auto" or data.source.teacher.kind != "plain" or hp.heads or hp.model_in:
        return []
    return [Candidate(f"pos {pos}", {"pos": pos}) for pos in ("rope", "alibi", "learned")]
