"""A trained model with its tokenizer, teacher and rule."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ahx.data.files.encode import Encoder
from ahx.data.files.format import Reading
from ahx.data.files.reader import Reader
from ahx.data.seen import Seen
from ahx.data.segmented_teacher import SegmentedTeacher
from ahx.data.teacher import Teacher, teacher_from_json
from ahx.data.tokenizer import Tokenizer
from ahx.errors import AhxError, CheckpointError, InputError
from ahx.model import checkpoint
from ahx.model.batches import TOKENS_PER_BATCH
from ahx.model.device import choose_device, keep_memory, usual_threads
from ahx.model.transformer import Transformer
from ahx.rules import Rule, rule_of_a_model

#: A certified interpreter of Turing machines, of up to 8 states and 4 symbols, which is part of the package.
SHIPPED = Path(__file__).parents[1] / "certified" / "turing-interpreter"

_NEEDS_RULE = ("machine", "queue", "program")  # kinds of teachers
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Trained:
    """A model from disk, the teacher of its steps, and the rule that it learnt, where that is known."""

    model: Transformer
    tokenizer: Tokenizer
    teacher: Teacher
    rule: Rule | None
    hyperparameters: Mapping[str, Any]  # as Hyperparameters.to_json wrote them
    folder: Path
    steps: int = 0  # of training
    seen: Seen | None = None  # the inputs of files that it was trained on
    columns: Sequence[str] = ()  # the names that input and output had in these files
    lost: AhxError | None = None  # why the rule that the model names could not be read
    calibration: float = 1.0  # logits are divided by it before probabilities are taken

    @cached_property
    def encoder(self) -> Encoder:
        """Encodes samples as rows of tokens."""
        teacher = self.teacher
        return Encoder(teacher.inner if isinstance(teacher, SegmentedTeacher) else teacher, self.tokenizer)

    @property
    def reader(self) -> Reader:
        """Reads files as the user said in training, and by the names that columns had there."""
        hp = self.hyperparameters
        said = (hp.get("format") or "auto", hp.get("columns") or "", hp.get("header") or "auto")
        reading = Reading(*said, tuple(self.columns))
        return Reader(reading, self.tokenizer.segmentation)

    @property
    def block_size(self) -> int | None:
        """The most tokens a row may have, or None where the position scheme sets no limit."""
        return self.model.config.limit

    def for_rewriting(self) -> "Trained":
        """This model, if it rewrites strings. Raises InputError for one that has learnt a queue machine."""
        if self.teacher.kind == "queue":
            raise InputError(f"{self.folder} is a machine: check it with `ahx verify`, and run it with `ahx exec`")
        return self

    def expect(self, vocabulary: Tokenizer) -> None:
        """Raises CheckpointError when the model has other tokens than `vocabulary`."""
        if self.tokenizer.to_json() != vocabulary.to_json():
            raise CheckpointError(f"the vocabulary of {self.folder} is not that of its rule; use another model")

    def training_lengths(self) -> tuple[int, int]:
        """Least and greatest input length that training drew, in symbols.

        Raises InputError for a model that was trained on a file: its lengths are not on record.
        """
        if self.hyperparameters.get("infile") or "max_len" not in self.hyperparameters:
            raise InputError(
                f"{self.folder} was trained on a file, so its training length is not known; "
                "say which lengths to try with --max-len or --lengths 10,20"
            )
        return int(self.hyperparameters["min_len"]), int(self.hyperparameters["max_len"])


def load_trained(path: str | Path | None, device: str = "cpu", *, trusted: str | None) -> Trained:
    """Read the model in the run folder `path` onto a device: auto, cpu, mps, cuda or cuda:N. None is `SHIPPED`.

    Nothing that the folder holds or names is executed, except a Python function that `trusted`, a rule that the user
    typed, names as well. A rule that cannot be read is an error only where it is needed. Raises CheckpointError, and
    InputError for an unknown device, or when the model's teacher needs a rule that cannot be read.
    """
    if not _DEVICE.fullmatch(device):
        raise InputError(f"--device: must be auto, cpu, mps, cuda or cuda:N (got {device!r})")
    saved = checkpoint.load(path or SHIPPED, choose_device(device))
    keep_memory()
    torch.set_num_threads(usual_threads(TOKENS_PER_BATCH, saved.model.config.n_embd))
    description = saved.config.get("teacher") or {}
    rule, lost = None, None
    if saved.config.get("rule"):
        try:
            rule = rule_of_a_model(saved.config["rule"], trusted)
        except AhxError as error:
            if description.get("kind") in _NEEDS_RULE:
                raise
            lost = error
    teacher = teacher_from_json(description, rule)
    if teacher.start != saved.tokenizer.start:
        raise CheckpointError(f"{saved.folder} has a vocabulary that its teacher cannot use; use another model")
    if not saved.tokenizer.segmentation.changes_nothing:
        teacher = SegmentedTeacher(teacher, saved.tokenizer.segmentation)
    return Trained(
        model=saved.model,
        tokenizer=saved.tokenizer,
        teacher=teacher,
        rule=rule,
        hyperparameters=saved.config.get("hyperparameters") or {},
        folder=saved.folder,
        steps=saved.config.get("step", 0),
        seen=saved.seen,
        columns=saved.config.get("columns", ()),
        lost=lost,
        calibration=saved.config.get("calibration", 1.0),
    )
