"""The channel `trials` of a job: its file trials.json lists the trials that one job trains."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ahx.errors import InputError
from ahx.safe_files.reading import json_of, text_of

CHANNEL, FILE = "trials", "trials.json"


class Trial(BaseModel):
    """One configuration. Its hyperparameters override those that all trials of the job share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
    hyperparameters: dict[str, Any] = Field(default_factory=dict)  # strings, as SageMaker's, or values


class Trials(BaseModel):
    """The content of trials.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    trials: Annotated[list[Trial], Field(min_length=1)]
    trials_at_once: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # for each trial
    halving: Annotated[int, Field(ge=2, le=1000)] | None = None
    retry_failed: bool = False  # train trials again that failed in an earlier run of the job
    evaluate: bool = True  # write evaluation.json

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises InputError for an invalid file, StorageError for one that cannot be read."""
        return cls.parse(text_of(path), path)

    @classmethod
    def parse(cls, text: str | bytes, path: Path | str) -> Self:
        """As `read`, from the contents of the file."""
        try:
            found = cls.model_validate(json_of(text, path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{path}: {where}: {first['msg'].lower()}; see docs/container.md for its format"
            ) from error
        keys = [trial.key for trial in found.trials]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise InputError(f"{path}: two trials have the key {twice}; give each a key of its own")
        return found
