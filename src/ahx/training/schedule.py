"""How long a run is, and the learning rate in the course of it."""

import math

from ahx.text.plural import counted
from ahx.training.hyperparameters import Hyperparameters

FLOOR = 0.01  # the share of the peak at which a cosine or linear schedule ends
UNLIMITED = 10**18  # steps; more than any run takes
#: Epochs of a file without any limit: as many as make this number of steps, within the bounds.
_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 4_000, 10, 200


def scale(step: int, total: int, warmup: int, kind: str, time_used: float = 0.0) -> float:
    """The factor on the peak learning rate at `step` (from 0) of `total`: a linear warm-up, then `kind`.

    `time_used` is the share of a time limit that has passed. Progress is the larger of the two shares.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, max((step - warmup) / max(1, total - warmup), time_used))
    if kind == "cosine":
        return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))
    if kind == "linear":
        return FLOOR + (1 - FLOOR) * (1 - progress)
    return 1.0


def planned_steps(hp: Hyperparameters, steps_per_epoch: int) -> tuple[int, str]:
    """The greatest number of steps that `hp` allows, and a sentence where it follows from the size of a file."""
    if hp.max_steps is not None:
        return hp.max_steps, ""
    if hp.num_epochs is not None:
        return hp.num_epochs * steps_per_epoch, ""
    epoch = f"epochs of {counted(steps_per_epoch, 'step')}"
    if hp.max_seconds is not None:
        return UNLIMITED, f"as many {epoch} as {hp.max_seconds:g} seconds allow"
    epochs = min(max(-(-_STEPS // steps_per_epoch), _FEWEST_EPOCHS), _MOST_EPOCHS)
    return epochs * steps_per_epoch, f"{epochs} {epoch} follow from the number of lines (--num-epochs, --max-seconds)"
