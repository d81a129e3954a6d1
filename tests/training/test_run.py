"""Whole runs: the files they write, how they stop, and that a killed run resumes to the same bits."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from small_runs import SMALL, settings, weights

from ahx.errors import AhxError, CheckpointError, InputError, StorageError
from ahx.model import checkpoint
from ahx.training import lock
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.metrics import METRIC_DEFINITIONS, metric_line
from ahx.training.run import run


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(settings(folder))
    return folder


def test_a_run_leaves_a_model_its_metrics_and_the_last_checkpoints(uninterrupted: Path) -> None:
    saved = checkpoint.load(uninterrupted)
    assert saved.config["rule"] == "double_a" or saved.config["rule"].startswith("A -> AA")
    assert saved.config["step"] == 12
    lines = [json.loads(line) for line in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert [folder.name for folder in checkpoint.checkpoints(uninterrupted)][-1] == "step-00000012"
    assert checkpoint.best(uninterrupted) in {folder.name for folder in checkpoint.checkpoints(uninterrupted)}


def test_a_folder_that_is_trained_into_is_refused_at_once_and_left_alone(uninterrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    before = sorted(path for path in tmp_path.rglob("*") if path.name != lock.NAME)
    with lock.FolderLock(tmp_path):
        for resume in (False, True):
            with pytest.raises(StorageError, match=f"is being trained into by process {os.getpid()} on"):
                run(settings(tmp_path, resume=resume))
        assert checkpoint.load(tmp_path).config["step"] == 12
    assert sorted(path for path in tmp_path.rglob("*") if path.name != lock.NAME) == before
    run(settings(tmp_path, resume=True))


def test_a_torn_line_of_metrics_is_mended_by_resuming(uninterrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 16, "epo')
    run(settings(tmp_path, resume=True, max_steps=16))
    lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [4, 8, 12, 16]


def test_a_clock_that_is_set_by_hours_changes_no_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = itertools.cycle([0, 7200, -86400])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(hours))
    began = time.monotonic()
    outcome = run(settings(tmp_path, max_seconds=3600))
    assert outcome.reason == "reached 12 steps"
    assert 0 < outcome.metrics["seconds"] <= time.monotonic() - began


def test_an_interval_may_be_longer_than_any_run(tmp_path: Path) -> None:
    run(settings(tmp_path, eval_interval=1e308, checkpoint_interval=1e308))
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == ["step-00000012"]


def test_training_learns(tmp_path: Path) -> None:
    outcome = run(settings(tmp_path, max_steps=200, n_embd=32, dropout=0.0, until_exact=300))
    assert "exact" in outcome.reason
    assert outcome.step < 200


@pytest.mark.parametrize("at", [1, 5, 8, 13, 18, 22])
def test_a_run_killed_at_any_disk_operation_is_resumed_to_the_same_bits(
    at: int, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    count = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Killed
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(Killed):
            run(settings(tmp_path))
    run(settings(tmp_path, resume=True))
    assert weights(tmp_path) == weights(uninterrupted)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [4, 8, 12]


def command(folder: Path, *options: str) -> list[str]:
    pairs = [f"--{name}={value}" for name, value in {**SMALL, "max_steps": 400, "model_out": folder}.items()]
    return [sys.executable, "-m", "entrypoints.main", "train", *pairs, *options]


def wait_for(folder: Path, pattern: str) -> None:
    for _ in range(600):
        if list(folder.glob(pattern)):
            return
        time.sleep(0.05)
    raise AssertionError(f"{pattern} did not appear in {folder}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_a_random_moment_loses_nothing(number: signal.Signals, tmp_path: Path) -> None:
    once = subprocess.run(command(tmp_path / "once"), capture_output=True, text=True, check=True)
    assert "\x1b" not in once.stdout
    process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.PIPE, text=True)
    wait_for(tmp_path / "killed", "checkpoints/step-0000001*")
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number
        assert "--resume" in output.splitlines()[-1]
    subprocess.run(command(tmp_path / "killed", "--resume"), capture_output=True, check=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "once")


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    options = ["--max_steps", "30", "--dropout", "0"]
    subprocess.run(command(tmp_path / "one", *options), check=True, capture_output=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    subprocess.run([*torchrun, *command(tmp_path / "two", *options)[2:]], check=True, capture_output=True, timeout=120)
    one, two = (safetensors.torch.load_file(tmp_path / name / checkpoint.WEIGHTS) for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
    losses = [
        [json.loads(line)["train_loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_stops_when_the_validation_loss_is_small_enough(tmp_path: Path) -> None:
    outcome = run(settings(tmp_path, min_loss=50.0))
    assert outcome.step == 4
    assert "below 50" in outcome.reason


def test_stops_after_the_seconds_it_was_given(tmp_path: Path) -> None:
    outcome = run(settings(tmp_path, max_seconds=1e-6))
    assert outcome.step == 1
    assert outcome.metrics["step"] == 1


def test_a_resumed_run_refuses_other_settings(uninterrupted: Path) -> None:
    with pytest.raises(InputError, match=r"n_embd was 16, now 32.*--model-out"):
        run(settings(uninterrupted, resume=True, n_embd=32))


@pytest.mark.parametrize("max_steps", [20, 6])
def test_a_resumed_run_may_have_other_limits_and_the_defaults_that_follow(tmp_path: Path, max_steps: int) -> None:
    def limited(max_steps: int, **others: object) -> Hyperparameters:
        free = {name: value for name, value in SMALL.items() if name != "warmup_steps"}
        return Hyperparameters.model_validate({**free, "model_out": str(tmp_path), "max_steps": max_steps, **others})

    run(limited(4))
    with pytest.raises(InputError, match=r"warmup_steps was 2, now 1"):
        run(limited(max_steps, resume=True, warmup_steps=1))
    assert limited(max_steps).warmup_steps != limited(4).warmup_steps
    assert run(limited(max_steps, resume=True)).step == max_steps


def test_a_checkpoint_of_another_version_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings(tmp_path, max_steps=4))
    load = checkpoint.load_training_state
    monkeypatch.setattr(
        checkpoint, "load_training_state", lambda folder: {k: v for k, v in load(folder).items() if k != "due"}
    )
    with pytest.raises(CheckpointError, match=r"another version: its state has no 'due'; train without --resume"):
        run(settings(tmp_path, resume=True))


def test_a_new_run_moves_older_checkpoints_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(settings(tmp_path, max_steps=4))
    run(settings(tmp_path, max_steps=4, seed=2))
    assert (tmp_path / "earlier.1" / "checkpoints" / "step-00000004").is_dir()
    assert (tmp_path / "earlier.1" / "model.safetensors").is_file()
    assert "earlier.1" in capsys.readouterr().err


def test_a_run_that_had_ended_stays_ended_unless_its_limits_change(tmp_path: Path) -> None:
    ended = run(settings(tmp_path, min_loss=50.0))
    (tmp_path / checkpoint.WEIGHTS).unlink()  # as if it was killed before the final model
    again = run(settings(tmp_path, min_loss=50.0, resume=True))
    assert (again.step, again.reason, again.metrics) == (ended.step, ended.reason, ended.metrics)
    assert run(settings(tmp_path, resume=True)).step == 12


def test_a_newer_checkpoint_counts_more_than_an_older_final_model(tmp_path: Path) -> None:
    run(settings(tmp_path, max_steps=4))
    run(settings(tmp_path, resume=True))
    for name in (checkpoint.CONFIG, checkpoint.WEIGHTS):
        shutil.copy(tmp_path / "checkpoints" / "step-00000009" / name, tmp_path / name)
    assert checkpoint.load(tmp_path).config["step"] == 12


def test_starts_from_the_weights_of_another_run(uninterrupted: Path, tmp_path: Path) -> None:
    run(
        settings(
            tmp_path / "a",
            model_in=str(uninterrupted),
            max_steps=1,
            warmup_steps=0,
            learning_rate=1e-12,
            muon_learning_rate=1e-12,
        )
    )
    before, after = (checkpoint.load(folder).model.state_dict() for folder in (uninterrupted, tmp_path / "a"))
    for name in before:
        torch.testing.assert_close(before[name], after[name], rtol=0, atol=1e-9)
    with pytest.raises(CheckpointError, match="vocabulary, with no token for 'A-1', 'B-1'; train"):
        run(settings(tmp_path / "b", rule="reverse", alphabet="AB", model_in=str(uninterrupted)))
    with pytest.raises(
        CheckpointError, match=r"vocabulary, with no token for 'C', 'C[+]0', 'C[+]1', 'D', 'D[+]0' and 1 more;"
    ):
        run(settings(tmp_path / "b", rule="A -> AA, C -> CC, D -> DD", alphabet="ABCD", model_in=str(uninterrupted)))
    with pytest.raises(InputError, match=r"another architecture \(n_embd 16\)"):
        run(settings(tmp_path / "c", n_embd=32, model_in=str(uninterrupted)))


def test_data_may_lack_some_of_a_given_models_symbols(uninterrupted: Path, tmp_path: Path) -> None:
    """The vocabulary stays the model's, from a rule and from files."""
    whole = checkpoint.load(uninterrupted).tokenizer.to_json()
    (tmp_path / "only.txt").write_text("A,AA\nAA,AAAA\n" * 20)
    for name, data in (("a", {"alphabet": "A"}), ("b", {"rule": None, "infile": str(tmp_path / "only.txt")})):
        run(settings(tmp_path / name, model_in=str(uninterrupted), **data))
        assert checkpoint.load(tmp_path / name).tokenizer.to_json() == whole


