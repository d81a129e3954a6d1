"""Runs of a dozen steps, for tests of the training loop."""

from pathlib import Path

from ahx.model import checkpoint
from ahx.training.hyperparameters import Hyperparameters

SMALL = {
    "rule": "double_a", "n_embd": 16, "n_head": 2, "max_len": 6, "epoch_size": 128, "max_steps": 12, "val_samples": 20,
    "checkpoint_interval": 0.75, "warmup_steps": 2, "dropout": 0.1, "threads": 1, "device": "cpu",
}  # fmt: skip


def settings(folder: Path, **others: object) -> Hyperparameters:
    return Hyperparameters.model_validate({**SMALL, "model_out": str(folder), **others})


def weights(folder: Path) -> bytes:
    return (folder / checkpoint.WEIGHTS).read_bytes()
