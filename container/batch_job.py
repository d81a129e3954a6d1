"""A job that trains many trials: its channel `trials` lists them, and a pool of processes trains them.

Trials live in the folder of checkpoints, as SageMaker keeps nothing else of a job that it interrupts:

/opt/ml/checkpoints/trials.jsonl   the state of all trials (ahx.training.trial_states)
                    KEY/           metrics.jsonl, curve.jsonl, evaluation.json, log, failure; checkpoints/, model/,
                                   hyperparameters.json
/opt/ml/model/KEY/                 at the end: the model
/opt/ml/output/data/trials.jsonl   at the end, as above
                    KEY/           at the end: metrics.jsonl, curve.jsonl, evaluation.json, log, failure; tensorboard/
"""

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ahx.errors import AhxError, InputError, StorageError
from ahx.safe_files.atomic import reason
from ahx.text.plural import counted
from ahx.training.lock import FolderLock
from ahx.training.pool import Pool, PoolOptions, processors
from ahx.training.run_paths import RunPaths
from ahx.training.signals import StoppedEarly, StopRequest
from ahx.training.trial_states import COMPLETED, FAILED, NAME, STOPPED, TrialState
from container import outcome
from container.channels import Channel, channels, data_files, model_folder
from container.hosts import Hosts, is_helper
from container.job import check_writable, configured, make_scratch, processes, train_and_evaluate
from opt_ml import config
from opt_ml.paths import OptMl
from opt_ml.tree import link_or_copy
from opt_ml.trials_channel import CHANNEL, FILE, Trials

_GPU_MEGABYTES = 4_000  # for each trial; a small model and its CUDA context take about a quarter of that
_RESULTS = ("metrics.jsonl", "curve.jsonl", "evaluation.json", "log", "failure")


@dataclass(frozen=True)
class Batch:
    """A job of many trials whose configuration has been read, but none of its data."""

    tree: OptMl
    config: Trials
    shared: Mapping[str, Any]  # hyperparameters of all trials
    channels: Mapping[str, Channel]
    hosts: Hosts  # several processes train a job's only trial together
    helper: bool  # whether this is one of them, and not the first

    def train(self, stop: StopRequest) -> None:
        """Train the trials that are not over. Raises AhxError where none has a result, and StoppedEarly."""
        scratch = make_scratch(self.tree)
        trials = {trial.key: {**self.shared, **trial.hyperparameters} for trial in self.config.trials}
        if self.helper:
            (key,) = trials
            self._train(self.tree.checkpoints / key, trials[key], scratch, None, stop)
            return
        check_writable(self.tree)
        FolderLock(self.tree.checkpoints).check()
        model = model_folder(self.channels["model"], scratch) if "model" in self.channels else None
        for infile in {str(one["infile"]) if one.get("infile") else None for one in trials.values()}:
            with suppress(InputError):  # the trial reports it
                data_files(self.channels, infile, scratch)  # copies FastFile channels, which can be read only once
        import_module("ahx.training.run")  # torch and all other modules that trials use
        import_module("container.results")

        def work(key: str, stop: StopRequest) -> int:
            signals: list[int] = []
            folder = self.tree.checkpoints / key
            code = outcome.run(
                folder / "failure", lambda: signals.append(self._train(folder, trials[key], scratch, model, stop))
            )
            return code or sum(signals)

        at_once = min(len(trials), self.config.trials_at_once or _at_once(str(self.shared.get("device", "auto"))))
        options = PoolOptions(at_once, self.config.max_seconds, self.config.halving or 0, self.config.retry_failed)
        states = Pool(self.tree.checkpoints, trials, work, options).run(stop)
        self._deliver(states)
        left = [key for key in trials if key not in states or not states[key].over]
        if left:
            name = stop.signal.name if stop.signal is not None else "a signal"
            raise StoppedEarly(
                f"stopped by {name} with {len(left)} of {counted(len(trials), 'trial')} to go; start it again to go on"
            )
        failed = [state for state in states.values() if state.status == FAILED]
        if len(failed) == len(trials):
            raise AhxError(f"no trial of {len(trials)} has succeeded; the first, {failed[0].key}: {failed[0].reason}")

    def _train(self, folder: Path, own: Mapping[str, Any], scratch: Path, model: Path | None, stop: StopRequest) -> int:
        """Train one trial, in its own process. 0, or 128 + n when signal n stopped it. Raises AhxError."""
        file = folder / "hyperparameters.json"
        if not self.helper:
            file.write_text(json.dumps(own, indent=1) + "\n", "utf-8")
        hyperparameters, infile = configured(file, self.channels, folder / "model", {})
        if model is not None:
            hyperparameters = hyperparameters.model_copy(update={"model_in": str(model)})
        paths = RunPaths(
            run=folder,
            model=folder / "model",
            metrics=folder / "metrics.jsonl",
            data=data_files(self.channels, infile, scratch, again=False),
            caches=scratch / "caches",
            tensorboard=config.tensorboard(self.tree, folder.name),
            unattended=True,
        )
        with processes(self.hosts, self.helper, folder / "failure"):
            return train_and_evaluate(hyperparameters, paths, stop, self.config.evaluate)

    def _deliver(self, states: Mapping[str, TrialState]) -> None:
        """Put models and results where SageMaker collects them: as hard links, or copies on another file system."""
        output = self.tree.output_data
        try:
            for state in states.values():
                folder = self.tree.checkpoints / state.key
                results = [path for name in _RESULTS if (path := folder / name).is_file()]
                _link(results, output / state.key)
                if state.status in (COMPLETED, STOPPED) and (folder / "model").is_dir():
                    _link(
                        [path for path in (folder / "model").iterdir() if path.is_file()], self.tree.model / state.key
                    )
            _link([self.tree.checkpoints / NAME], output)
        except OSError as error:
            raise StorageError(f"cannot write to {output}: {reason(error)}; free some space there") from error


def is_batch(tree: OptMl) -> bool:
    """Whether the job has a channel of trials."""
    return CHANNEL in config.read(tree.input_data_config)


def read(tree: OptMl, environ: Mapping[str, str]) -> Batch:
    """Read the configuration files of a batch. Raises InputError and StorageError."""
    given = channels(tree)
    given[CHANNEL].files()  # waits for those of a FastFile channel
    trials = Trials.read(given[CHANNEL].folder / FILE)
    resources, shared = config.resources(tree.resource_config), config.read(tree.hyperparameters)
    if (n := len(resources.hosts)) > 1:
        raise InputError(f"a job with trials trains on one host, and this one has {n}; give it one instance")
    device = str({**shared, **trials.trials[0].hyperparameters}.get("device", "auto"))
    hosts = Hosts.of(resources, environ, device)
    if len(trials.trials) > 1:
        hosts = replace(hosts, processes=1)
    return Batch(tree, trials, shared, given, hosts, is_helper(environ))


def _link(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).unlink(missing_ok=True)
        link_or_copy(file, folder / file.name)


def _at_once(device: str) -> int:
    """One trial for each processor; on GPUs no more than fit into their memory.

    nvidia-smi is asked, because a process that has used CUDA cannot fork.
    """
    if device not in ("auto", "cuda") or not list(Path("/dev").glob("nvidia[0-9]*")):
        return processors()
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        sizes = subprocess.run(query, capture_output=True, encoding="ascii", check=True, timeout=60).stdout
        return max(1, min(processors(), sum(int(line) // _GPU_MEGABYTES for line in sizes.split())))
    return 1
