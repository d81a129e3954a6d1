"""Jobs that train several trials: on this machine, and on an AWS in a process of its own."""

import doctest
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ahx.training import trial_states
from ahx.training.trial_states import COMPLETED, TrialState
from entrypoints.main import main
from infra.launch import batch_jobs
from infra.launch.backends.backend import Job
from infra.launch.backends.local import LocalBackend
from infra.launch.engine import Engine
from infra.launch.job_request import training_job
from infra.launch.options import Options
from infra.launch.plan import plan, publish
from infra.launch.sweep import Sweep, as_strings, parse_grid
from infra.launch.trial import SweepState

PACE = (0.05, 0.3)
BASE = {"rule": "double_a", "n_layer": "1", "n_embd": "16", "n_head": "2", "val_samples": "20", "threads": "1"}


def sweep(folder: Path, seeds: str, steps: str = "4", **options: Any) -> Engine:
    backend = LocalBackend("process", folder)
    planned = plan(backend, Sweep("b", {**BASE, "max_steps": steps}, parse_grid([f"seed={seeds}"])), Options(**options))
    publish(backend, planned)
    return Engine(backend, "b", planned.manifest, pace=PACE)


def jobs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "b").glob("ahx-*"))


def statuses(state: SweepState) -> list[str]:
    return [trial.job.status if trial.job else "queued" for trial in state.trials]


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(batch_jobs).failed == 0


def test_only_trials_without_a_result_are_trained_however_they_are_packed(tmp_path: Path) -> None:
    first = sweep(tmp_path, "1,2,3").run()
    assert statuses(first) == ["Completed"] * 3
    assert len(jobs(tmp_path)) == 1
    assert len({trial.metrics["val_loss"] for trial in first.trials}) == 3
    more = sweep(tmp_path, "1,2,3,4,5", trials_per_job="1").run()
    assert statuses(more) == ["Completed"] * 5
    new = set(jobs(tmp_path)) - {trial.job.name for trial in first.trials if trial.job}
    assert new == {trial.name for trial in more.trials if trial.config["seed"] in (4, 5)}


def test_a_trial_that_fails_costs_itself_and_is_run_again_when_asked(tmp_path: Path) -> None:
    backend = LocalBackend("process", tmp_path)
    grid = parse_grid(["block_size=0,4", "seed=1,2"])  # 4 tokens are too few
    planned = plan(backend, Sweep("b", {**BASE, "max_steps": "4", "pos": "learned"}, grid), Options())
    publish(backend, planned)
    state = Engine(backend, "b", planned.manifest, pace=PACE).run()
    failed = [trial for trial in state.trials if trial.job and trial.job.status == "Failed"]
    assert [trial.config.get("block_size") for trial in failed] == [4, 4]
    assert all(trial.job and trial.job.reason.startswith("block_size (4) is too small") for trial in failed)
    assert len(jobs(tmp_path)) == 1
    Engine(backend, "b", planned.manifest, retry_failed=True, pace=PACE).run()
    assert len(jobs(tmp_path)) == 2


def test_a_batch_whose_processes_were_killed_goes_on(tmp_path: Path) -> None:
    engine = sweep(tmp_path, "1,2,3,4", steps="150")
    until = time.monotonic() + 120
    while not any(trial.job and trial.job.status == "Completed" for trial in engine.state.trials):
        assert time.monotonic() < until
        engine.poll()
        engine.submit()
        time.sleep(0.1)
    (name,) = jobs(tmp_path)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        command = path.read_bytes()
        if b"local_watcher" in command and name.encode() in command:
            os.kill(int(path.parent.name), signal.SIGKILL)
    done = {trial.name: trial.job.ended for trial in engine.state.trials if trial.job and trial.job.over}
    state = sweep(tmp_path, "1,2,3,4", steps="150").run()
    assert statuses(state) == ["Completed"] * 4
    assert jobs(tmp_path) == [name]
    assert done.items() <= {trial.name: trial.job.ended for trial in state.trials if trial.job}.items()


def test_models_logs_and_stops_of_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    state = sweep(tmp_path / "runs" / "sweeps", "1,2").run()
    assert main(["jobs", "collect", "b", "--json"]) == 0
    collected = json.loads(capsys.readouterr().out)["jobs"]
    assert len({one["sha256"] for one in collected}) == 2
    assert all(Path(one["model"], "model.safetensors").is_file() for one in collected)
    trial = state.trials[0]
    assert main(["jobs", "logs", trial.name]) == 0
    assert "step=4;" in capsys.readouterr().out
    assert trial.job
    assert main(["jobs", "stop", "b"]) == 0
    assert "0 jobs" in capsys.readouterr().out


def test_a_job_of_an_earlier_version_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no channel `trials`; its trial's hyperparameters are its own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "sweeps"
    config, template = (engine := sweep(folder, "1")).state.trials[0].config, engine.state.trials[0].template
    name = engine.state.trials[0].name
    request = training_job(template, name, "") | {"HyperParameters": as_strings(config)}
    del request["InputDataConfig"]
    LocalBackend("process", folder).submit(request)
    state = engine.run()
    assert statuses(state) == ["Completed"]
    assert state.trials[0].metrics["step"] == 4
    assert jobs(folder) == [name]
    assert main(["jobs", "logs", name]) == 0
    assert "\nstep=4;" in capsys.readouterr().out
    assert main(["jobs", "collect", "b", "--json"]) == 0
    (collected,) = json.loads(capsys.readouterr().out)["jobs"]
    assert Path(collected["model"], "model.safetensors").is_file()
    assert Path(collected["model"]).with_name("output").joinpath("metrics.jsonl").is_file()
    sweep(folder, "1").run()
    assert jobs(folder) == [name]
    assert main(["jobs", "stop", "b"]) == 0


def test_two_launchers_that_pack_differently_at_the_same_time(tmp_path: Path) -> None:
    launchers = [
        sweep(tmp_path, "1,2", "200", trials_per_job="1", max_parallel=1),
        sweep(tmp_path, "1,2,3", "200"),
    ]
    for launcher in launchers:
        launcher.poll()
    for launcher in launchers:  # neither has seen the other's job
        launcher.submit()
    assert len(jobs(tmp_path)) == 2
    while not launchers[1].state.ended:
        for launcher in launchers:
            launcher.poll()
            launcher.submit()
        time.sleep(0.1)
    assert statuses(launchers[1].state) == ["Completed"] * 3
    records = (tmp_path / "b").glob("ahx-*/tree/checkpoints/trials.jsonl")
    completed = [key for path in records for key, state in trial_states.read(path).items() if state.status == COMPLETED]
    assert sorted(completed) == sorted(trial.key for trial in launchers[1].state.trials)


def test_a_trial_bears_its_share_of_its_job() -> None:
    job = Job(
        "j", "Completed", "Completed", created=0, started=10, ended=110, billed_seconds=100, trials="x", model="m"
    )
    states = {
        "a": TrialState("a", "Completed", True, "", {"val_exact": 1.0}, 20, 30, 10.0),
        "b": TrialState("b", "Failed", True, "it failed", {}, 20, 50, 30.0),
    }
    batch = batch_jobs.Batch(job, ("a", "b"), states)
    a, b = (batch_jobs._job_of(key, batch, 200.0) for key in "ab")
    assert a
    assert b
    assert (a.status, a.billed_seconds, a.model) == ("Completed", 25.0, "m/a")
    assert (b.status, b.billed_seconds, b.model, b.reason) == ("Failed", 75.0, "", "it failed")
    assert batch_jobs._measure(batch) == batch_jobs.Measured(20.0, 15.0)
