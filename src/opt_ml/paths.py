"""Paths of the files that SageMaker and a training container exchange, under /opt/ml or another base.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: The variable that names another base; SageMaker's training toolkit reads it too.
BASE_VARIABLE = "SAGEMAKER_BASE_DIR"
#: Set to 1, this variable makes a job stop gracefully at the end of its standard input, when its starter has died.
STOP_AT_EOF = "AHX_STOP_AT_EOF"


@dataclass(frozen=True)
class OptMl:
    """The tree of one training job. Nothing is read or made here."""

    base: Path = Path("/opt/ml")

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """The tree that the environment names, or /opt/ml."""
        return cls(Path(environ[BASE_VARIABLE])) if environ.get(BASE_VARIABLE) else cls()

    @property
    def config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        """One JSON object whose values are all strings."""
        return self.config / "hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        """The channels, with how their data come."""
        return self.config / "inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        """All hosts of the job, and which of them this is."""
        return self.config / "resourceconfig.json"

    @property
    def channels(self) -> Path:
        return self.base / "input" / "data"

    def channel(self, name: str) -> Path:
        """The folder with the files of one channel."""
        return self.channels / name

    @property
    def model(self) -> Path:
        """What SageMaker packs into model.tar.gz."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def output_data(self) -> Path:
        """What SageMaker packs into output.tar.gz."""
        return self.output / "data"

    @property
    def failure(self) -> Path:
        """Why the job failed (see failure.py)."""
        return self.output / "failure"

    @property
    def success(self) -> Path:
        """Empty; SageMaker's training toolkit writes it when the job has succeeded."""
        return self.output / "success"

    @property
    def checkpoints(self) -> Path:
        """What SageMaker copies to S3 while the job runs, and back when it is started again."""
        return self.base / "checkpoints"
