"""Signals during preparations, and notes on their progress."""

import os
import signal
import time
from pathlib import Path

import pytest

from ahx.training import progress, run
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.signals import StoppedEarly, StopRequest


def wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def test_preparations_end_soon_after_a_signal() -> None:
    with StopRequest(patience=0.05) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedEarly, match="stopped by SIGTERM before the first step"):
            wait(30)
    assert stop.signal == signal.SIGTERM


def test_whoever_is_prepared_stops_when_it_suits() -> None:
    with StopRequest(patience=0.05) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.prepared()
        wait(0.2)
    assert stop.signal == signal.SIGTERM


def test_ctrl_c_while_a_large_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_for_long(*given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        wait(30)

    monkeypatch.setattr(run, "prepare", read_for_long)
    monkeypatch.setattr(run, "_PATIENCE_S", 0.05)
    with pytest.raises(StoppedEarly, match="stopped by SIGINT before the first step") as stopped:
        run.train(Hyperparameters(rule="copy", model_out=str(tmp_path / "run")))
    assert stopped.value.exit_code == 130


def test_reading_a_large_file_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_NOTE_EVERY_S", 0.0)
    progress.ReadingNotes()("tokenising data/da_train.txt", 500_000_000, 2_000_000_000)
    assert capsys.readouterr().err == "ahx: note: tokenising data/da_train.txt: 500 of 2,000 MB\n"
