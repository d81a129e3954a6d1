"""One training job: everything it reads and writes lies in its /opt/ml tree."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ahx.errors import InputError, StorageError
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.opt_ml import OptMl
from ahx.training.places import Places
from ahx.training.settings import from_sources
from ahx.training.signals import StopRequest
from container.channels import Channel, channels, data_files, model_folder, read_json


@dataclass(frozen=True)
class Job:
    """A job whose configuration has been read; nothing of its data yet."""

    tree: OptMl
    hyperparameters: Hyperparameters
    channels: Mapping[str, Channel]
    infile: str | None  # which data set of the channel is meant, where that was said

    def train(self, stop: StopRequest) -> None:
        """Train, from the newest checkpoint if there is one, and write the model. Raises AhxError."""
        check_writable(self.tree)
        scratch = _scratch(self.tree)
        files = data_files(dict(self.channels), self.infile, scratch)
        places = Places(
            run=self.tree.base,
            model=self.tree.model,
            metrics=self.tree.output_data / "metrics.jsonl",
            data=files,
            caches=scratch / "caches",
            always_model=True,
        )
        given = {}
        if "model" in self.channels:
            given["model_in"] = str(model_folder(self.channels["model"], scratch))

        from ahx.training.run import run  # torch comes with it, so not before the input is known to be right

        run(self.hyperparameters.model_copy(update=given), places, stop)


def read(tree: OptMl, environ: Mapping[str, str]) -> Job:
    """Read the configuration files of a job. Raises InputError and StorageError."""
    given = channels(tree)
    said = {name.lower(): value for name, value in read_json(tree.hyperparameters).items()}
    read_json(tree.resource_config)
    infile = str(said["infile"]) if said.get("infile") else None
    settings = {"model_out": str(tree.model), "resume": "true"}
    for name in set(settings) & set(said):
        print(f"ahx: note: {name} is not used here: the model goes to {tree.model}", file=sys.stderr)
    if "train" in given:
        # A name for the record: the same job has the same, wherever its data are mounted.
        settings["infile"] = infile or given["train"].name
    elif infile:
        raise InputError(f"infile {infile!r} needs a channel called train that holds it; add one, or leave infile out")
    if "model" in given and said.get("model_in"):
        raise InputError("model_in and the channel model both name a model to start from; keep one of the two")
    if not given.get("train") and not (said.get("rule") or said.get("problem") or environ.get("SM_HP_RULE")):
        raise InputError(
            "there is nothing to learn; give the job a channel called train, or a hyperparameter rule such as double_a"
        )
    hyperparameters = from_sources(settings, None, environ, str(tree.hyperparameters))
    return Job(tree, hyperparameters, given, infile)


def check_writable(tree: OptMl) -> None:
    """Write a byte into every folder that training will write to: better now than in an hour. Raises StorageError."""
    for folder in (tree.model, tree.output_data, tree.checkpoints):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"0")
                file.flush()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StorageError(
                f"cannot write to {folder}: {reason}; mount a writable folder with room there"
            ) from error


def _scratch(tree: OptMl) -> Path:
    """A folder for caches and copies; it stays, for a job that is started again."""
    for folder in (tree.base / "scratch", Path(tempfile.gettempdir()) / "ahx-scratch"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise StorageError(f"there is no place for caches; make {tree.base} or {tempfile.gettempdir()} writable")
