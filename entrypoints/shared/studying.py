"""What `ahx study` does with torch: train trials on this machine, count parameters, test models at other lengths."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from ahx.errors import InputError
from ahx.study.trial import SIZE, Config, Result, key
from ahx.training.signals import StoppedEarly, StopRequest
from ahx.training.trials import FAILED, TrialState
from container.outcome import judged

_CPU_SECONDS = "cpu_seconds"


class Runner(Protocol):
    """Where trials are trained."""

    seconds_are: str  # what Result.seconds are: "CPU s" or "s"
    usd: float  # spent so far

    def train(self, configs: Sequence[Config]) -> list[Result]:
        """Train what has not been trained yet; all results, in the same order. Raises AhxError."""

    def model(self, config: Config) -> Path | None:
        """The folder of a trained model; None where there is none."""


class PoolRunner:
    """Trials in a pool of processes on this machine. FOLDER/KEY holds a trial."""

    seconds_are, usd = "CPU s", 0.0

    def __init__(self, folder: Path, data: str, retry_failed: bool) -> None:
        self.folder, self.data, self.retry_failed = folder, data, retry_failed

    def train(self, configs: Sequence[Config]) -> list[Result]:
        """Raises StoppedEarly after SIGTERM or Ctrl-C; trials under way have left a checkpoint."""
        import ahx.training.run  # noqa: F401  # torch is imported once; children run its operations
        from ahx.training.pool import Pool, PoolOptions, processors

        by_key = {key(config, self.data): config for config in configs}
        options = PoolOptions(processors(), retry_failed=self.retry_failed)
        with StopRequest() as stop, open(os.devnull, "w", encoding="utf-8") as quiet:
            with redirect_stdout(quiet):  # each trial has a log of its own
                pool = Pool(self.folder, by_key, lambda name, stop: self._work(name, by_key[name], stop), options)
                states = pool.run(stop)
            if stop.signal is not None:
                early = StoppedEarly(f"stopped by {stop.signal.name}; the same command continues the study")
                early.exit_code = 128 + stop.signal
                raise early
        return [self._result(name, config, states[name]) for name, config in by_key.items()]

    def model(self, config: Config) -> Path | None:
        folder = self.folder / key(config, self.data)
        return folder if (folder / "config.json").is_file() else None

    def _work(self, name: str, config: Config, stop: StopRequest) -> int:
        """Train one trial, in its own process. The pool's exit codes."""
        from ahx.training.hyperparameters import Hyperparameters
        from ahx.training.run import run

        folder, signals = self.folder / name, list[int]()

        def train() -> None:
            hp = Hyperparameters.from_json({**config, "model_out": str(folder), "resume": True})
            signals.append(128 + number if (number := run(hp, stop=stop).signal) is not None else 0)

        began = time.process_time()
        code = judged(folder / "failure", train)
        (folder / _CPU_SECONDS).write_text(f"{time.process_time() - began:.2f}\n", "ascii")
        return code or signals[0]

    def _result(self, name: str, config: Config, state: TrialState) -> Result:
        folder = self.folder / name
        metrics, seconds = folder / "metrics.jsonl", folder / _CPU_SECONDS
        history = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()] if metrics.is_file() else []
        used = float(seconds.read_text("ascii")) if seconds.is_file() else 0.0
        return Result.of(config, history, used, state.reason if state.status == FAILED else "")


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
