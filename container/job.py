"""One training job: everything it reads and writes lies in its /opt/ml tree."""

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ahx.errors import AhxError, InputError, StorageError
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.lock import FolderLock
from ahx.training.run_paths import RunPaths
from ahx.training.settings import from_sources
from ahx.training.signals import StoppedEarly, StopRequest
from container.channels import Channel, channels, data_files, model_folder
from container.hosts import Helpers, Hosts, is_helper
from container.outcome import report
from opt_ml import config
from opt_ml.paths import OptMl


@dataclass(frozen=True)
class Job:
    """A job whose configuration has been read, but none of its data."""

    tree: OptMl
    hyperparameters: Hyperparameters
    channels: Mapping[str, Channel]
    infile: str | None  # which data set of the channel is meant, where that was said
    hosts: Hosts
    helper: bool  # whether another process of this machine prepares the data

    def train(self, stop: StopRequest) -> None:
        """Train, from the newest checkpoint if there is one, and write the model. Raises AhxError."""
        if self.hosts.first and not self.helper:
            check_writable(self.tree)
            FolderLock(self.tree.checkpoints).check()
        scratch = make_scratch(self.tree)
        paths = RunPaths(
            run=self.tree.base,
            model=self.tree.model,
            metrics=self.tree.output_data / "metrics.jsonl",
            data=data_files(self.channels, self.infile, scratch, again=not self.helper),
            caches=scratch / "caches",
            tensorboard=config.tensorboard(self.tree),
            name=os.environ.get("TRAINING_JOB_NAME", ""),
            unattended=True,
        )
        hyperparameters = self.hyperparameters
        if "model" in self.channels and not self.helper:  # helpers get their weights from the first process
            folder = model_folder(self.channels["model"], scratch)
            hyperparameters = hyperparameters.model_copy(update={"model_in": str(folder)})
        with processes(self.hosts, self.helper, self.tree.failure):
            train_and_evaluate(hyperparameters, paths, stop)
        if self.hosts.first and not self.helper and not (paths.model / "config.json").is_file():
            raise AhxError(f"training ended without a model in {paths.model}; this is a bug in ahx, please report it")


def read(tree: OptMl, environ: Mapping[str, str]) -> Job:
    """Read the configuration files of a job. Raises InputError and StorageError."""
    given = channels(tree)
    hyperparameters, infile = configured(tree.hyperparameters, given, tree.model, environ)
    hosts = Hosts.of(config.resources(tree.resource_config), environ, hyperparameters.device)
    if len(hosts.names) > 1 and (sharded := [channel.name for channel in given.values() if channel.sharded]):
        raise InputError(
            f"channel {sharded[0]} gives each host a part of the data (ShardedByS3Key), but all need the whole; "
            "use FullyReplicated"
        )
    return Job(tree, hyperparameters, given, infile, hosts, is_helper(environ))


def configured(
    file: Path, given: Mapping[str, Channel], model: Path, environ: Mapping[str, str]
) -> tuple[Hyperparameters, str | None]:
    """The hyperparameters in `file` of a job with channels `given`, and the infile that it names. Raises AhxError."""
    said = config.read(file)
    infile = str(said["infile"]) if said.get("infile") else None
    settings = {"model_out": str(model), "resume": "true"}
    for name in sorted(set(settings) & set(said)):
        print(f"ahx: note: {name} is not used here: the model goes to {model}", file=sys.stderr)
    if "train" in given:
        # A name for the model's configuration, the same wherever the data are mounted.
        settings["infile"] = infile or given["train"].name
    elif infile:
        raise InputError(f"infile {infile!r} needs a channel called train that holds it; add one, or leave infile out")
    elif not (said.get("rule") or said.get("problem") or environ.get("SM_HP_RULE")):
        raise InputError(
            "there is nothing to learn; give the job a channel called train, or a hyperparameter rule such as double_a"
        )
    if "model" in given and said.get("model_in"):
        raise InputError("model_in and the channel model both name a model to start from; keep one of the two")
    return from_sources(settings, None, environ, str(file)), infile


def check_writable(tree: OptMl) -> None:
    """Write a byte into every folder that training writes to, before it starts. Raises StorageError."""
    for folder in (tree.model, tree.output_data, tree.checkpoints):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"0")
                file.flush()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StorageError(
                f"cannot write to {folder}: {reason}; mount a writable folder there, with room for the model"
            ) from error


def train_and_evaluate(
    hyperparameters: Hyperparameters, paths: RunPaths, stop: StopRequest, evaluate: bool = True
) -> int:
    """Train; write the model and evaluation.json. 0, or 128 + n when signal n stopped it. Raises AhxError."""
    first = os.environ.get("RANK", "0") == "0"
    try:
        # These import torch, so they wait until the input is checked.
        from ahx.training.run import run
        from container.results import keep_newest, write_evaluation

        outcome = run(hyperparameters, paths, stop)
    except StoppedEarly:
        # Before it was started again, this job may have come further.
        if "container.results" not in sys.modules or not first or not keep_newest(paths):
            raise
        return 128 + (stop.signal or 0)
    if evaluate and outcome.signal is None and first:
        write_evaluation(hyperparameters, paths, stop)
    return 0 if outcome.signal is None else 128 + outcome.signal


def processes(hosts: Hosts, helper: bool, failure: Path) -> AbstractContextManager[object]:
    """The processes of this machine that train one model; a helper is one of them, and starts none."""

    def give_up(error: AhxError) -> None:
        os._exit(report(failure, error))

    return nullcontext() if helper else Helpers(hosts, give_up)


def make_scratch(tree: OptMl) -> Path:
    """A folder for caches and copies, which is kept for a job that is started again."""
    for folder in (tree.base / "scratch", Path(tempfile.gettempdir()) / "ahx-scratch"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise StorageError(f"there is no writable folder for caches; make {tree.base} or {tempfile.gettempdir()} writable")
