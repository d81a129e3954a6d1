"""Trials of a study as jobs: each batch adds to one sweep, in which nothing is submitted twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahx.errors import AhxError
from ahx.study.trial import Config, Result, key
from infra.launch.backends.backend import COMPLETED, Backend, Manifest
from infra.launch.collect import fetch
from infra.launch.job_request import job_name
from infra.launch.options import Options
from infra.launch.plan import plan, publish
from infra.launch.sweep import Config as JobConfig
from infra.launch.sweep import Sweep, check_name
from infra.launch.trial import SweepState, Trial

Follow = Callable[[str, Manifest], SweepState]  # carries a sweep of this name through


@dataclass(frozen=True)
class Batch(Sweep):
    """A sweep of configurations that were chosen one by one."""

    configs: Sequence[JobConfig] = ()

    def configurations(self) -> list[JobConfig]:
        check_name(self.name)
        return list(self.configs)


class SweepRunner:
    """Trains trials wherever a sweep runs. Their models are fetched to FOLDER/TRIAL."""

    seconds_are = "s"

    def __init__(self, backend: Backend, name: str, options: Options, folder: Path, follow: Follow) -> None:
        self.backend, self.name, self.options, self.folder, self.follow = backend, name, options, folder, follow
        self.usd = 0.0
        self._trials: dict[str, Trial] = {}

    def train(self, configs: Sequence[Config]) -> list[Result]:
        # All jobs of one call of `plan` share their data.
        for infile in dict.fromkeys(config.get("infile") for config in configs):
            own = [dict(config) for config in configs if config.get("infile") == infile]
            planned = plan(self.backend, Batch(self.name, {}, {}, configs=own), self.options)
            publish(self.backend, planned)
            state = self.follow(self.name, planned.manifest)
            if left := sum(trial.job is None for trial in state.trials):
                raise AhxError(f"{left} trials would have cost more than --max-cost allows; raise it to continue")
            self.usd = state.cost()
            trained = {job_name(one.template, one.config): one for one in state.trials}
            for config, sent in zip(own, planned.configs, strict=True):
                self._trials[key(config)] = trained[job_name(planned.template, sent)]
        return [self._result(config) for config in configs]

    def model(self, config: Config) -> Path | None:
        if key(config) not in self._trials:  # an earlier call has trained it
            self.train([config])
        trial = self._trials[key(config)]
        if trial.job is None or not trial.job.model:
            return None
        return fetch(trial, self.folder)

    def _result(self, config: Config) -> Result:
        trial = self._trials[key(config)]
        assert trial.job is not None
        # The launcher need not have read the whole log; the job's metrics are those of its last evaluation.
        history = [*trial.history, trial.metrics] if "val_exact" in trial.metrics else []
        reason = trial.job.reason.partition("\n")[0] or f"its job ended as {trial.job.status}"
        failure = "" if trial.job.status == COMPLETED else reason
        return Result.of(config, history, float(trial.metrics.get("seconds", 0.0)), failure)
