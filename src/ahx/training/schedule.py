"""Learning rate schedules."""

import math

FLOOR = 0.01  # the share of the peak at which a cosine or linear schedule ends


def scale(step: int, total: int, warmup: int, kind: str) -> float:
    """The factor on the peak learning rate at `step` (from 0) of `total`: a linear warm-up, then `kind`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    if kind == "cosine":
        return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))
    if kind == "linear":
        return FLOOR + (1 - FLOOR) * (1 - progress)
    return 1.0
