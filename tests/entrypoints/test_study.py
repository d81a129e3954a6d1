"""`ahx study`: a small one, stopped and taken up again, here and as a sweep."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from entrypoints.main import main

TINY = [
    "study",
    "double_a",
    "--seeds",
    "1",
    "--max-steps",
    "60",
    "--max-len",
    "4",
    "--until-exact",
    "100",
    "--n-layer",
    "1",
    "--n-head",
    "2",
    "--batch-size",
    "16",
    "--learning-rate",
    "3e-3",
    "--muon-learning-rate",
    "0.02",
    "--lengths",
    "2",
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def read(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "study.json").read_text("utf-8"))
    return found


def test_a_study_that_is_killed_goes_on() -> None:
    command = [sys.executable, "-m", "entrypoints.main", *TINY, "--on", "process", "--to", "s"]
    killed = subprocess.Popen(command, start_new_session=True)
    until = time.monotonic() + 300
    while not Path("s", "study.json").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = read("s")["trials"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    found = read("s")
    assert found["complete"]
    assert 0 < len(before) < len(found["trials"])
    assert before.items() <= found["trials"].items()  # with their seconds: they were not trained again
    assert found["schemes"]["auto"]["smallest"]["n_embd"] < 48
    assert set(found["schemes"]["auto"]["exact_by_length"][0]) == {"1", "2"}
    assert "are enough (1 of 1 seed)" in done.stdout
    for name in ("study.csv", "samples.svg", "samples.png", "lengths.svg"):
        assert Path("s", name).stat().st_size > 100


def test_a_budget_ends_a_study_and_a_second_call_asks_for_other_trials(capfd: pytest.CaptureFixture[str]) -> None:
    budget = ["--budget", "1 trial", "--to", "s", "--on", "process"]
    assert main([*TINY, *budget]) == 0
    first = read("s")
    assert main([*TINY, *budget]) == 0
    second = read("s")
    assert (len(first["trials"]), len(second["trials"]), second["complete"]) == (1, 2, False)
    assert "The budget was spent" in capfd.readouterr().out


def test_a_study_of_files_says_how_many_lines_are_enough() -> None:
    assert main(["gen-data", "--rule", "double_a", "--num-samples", "1000", "--max-len", "8", "d"]) == 0
    fixed = ["--pos", "alibi", "--n-layer", "1", "--n-head", "2", "--n-embd", "16", "--max-steps", "40", "--seeds", "1"]
    assert main(["study", "--data", "d", *fixed, "--to", "s", "--on", "process", "--json"]) == 0
    found = read("s")["data"]
    lines = [point["lines"] for point in found["points"]]
    assert lines == sorted(lines)
    assert len(lines) == 5
    assert lines[-1] == 900
    assert found["held_back"]["lines"] == lines[-1]
    assert 0 < found["held_back"]["predicted_error"] <= 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["study", "--seeds", "3"], "Give a rule"),
        (["study", "double_a", "--pos", "coupled,ropes"], "'ropes' is no position scheme"),
        (["study", "double_a", "--budget", "soon"], "'200 trials'"),
        (["study", "double_a", "--seeds", "0"], "--seeds: must be at least 1"),
        (["study", "double_a", "--n-layer", "none"], "n_layer: must be a whole number"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) != 0
    told = capfd.readouterr().err
    assert sentence in told
    assert "Traceback" not in told
    assert not Path("runs").exists()
