"""Where a run reads its data and keeps what it writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ahx.training.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class RunPaths:
    """The places of one run. `ahx train` has them all in one folder; in a container SageMaker says where they are."""

    run: Path  # holds the folder checkpoints/
    model: Path  # the trained model
    metrics: Path  # metrics.jsonl
    data: tuple[Path, Path | None] | None = None  # training and validation file; None: found by the name hp.infile
    caches: Path | None = None  # of data files; None: beside them
    unattended: bool = False  # a job that others stop and start again: it writes the model whenever it is stopped

    @classmethod
    def of(cls, hp: Hyperparameters) -> Self:
        """Everything in hp.model_out, data files where hp.infile says."""
        folder = Path(hp.model_out)
        return cls(folder, folder, folder / "metrics.jsonl")
