"""A confidence bound on an error rate, from a number of errors."""

import math

import numpy as np


def upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """The one-sided bound of Clopper & Pearson (Biometrika 1934): a larger rate would give this few errors too rarely.

    Without errors it is 1 - 0.05^(1/n), about 3/n: the rule of three. 1.0 when nothing was tried.
    """
    if errors >= trials:
        return 1.0
    low, high = errors / trials, 1.0
    k = np.arange(1, errors + 1)
    ratios = np.log((trials - k + 1) / k)
    for _ in range(60):
        rate = (low + high) / 2
        # log P(X = 0), and from each to the next: P(X = k) / P(X = k - 1) = (n - k + 1) / k * p / (1 - p)
        steps = np.concatenate([[trials * math.log1p(-rate)], ratios + math.log(rate) - math.log1p(-rate)])
        logs = np.cumsum(steps)
        tail = float(np.exp(logs - logs.max()).sum()) * math.exp(logs.max())
        low, high = (rate, high) if tail > 1 - confidence else (low, rate)
    return high