def test_learned_positions_of_a_given_model_may_be_too_few(tmp_path: Path) -> None:
    short = {"pos": "learned", "max_len": 3, "max_steps": 3}
    run(settings(tmp_path / "a", **short))
    with pytest.raises(InputError, match=r"learned positions for \d+ tokens \(its block_size\), and these data have"):
        run(settings(tmp_path / "b", **{**short, "max_len": 9}, model_in=str(tmp_path / "a")))


def test_an_older_checkpoint_serves_when_the_newest_is_broken(
    uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings(tmp_path))
    newest = checkpoint.checkpoints(tmp_path)[-1] / checkpoint.TRAINING_STATE
    newest.write_bytes(newest.read_bytes()[:100])
    run(settings(tmp_path, resume=True))
    assert "going back" in capsys.readouterr().err
    assert weights(tmp_path) == weights(uninterrupted)


def test_a_loss_that_is_not_a_number_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AhxError, match=r"the loss became nan.*learning_rate"):
        run(settings(tmp_path, learning_rate=1e30, muon_learning_rate=1e30, grad_clip=0.0, warmup_steps=0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's own, while it compiles
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_follows_the_same_curve(uninterrupted: Path, tmp_path: Path) -> None:
    plain = run(settings(tmp_path / "plain", dropout=0.0, optimizer="adamw"))
    compiled = run(settings(tmp_path / "compiled", dropout=0.0, optimizer="adamw", compile=True))
    assert compiled.metrics["val_loss"] == pytest.approx(plain.metrics["val_loss"], rel=1e-3)


def test_the_metric_patterns_read_the_line_that_is_printed() -> None:
    values = {
        "step": 50,
        "epoch": 1.0,
        "train_loss": 1e-7,
        "val_loss": 0.25,
        "val_exact": 1.0,
        "val_margin": -3.5,
        "tokens_per_second": 12345.678,
        "seconds": 1.5,
    }
    line = metric_line(values)
    for definition in METRIC_DEFINITIONS:
        found = re.search(definition["Regex"], line)
        assert found is not None, definition
        assert float(found[1]) == pytest.approx(values[definition["Name"]], rel=1e-5)
