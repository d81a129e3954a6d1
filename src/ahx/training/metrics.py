"""The metrics of training, as one line of text and as JSON."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ahx.errors import StorageError
from ahx.safe_files.atomic import atomic_files

#: What SageMaker reads from the log: each name with the pattern of its value in an evaluation's line.
#: https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html
METRIC_DEFINITIONS = [
    {"Name": name, "Regex": rf"\b{name}=([0-9.eE+-]+);"}
    for name in ("step", "epoch", "train_loss", "val_loss", "val_exact", "val_margin", "tokens_per_second", "seconds")
]
_PATTERNS = {one["Name"]: re.compile(one["Regex"]) for one in METRIC_DEFINITIONS}

METRICS, CURVE = "metrics.jsonl", "curve.jsonl"  # files in a run's folder
Evaluation = dict[str, float]


def metric_line(metrics: Mapping[str, float | int]) -> str:
    """`name=value;` for every metric: integers as they are, others with six significant digits."""
    return " ".join(f"{k}={v};" if isinstance(v, int) else f"{k}={v:.6g};" for k, v in metrics.items())


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


def history(path: Path) -> list[Evaluation]:
    """The evaluations in a `metrics.jsonl`, or the points in a `curve.jsonl`; none without it. Raises StorageError."""
    try:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read: {error}; delete it, and only the history is lost") from error


class MetricsFile:
    """`metrics.jsonl`: one line for each evaluation; or `curve.jsonl`.

    A resumed run begins with those of its checkpoint, so an incomplete line of a crashed run is dropped.
    """

    def __init__(self, path: Path, history: Sequence[Mapping[str, object]], durable: bool = True) -> None:
        """With `durable`, each line survives a power failure. Raises StorageError when the file cannot be written."""
        self.path, self.durable = path, durable
        with atomic_files([path]) as [file]:
            file.writelines(_line(metrics) for metrics in history)

    def write(self, metrics: Mapping[str, object]) -> None:
        """Append a line."""
        with self.path.open("ab") as file:
            file.write(_line(metrics))
            if self.durable:
                file.flush()
                os.fsync(file.fileno())


def _line(metrics: Mapping[str, object]) -> bytes:
    return json.dumps(metrics).encode() + b"\n"
