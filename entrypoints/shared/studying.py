"""What `ahx study` does with torch: train trials on this machine, count parameters, test models at other lengths."""

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from ahx.errors import AhxError, InputError
from ahx.files.atomic import atomic_files
from ahx.study.trial import SIZE, Config, Result, key

_DONE = "trial.json"


class Runner(Protocol):
    """Where trials are trained."""

    seconds_are: str  # what Result.seconds are: "CPU s" or "s"
    usd: float  # spent so far

    def train(self, configs: Sequence[Config]) -> list[Result]:
        """Train what has not been trained yet; all results, in the same order. Raises AhxError."""

    def model(self, config: Config) -> Path | None:
        """The folder of a trained model; None where there is none."""


class HereRunner:
    """Trials as processes forked from this one, one for each processor. FOLDER/KEY holds a trial."""

    seconds_are, usd = "CPU s", 0.0

    def __init__(self, folder: Path, data: str) -> None:
        self.folder, self.data = folder, data

    def train(self, configs: Sequence[Config]) -> list[Result]:
        import ahx.training.run  # noqa: F401  # torch is imported once, here, and its operations are run by children only

        fork, waiting, running = multiprocessing.get_context("fork"), list(configs), list[Any]()
        try:
            while waiting or running:
                while waiting and len(running) < len(os.sched_getaffinity(0)):
                    config = waiting.pop(0)
                    running.append(fork.Process(target=_train, args=(self._folder(config), config)))
                    running[-1].start()
                multiprocessing.connection.wait([one.sentinel for one in running])
                running = [one for one in running if one.is_alive()]
        finally:  # Ctrl-C reaches them as well: they leave a checkpoint
            for one in running:
                one.join()
        return [self._result(config) for config in configs]

    def model(self, config: Config) -> Path | None:
        folder = self._folder(config)
        return folder if (folder / "config.json").is_file() else None

    def _folder(self, config: Config) -> Path:
        return self.folder / key(config, self.data)

    def _result(self, config: Config) -> Result:
        folder = self._folder(config)
        try:
            told = json.loads((folder / _DONE).read_text("utf-8"))
        except FileNotFoundError:
            return Result(False, failure=f"its process ended and did not say why; see {folder / 'log'}")
        path = folder / "metrics.jsonl"
        history = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
        return Result.of(config, history, told["seconds"], told["failure"])


def _train(folder: Path, config: Config) -> None:
    """One trial, in a process of its own. A trial that was stopped goes on from its checkpoint."""
    from ahx.training.hyperparameters import Hyperparameters
    from ahx.training.run import run

    if (folder / _DONE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    failure = ""
    with open(folder / "log", "a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        began = time.process_time()
        try:
            hp = Hyperparameters.from_json({**config, "model_out": str(folder), "resume": True})
            if run(hp).signal is not None:
                return
        except AhxError as error:
            failure = str(error).partition("\n")[0]
        told = {"seconds": time.process_time() - began, "failure": failure}
    with atomic_files([folder / _DONE]) as [file]:
        file.write(json.dumps(told).encode())


def parameters(configs: Sequence[Config]) -> dict[tuple[Any, ...], tuple[int, str]]:
    """The number of parameters of each size, and the position scheme that it has; by `pos` and size."""
    import torch

    from ahx.training.data import prepare
    from ahx.training.hyperparameters import Hyperparameters
    from ahx.training.run_paths import RunPaths
    from ahx.training.start import first_model

    found: dict[tuple[Any, ...], tuple[int, str]] = {}
    data: dict[str, Any] = {}
    for config in configs:
        name = size_name(config)
        if name not in found:
            hp = Hyperparameters.from_json({**config, "seed": 0})
            pos = config["pos"]
            data[pos] = data.get(pos) or prepare(hp, RunPaths.of(hp))
            with torch.device("meta"):
                model = first_model(hp, data[pos], None)
            found[name] = sum(p.numel() for p in model.parameters()), data[pos].pos
    return found


def size_name(config: Config) -> tuple[Any, ...]:
    """What the number of parameters depends on."""
    return (config["pos"], *(config[name] for name in SIZE))


def exact_by_length(model: Path, rule: str, n_first: int, multiples: Sequence[int]) -> dict[str, float]:
    """The share of fresh samples that are exact, at so many times the training length. Raises AhxError."""
    from ahx.evaluation.evaluate import evaluate
    from ahx.evaluation.samples import SAMPLES_BY_MULTIPLE, Series, draw
    from ahx.evaluation.trained import load_trained

    trained = load_trained(model, trusted=rule).for_rewriting()
    if trained.rule is None:
        raise InputError(f"{model} has no rule to draw samples from")
    least, greatest = trained.training_lengths()
    alphabet = trained.hyperparameters.get("alphabet") or trained.rule.alphabet
    shares = {}
    for multiple, usual in SAMPLES_BY_MULTIPLE:
        if multiple in multiples:
            length = multiple * greatest
            series = Series(least if multiple == 1 else length, length, n_first if multiple == 1 else usual)
            shares[str(multiple)] = evaluate(trained, draw(trained.rule, alphabet, series, 1)).total.share
    return shares
