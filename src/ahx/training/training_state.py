"""What a checkpoint stores besides the weights, to resume training from."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ahx.errors import CheckpointError
from ahx.model.config_file import first_fault
from ahx.training.schedule import UNLIMITED

Row = dict[str, int | float]


class TrainingState(BaseModel):
    """Attributes of `Loop`, and the state of the optimiser."""

    model_config = ConfigDict(strict=True)

    step: Annotated[int, Field(ge=0, le=UNLIMITED)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    best: Row
    due: Annotated[dict[Literal["train_loss", "tokens_per_second"], float], Field(min_length=2)] | None
    history: list[Row]
    points: list[Row] = []  # of the learning curve; earlier versions have none
    reason: str
    optimizer: dict[str, Any]

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        """Raises CheckpointError for the state of another version or of another model."""
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        if absent := [name for name in required if name not in state]:
            raise CheckpointError(
                f"the checkpoint was written by another version: its state has no {absent[0]!r}; train without --resume"
            )
        try:
            return cls.model_validate(state)
        except ValidationError as error:
            raise CheckpointError(
                f"the checkpoint holds no state of training ({first_fault(error)}); train without --resume"
            ) from None
