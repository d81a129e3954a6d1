"""The files that a run reads and writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ahx.data.source import DataFiles
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.metrics import CURVE, METRICS


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run. `ahx train` has them all in one folder; in a container SageMaker defines them."""

    run: Path  # holds the folder checkpoints/
    model: Path  # the trained model
    metrics: Path  # metrics.jsonl, with curve.jsonl beside it
    data: DataFiles | None = None  # None: those that hp.infile names
    caches: Path | None = None  # of data files; None: beside them
    tensorboard: Path | None = None  # event files; None: the folder tensorboard/ in `run`
    name: str = ""  # what trackers call the run; "": the name of the folder `run`
    unattended: bool = False  # a job that is stopped and restarted: it writes the model whenever it is stopped

    @classmethod
    def of(cls, hp: Hyperparameters) -> Self:
        """Everything in hp.model_out, data files where hp.infile says."""
        folder = Path(hp.model_out)
        return cls(folder, folder, folder / METRICS)

    @property
    def curve(self) -> Path:
        return self.metrics.with_name(CURVE)
