"""The pool of trials: what one trial does to itself leaves the others alone, and nothing is done twice."""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ahx.errors import StorageError
from ahx.training.metrics import metric_line
from ahx.training.pool import Pool, PoolOptions
from ahx.training.signals import StopRequest
from ahx.training.trial_states import COMPLETED, FAILED, NAME, STOPPED, TrialState, read


def evaluation(epoch: int, exact: float) -> str:
    return metric_line({"step": epoch * 10, "epoch": epoch, "val_loss": 1 - exact, "val_exact": exact})


def run(folder: Path, keys: list[str], work, **options) -> dict[str, TrialState]:
    with StopRequest() as stop:
        return Pool(folder, keys, work, PoolOptions(**{"at_once": 2, **options})).run(stop)


def test_each_trial_has_its_own_outcome(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(key: str, stop: StopRequest) -> int:
        print(evaluation(1, 0.5))
        if key == "bad":
            (tmp_path / key / "failure").write_text("n_layer: must be a whole number\n\ndetails\n")
            return 2
        if key == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if key == "hungry":
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
            bytearray(1 << 40)  # MemoryError
        while key == "late":
            time.sleep(0.01)
            if stop.signal:
                return 128 + stop.signal
        sys.stdout.write("no newline")
        return 0

    keys = ["good", "bad", "killed", "hungry", "late", "other"]
    states = run(tmp_path, keys, work, max_seconds=2)
    assert {key: state.status for key, state in states.items()} == {
        "good": COMPLETED, "bad": FAILED, "killed": FAILED, "hungry": FAILED, "late": FAILED, "other": COMPLETED,
    }  # fmt: skip
    assert all(state.over for state in states.values())
    assert states["good"].metrics["val_exact"] == 0.5
    assert states["bad"].reason == "n_layer: must be a whole number"
    assert states["killed"].reason == "its process ended with code -9"
    assert states["killed"].kills == 1
    assert states["late"].reason.startswith("it took longer than its limit of 2 s")
    assert (tmp_path / "late" / "failure").read_text() == states["late"].reason + "\n"
    assert read(tmp_path / NAME) == states
    printed = capsys.readouterr().out.splitlines()
    assert f"good: {evaluation(1, 0.5)}" in printed
    assert "good: no newline" in printed
    assert "bad: Failed: n_layer: must be a whole number" in printed
    assert (tmp_path / "good" / "log").read_text() == f"{evaluation(1, 0.5)}\nno newline\n"

    def again(key: str, stop: StopRequest) -> int:
        (tmp_path / key / "again").touch()
        return 0

    assert run(tmp_path, keys, again) == states
    retried = run(tmp_path, keys, again, retry_failed=True)
    assert {state.status for state in retried.values()} == {COMPLETED}
    assert not (tmp_path / "good" / "again").exists()


def test_a_trial_whose_process_is_killed_is_trained_once_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(key: str, stop: StopRequest) -> int:
        before = tmp_path / key / "before"
        if not before.exists():
            before.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        print(before.read_text() != str(os.getpid()))
        return 0

    state = run(tmp_path, ["a"], work)["a"]
    assert (state.status, state.over, state.reason, state.kills) == (COMPLETED, True, "", 1)
    printed = capsys.readouterr().out
    assert "a: Stopped: its process was ended from outside (code -9); it is trained again" in printed
    assert "a: True" in printed


def test_a_process_trains_one_trial_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)  # what another test has compiled

    def work(key: str, stop: StopRequest) -> int:
        print(os.getpid())
        return 0 if key != "c" else 1

    run(tmp_path, list("abcd"), work, at_once=1)
    processes = [(tmp_path / key / "log").read_text() for key in "abcd"]
    assert processes[0] == processes[1] == processes[2] != processes[3]


def test_halving_stops_trials_that_are_behind(tmp_path: Path) -> None:
    def work(key: str, stop: StopRequest) -> int:
        for epoch in itertools.count(1):
            print(evaluation(epoch, int(key[1:]) / 10), flush=True)
            if epoch == 4 or stop.signal:
                return 128 + stop.signal if stop.signal else 0
            time.sleep(0.3)
        raise AssertionError

    states = run(tmp_path, ["t9", "t1", "t2"], work, at_once=3, halving=3)
    assert states["t9"].status == COMPLETED
    assert {states[key].status for key in ("t1", "t2")} == {STOPPED}
    assert states["t1"].over
    assert "not among the best 1/3" in states["t1"].reason


def test_a_record_that_is_cut_off_is_still_read(tmp_path: Path) -> None:
    run(tmp_path, ["a", "b"], lambda key, stop: 0)
    with open(tmp_path / NAME, "ab") as file:
        file.write(b'{"key": "b", "sta')
    assert {state.status for state in read(tmp_path / NAME).values()} == {COMPLETED}
    run(tmp_path, ["a", "b", "c"], lambda key, stop: 0)
    assert [state.key for state in read(tmp_path / NAME).values()] == ["a", "b", "c"]


PROGRAM = """
    import sys, time
    from pathlib import Path
    from ahx.training.pool import Pool, PoolOptions
    from ahx.training.signals import StopRequest

    folder = Path(sys.argv[1])

    def work(key, stop):
        (folder / key / "starts").open("a").write("x")
        while not (folder / "go").exists():
            if stop.signal:
                return 128 + stop.signal
            time.sleep(0.01)
        return 0

    with StopRequest() as stop:
        Pool(folder, ["a", "b", "c"], work, PoolOptions(at_once=2)).run(stop)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pool_that_is_stopped_goes_on_where_it_was(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    first = subprocess.Popen(command)
    starts = [tmp_path / key / "starts" for key in "ab"]
    while not all(path.exists() and path.read_text() for path in starts):
        time.sleep(0.01)
    with pytest.raises(StorageError, match="is being trained into by process"):
        run(tmp_path, ["a"], lambda key, stop: 0)
    first.send_signal(number)
    first.wait(20)
    states = read(tmp_path / NAME)
    if number == signal.SIGTERM:
        assert {key: (state.status, state.over) for key, state in states.items()} == {
            "a": (STOPPED, False), "b": (STOPPED, False),
        }  # fmt: skip
        assert "SIGTERM" in states["a"].reason
    (tmp_path / "go").touch()
    subprocess.run(command, check=True, timeout=60)
    assert {key: state.status for key, state in read(tmp_path / NAME).items()} == dict.fromkeys("abc", COMPLETED)
    assert {key: (tmp_path / key / "starts").read_text() for key in "abc"} == {"a": "xx", "b": "xx", "c": "x"}
    assert json.loads((tmp_path / NAME).read_text().splitlines()[-1])["status"] == COMPLETED
