"""Paths of the files that SageMaker and a training container exchange, under /opt/ml or another base.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

#: The variable that names another base; SageMaker's training toolkit reads it too.
BASE_VARIABLE = "SAGEMAKER_BASE_DIR"
#: Set to 1, this variable makes a job stop gracefully at the end of its standard input, when its starter has died.
STOP_AT_EOF = "AHX_STOP_AT_EOF"


class OptMl:
    """The tree of one training job. Nothing is read or made here."""

    def __init__(self, base: Path = Path("/opt/ml")) -> None:
        self.base = base
        self.config = base / "input" / "config"
        self.hyperparameters = self.config / "hyperparameters.json"  # one JSON object whose values are all strings
        self.input_data_config = self.config / "inputdataconfig.json"  # the channels, and how their data come
        self.resource_config = self.config / "resourceconfig.json"  # all hosts of the job, and which of them this is
        self.channels = base / "input" / "data"
        self.model = base / "model"  # SageMaker packs it into model.tar.gz
        self.output = base / "output"
        self.output_data = self.output / "data"  # SageMaker packs it into output.tar.gz
        self.tensorboard = self.output / "tensorboard"  # SageMaker's default LocalPath of TensorBoardOutputConfig
        self.failure = self.output / "failure"  # why the job failed (see failure.py)
        self.success = self.output / "success"  # empty; SageMaker's training toolkit writes it at success
        self.checkpoints = base / "checkpoints"  # SageMaker copies it to S3 while the job runs, and back at a restart

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """The tree that the environment names, or /opt/ml."""
        return cls(Path(environ[BASE_VARIABLE])) if environ.get(BASE_VARIABLE) else cls()

    def channel(self, name: str) -> Path:
        """The folder with the files of one channel."""
        return self.channels / name
