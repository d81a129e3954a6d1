"""Where the trials of a study are trained."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Protocol

from ahx.study.trial import Config, Result, key
from ahx.training.signals import StoppedEarly, StopRequest
from ahx.training.trial_states import FAILED, TrialState
from container import outcome

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

        before = _cpu_seconds(folder)  # of a trial that was stopped and goes on
        began = time.process_time()
        code = outcome.run(folder / "failure", train)
        (folder / _CPU_SECONDS).write_text(f"{before + time.process_time() - began:.2f}\n", "ascii")
        return code or signals[0]

    def _result(self, name: str, config: Config, state: TrialState) -> Result:
        folder = self.folder / name
        metrics = folder / "metrics.jsonl"
        history = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()] if metrics.is_file() else []
        return Result.of(config, history, _cpu_seconds(folder), state.reason if state.status == FAILED else "")


def _cpu_seconds(folder: Path) -> float:
    path = folder / _CPU_SECONDS
    return float(path.read_text("ascii")) if path.is_file() else 0.0
