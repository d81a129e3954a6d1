"""Trackers: what they have of a run, and that one that is down costs the run nothing."""

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import tracker_readers

from ahx import train as train_model
from ahx.errors import InputError
from ahx.model import checkpoint
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run, train
from ahx.training.settings import from_sources
from ahx.training.tracking import trackers

SMALL = {
    "rule": "double_a", "n_embd": 16, "n_head": 2, "max_len": 6, "epoch_size": 128, "max_steps": 12, "val_samples": 20,
    "checkpoint_interval": 1, "warmup_steps": 2, "threads": 1, "device": "cpu",
}  # fmt: skip
SECRET = "hunter2"


def settings(folder: Path, **others: object) -> Hyperparameters:
    return Hyperparameters.model_validate({**SMALL, "model_out": str(folder), **others})


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untracked")
    run(settings(folder))
    return folder


def evaluations(folder: Path) -> dict[str, list[list[float]]]:
    """metrics.jsonl as [step, value] by name, in single precision as TensorBoard keeps it."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {name: [[one["step"], one[name]] for one in lines] for name in lines[0] if name != "step"}


def assert_same(found: dict[str, list[list[float]]], wanted: dict[str, list[list[float]]]) -> None:
    assert found.keys() == wanted.keys()
    for name, points in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points]
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in points], rel=1e-6)


def lose_the_end(folder: Path) -> None:
    """As if the run had been killed after its second evaluation."""
    newest = checkpoint.checkpoints(folder)[-1]
    assert newest.name == "step-00000012"
    shutil.rmtree(newest)


def test_tensorboard_has_each_evaluation_of_a_resumed_run_once(tmp_path: Path, untracked: Path) -> None:
    train_model(**{**SMALL, "model_out": tmp_path, "track": "tensorboard", "quiet": True})
    lose_the_end(tmp_path)
    run(settings(tmp_path, track="tensorboard", resume=True))
    found = tracker_readers.tensorboard(tmp_path / "tensorboard")
    assert_same(found["scalars"], evaluations(tmp_path))
    assert [step for step, _ in found["scalars"]["val_exact"]] == [4, 8, 12]
    assert found["hyperparameters"]["n_embd"] == 16
    assert found["hyperparameters"]["rule"] == "double_a"
    assert found["status"] == 1
    assert (tmp_path / checkpoint.WEIGHTS).read_bytes() == (untracked / checkpoint.WEIGHTS).read_bytes()
    run(settings(tmp_path, track="tensorboard", max_steps=4))  # a new run in the same folder
    assert [step for step, _ in tracker_readers.tensorboard(tmp_path / "tensorboard")["scalars"]["val_exact"]] == [4]


def test_mlflow_has_one_run_with_each_evaluation_of_a_resumed_run_once(
    tmp_path: Path, untracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    uri, folder = f"sqlite:///{tmp_path}/kept/mlflow.db", tmp_path / "mine"
    assert train(settings(folder, track=f"mlflow:sqlite:///{tmp_path}/file/mlflow.db")) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("tracked: nothing in MLflow at ")
    for _ in range(2):  # what was not tracked before is added; a run that is tracked is continued
        lose_the_end(folder)
        assert train(settings(folder, track=f"mlflow:{uri}", resume=True)) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == f"tracked: 3 evaluations in MLflow at {uri} (experiment double_a, run mine)"
    (found,) = tracker_readers.mlflow(uri)
    assert (found["experiment"], found["name"], found["status"]) == ("double_a", "mine", "FINISHED")
    scalars, wanted = found["scalars"], evaluations(folder)
    for measured in ("seconds", "tokens_per_second"):  # another time for the repeated one
        assert [step for step, _ in scalars.pop(measured)] == [step for step, _ in wanted.pop(measured)]
    assert_same(scalars, wanted)
    assert found["hyperparameters"]["n_embd"] == "16"
    assert (folder / checkpoint.WEIGHTS).read_bytes() == (untracked / checkpoint.WEIGHTS).read_bytes()


class _Failing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(kind: str) -> Iterator[int]:
    """The port of a server that is "closed", "silent" (takes connections, never answers) or "failing"."""
    if kind == "failing":
        with HTTPServer(("127.0.0.1", 0), _Failing) as http:
            threading.Thread(target=http.serve_forever, daemon=True).start()
            yield http.server_port
            http.shutdown()
        return
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if kind == "silent":
            listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("kind", "why"), [("closed", "Connection refused"), ("silent", "no answer within 0.5 s"), ("failing", "500")]
)
def test_a_tracker_that_is_down_costs_nothing_and_the_last_line_says_so(
    kind: str, why: str, tmp_path: Path, untracked: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(trackers, "SERVER_SECONDS", 0.5)
    with server(kind) as port:
        assert train(settings(tmp_path, track=f"mlflow:http://127.0.0.1:{port}")) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    where = f"MLflow at http://127.0.0.1:{port} (experiment double_a, run {tmp_path.name})"
    assert last.startswith(f"tracked: nothing in {where}: ")
    assert why in last
    assert (tmp_path / checkpoint.WEIGHTS).read_bytes() == (untracked / checkpoint.WEIGHTS).read_bytes()


def test_event_files_that_cannot_be_written_cost_nothing(
    tmp_path: Path, untracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tensorboard").touch()
    assert train(settings(tmp_path, track="tensorboard")) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"tracked: nothing in TensorBoard's files in {tmp_path}/tensorboard: file exists"
    assert (tmp_path / checkpoint.WEIGHTS).read_bytes() == (untracked / checkpoint.WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("wandb", "track: 'wandb' is not a tracker; use tensorboard, mlflow or mlflow:ADDRESS"),
        ("tensorbord", "track: 'tensorbord' is not a tracker; did you mean tensorboard?"),
        ("tensorboard:runs", "track: tensorboard takes no address"),
        ("mlflow:", "track: there is no address after mlflow:"),
        ("mlflow:ftp://x", "track: 'ftp://x' is not an address of MLflow; give http(s)://HOST, "),
        ("mlflow:http://x:99999", "track: 'http://x:99999' is not an address of MLflow"),
        ("mlflow:runs/mlruns", "track: 'runs/mlruns' is not an address of MLflow"),
        ("mlflow:sqlite:///", "track: 'sqlite:///' names no file"),
        ("mlflow:arn:aws:sagemaker:eu-west-1:1:mlflow-tracking-server/x", "is not the ARN of an MLflow server"),
        (f"mlflow:http://me:{SECRET}@host", "track: a user and password in the address would be stored with the run"),
    ],
)
def test_a_value_that_leads_nowhere_is_one_sentence(value: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        from_sources({"rule": "copy", "track": value})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_no_message_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        from_sources({"rule": "copy"}, None, {"SM_HP_TRACK": f"mlflow:http://me:{SECRET}@host", "SM_HP_track": "none"})
    assert SECRET not in str(caught.value)
    address = f"http://me:{SECRET}@127.0.0.1:9"
    tracker = trackers.Mlflow(address, "e", "r", Path("mlflow.json"))
    tracker.wanted, tracker.reason = 1, f"{address}/api refused"
    assert SECRET not in tracker.finish("FINISHED")
