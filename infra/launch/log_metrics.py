"""The evaluations of a training run, from its log."""

import re
from collections.abc import Iterable

from ahx.training.metrics import METRIC_DEFINITIONS

_PATTERNS = {one["Name"]: re.compile(one["Regex"]) for one in METRIC_DEFINITIONS}

Evaluation = dict[str, float]


def evaluations(lines: Iterable[str]) -> list[Evaluation]:
    """The evaluations among the lines of a log, by the patterns that SageMaker uses too.

    >>> evaluations(["step=50; epoch=1; val_exact=0.25;", "  ABA -> AABAA  ok"])
    [{'step': 50.0, 'epoch': 1.0, 'val_exact': 0.25}]
    """
    found = []
    for line in lines:
        if "val_exact=" in line:
            matches = {name: match for name, pattern in _PATTERNS.items() if (match := pattern.search(line))}
            found.append({name: float(match[1]) for name, match in matches.items()})
    return found
