"""A job that trains many trials, as a process on a tree that is made as SageMaker makes it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from container_jobs import SMALL

from ahx.errors import InputError
from ahx.model import checkpoint
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from ahx.training.trial_states import COMPLETED, FAILED, STOPPED, read
from container import batch_job
from opt_ml import failure
from opt_ml import tree as trees
from opt_ml.paths import OptMl

SHARED = SMALL | {"rule": "double_a", "threads": "1", "dropout": "0.1", "device": "cpu"}
COMMAND = [sys.executable, "-m", "entrypoints.container"]


def tree_of(folder: Path, trials: Mapping[str, Mapping[str, str]], **options: object) -> OptMl:
    (folder / "channel").mkdir(exist_ok=True)
    listed = [{"key": key, "hyperparameters": own} for key, own in trials.items()]
    (folder / "channel" / "trials.json").write_text(json.dumps({"format": 1, "trials": listed, **options}))
    return trees.build(folder / "job", SHARED, {"trials": folder / "channel"})


def job(tree: OptMl) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(tree.base)}
    return subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False, timeout=300)


def lone(folder: Path, own: Mapping[str, str]) -> bytes:
    """The weights of a run of its own."""
    run(Hyperparameters.model_validate({**SHARED, **own, "model_out": str(folder)}))
    return (folder / checkpoint.WEIGHTS).read_bytes()


def test_trials_have_the_bits_of_lone_runs_and_a_wrong_one_fails_alone(tmp_path: Path) -> None:
    trials = {"s1": {"seed": "1"}, "s2": {"seed": "2", "n_layer": "2"}, "s3": {"seed": "3"}, "odd": {"n_layr": "2"}}
    tree = tree_of(tmp_path, trials)
    done = job(tree)
    assert done.returncode == 0, done.stderr
    assert not tree.failure.exists()
    states = read(tree.output_data / "trials.jsonl")
    assert states == read(tree.checkpoints / "trials.jsonl")
    assert {key: state.status for key, state in states.items()} == {
        "s1": COMPLETED, "s2": COMPLETED, "s3": COMPLETED, "odd": FAILED,
    }  # fmt: skip
    assert states["odd"].reason == "hyperparameters.json: unknown hyperparameter 'n_layr'; did you mean n_layer?"
    assert "s2: step=4; " in done.stdout
    for key in ("s1", "s2", "s3"):
        assert (tree.model / key / checkpoint.WEIGHTS).read_bytes() == lone(tmp_path / key, trials[key])
        assert json.loads((tree.output_data / key / "evaluation.json").read_text())
        assert (tree.output_data / key / "curve.jsonl").is_file()
        assert states[key].metrics["step"] == 4
        assert os.path.samefile(tree.model / key / "config.json", tree.checkpoints / key / "model" / "config.json")
    assert (tree.output_data / "odd" / "failure").read_text().startswith(states["odd"].reason)
    assert not (tree.model / "odd").exists()


def test_a_trial_whose_tracker_is_not_installed_is_trained_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "mlflow.py").write_text("raise ModuleNotFoundError('no mlflow', name='mlflow')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    tree = tree_of(tmp_path, {"s1": {"seed": "1", "track": "mlflow:http://127.0.0.1:1"}})
    done = job(tree)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("s1: ")]
    where = "MLflow at http://127.0.0.1:1 (experiment double_a, run s1)"
    assert told[-2].startswith(f"s1: tracked: nothing in {where}: the package mlflow is not installed; an image with")
    assert told[-1] == "s1: Completed"
    assert (tree.model / "s1" / checkpoint.WEIGHTS).read_bytes() == lone(tmp_path / "s1", {"seed": "1"})


def test_the_only_trial_of_a_job_is_trained_by_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AHX_PROCESSES", "2")
    together = tree_of(tmp_path, {"only": {"seed": "1"}})
    done = job(together)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "only: " in done.stdout
    assert "in 2 processes" in done.stdout
    (tmp_path / "lone").mkdir()
    alone = trees.build(tmp_path / "lone" / "job", SHARED | {"seed": "1"}, {})
    assert job(alone).returncode == 0
    weights = (alone.model / checkpoint.WEIGHTS).read_bytes()
    assert (together.model / "only" / checkpoint.WEIGHTS).read_bytes() == weights


def test_a_job_that_is_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    long = {"max_steps": "60", "num_epochs": "1000"}
    trials = {"a": {"seed": "1", **long}, "b": {"seed": "2", **long}, "c": {"seed": "3"}}
    tree = tree_of(tmp_path, trials, trials_at_once=2, evaluate=False)
    process = subprocess.Popen(COMMAND, env={**os.environ, "SAGEMAKER_BASE_DIR": str(tree.base)})
    while not all(list(tree.checkpoints.glob(f"{key}/checkpoints/step-*")) for key in "ab"):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert failure.reason(tree) == "stopped by SIGTERM with 3 of 3 trials to go; start it again to go on"
    assert {state.status for state in read(tree.checkpoints / "trials.jsonl").values()} == {STOPPED}
    done = job(tree)
    assert done.returncode == 0, done.stderr
    assert "a: going on from step" in done.stdout
    for key, own in trials.items():
        assert (tree.model / key / checkpoint.WEIGHTS).read_bytes() == lone(tmp_path / key, own)
    again = job(tree)
    assert again.returncode == 0
    assert "step=" not in again.stdout


def test_a_job_fails_when_all_its_trials_do(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"x": {"n_layer": "0"}, "y": {"rule": "no such rule"}})
    assert job(tree).returncode == 1
    assert failure.reason(tree).startswith("no trial of 2 has succeeded; the first, x: n_layer: must be a whole number")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"trials": [', "is not valid JSON"),
        ('{"trials": []}', "trials: list should have at least 1 item"),
        ('{"trials": [{"key": "../x"}]}', r"trials\.0\.key: string should match pattern"),
        ('{"trials": [{"key": "x"}, {"key": "x"}]}', "two trials have the key x"),
        ('{"trials": [{"key": "x"}], "at_once": 2}', "at_once: extra inputs are not permitted"),
    ],
)
def test_a_file_of_trials_that_cannot_be_meant(tmp_path: Path, text: str, sentence: str) -> None:
    tree = tree_of(tmp_path, {"x": {}})
    (tmp_path / "channel" / "trials.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        batch_job.read(tree, {})


def test_a_batch_is_for_one_host(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"x": {}})
    resources = json.loads(tree.resource_config.read_text()) | {"hosts": ["algo-1", "algo-2"]}
    tree.resource_config.write_text(json.dumps(resources))
    with pytest.raises(InputError, match="trains on one host, and this one has 2"):
        batch_job.read(tree, {})
