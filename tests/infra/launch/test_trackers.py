"""Trackers of sweeps: every trial is tracked, wherever it is trained, and is the same trial as without."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import tracker_readers

from ahx.errors import InputError
from entrypoints.main import main
from infra.launch import tracking
from infra.launch.sweep import Sweep, parse_grid

SWEEP = [
    "sweep", "--rule", "double_a", "--grid", "n_layer=1,2", "--max-steps", "4", "--epoch-size", "64",
    "--val-samples", "20", "--threads", "1", "--json",
]  # fmt: skip
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/ours"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return tmp_path


def sweep(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert main([*SWEEP, *options]) == 0
    return json.loads(capsys.readouterr().out)


def trials(folder: Path) -> dict[str, list[list[float]]]:
    """The points of val_loss, by the trial's key."""
    found = {}
    for file in folder.glob("runs/sweeps/s1/*/tree/checkpoints/*/metrics.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found[file.parent.name] = [[one["step"], one["val_loss"]] for one in lines]
    return found


def test_tensorboard_of_a_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = sweep(capsys, "--name", "s1", "--on", "process", "--dry-run")
    done = sweep(capsys, "--name", "s1", "--on", "process", "--track", "tensorboard")
    assert {job["name"] for job in done["jobs"]} == set(plain["trials"])
    wanted = trials(here)
    assert len(wanted) == 2
    for key, points in wanted.items():
        (folder,) = here.glob(f"runs/sweeps/s1/*/tree/output/data/{key}/tensorboard")
        found = tracker_readers.tensorboard(folder)
        assert found["scalars"]["val_loss"] == [[step, pytest.approx(value, rel=1e-6)] for step, value in points]
    assert main(["jobs", "collect", "s1", "--to", "out"]) == 0
    assert len(list(here.glob("out/*/output/tensorboard/events*"))) == 2


def test_mlflow_of_a_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(capsys, "--name", "s1", "--on", "process", "--track", "mlflow:sqlite:///runs/mlflow.db")
    found = tracker_readers.mlflow(f"sqlite:///{here}/runs/mlflow.db")
    assert {one["name"]: one["scalars"]["val_loss"] for one in found} == trials(here)
    assert {(one["experiment"], one["status"]) for one in found} == {("s1", "FINISHED")}
    assert {one["hyperparameters"]["n_layer"] for one in found} == {"1", "2"}


def test_a_job_of_sagemaker_has_its_event_files_in_the_bucket(
    here: Path, aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["infra", "apply", "--yes", "--adopt"]) == 0
    capsys.readouterr()
    options = ["--name", "board", "--on", "embedded", "--track", "tensorboard", "--trials-per-job", "2"]
    (request,) = sweep(capsys, *options, "--dry-run")["requests"]
    bucket = request["OutputDataConfig"]["S3OutputPath"].split("/")[2]
    assert request["TensorBoardOutputConfig"] == {
        "S3OutputPath": f"s3://{bucket}/output", "LocalPath": "/opt/ml/output/tensorboard",
    }  # fmt: skip
    done = sweep(capsys, *options)
    s3 = boto3.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="output/")["Contents"]]
    for job in done["jobs"]:
        place = f"output/{request['TrainingJobName']}/tensorboard-output/{job['name'].rpartition('-')[2]}/"
        (key,) = [one for one in keys if one.startswith(place)]
        (here / job["name"]).mkdir()
        s3.download_file(bucket, key, str(here / job["name"] / key.rpartition("/")[2]))
        found = tracker_readers.tensorboard(here / job["name"])["scalars"]
        assert [step for step, _ in found["val_loss"]] == [2, 4]
        assert found["val_loss"][-1][1] == pytest.approx(job["metrics"]["val_loss"], rel=1e-5)


def test_the_role_may_track_only_when_asked(here: Path, aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infra", "apply", "--yes", "--adopt"]) == 0
    capsys.readouterr()
    track = ["--name", "s1", "--on", "embedded", "--track", f"mlflow:{ARN}", "--dry-run"]

    before = sweep(capsys, *track)
    role = before["requests"][0]["RoleArn"].rpartition("/")[2]

    def statements() -> list[dict[str, Any]]:
        policy = boto3.client("iam").get_role_policy(RoleName=role, PolicyName="ahx-training")["PolicyDocument"]
        return [one for one in policy["Statement"] if "mlflow" in json.dumps(one)]

    assert statements() == []
    grant = f"`ahx infra apply --mlflow {ARN}`"
    lacking = f"the role of jobs may not write to {ARN}, so nothing would be tracked; run {grant} first"
    assert lacking in before["notes"]
    for options in (["--mlflow", ARN], []):  # the choice is kept
        assert main(["infra", "apply", "--yes", *options]) == 0
        (granted,) = statements()
        assert granted["Resource"] in (ARN, [ARN])
        assert all(action.startswith("sagemaker-mlflow:") for action in granted["Action"])
    capsys.readouterr()
    assert lacking not in sweep(capsys, *track)["notes"]
    assert main(["infra", "apply", "--yes", "--mlflow", "none"]) == 0
    assert statements() == []
    assert main(["infra", "plan", "--mlflow", "arn:aws:s3:::x"]) == 2
    assert "--mlflow: 'arn:aws:s3:::x' is not the ARN of an MLflow server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("track", "on", "sentence"),
    [
        ("mlflow", "docker", "sqlite:///mlflow.db is a file of this machine, which jobs on docker do not have"),
        ("mlflow:sqlite:///a.db", "embedded", "sqlite:///a.db is a file of this machine"),
        ("mlflow:http://localhost:5000", "sagemaker", "in a container http://localhost:5000 is the container itself"),
    ],
)
def test_a_tracker_that_jobs_cannot_reach_is_refused(
    track: str, on: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match=sentence):
        tracking.for_jobs(track, on)


def test_jobs_get_the_address_of_the_environment_but_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert tracking.for_jobs("mlflow", "sagemaker") == "mlflow:https://mlflow.example.org"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@mlflow.example.org")
    with pytest.raises(InputError) as caught:
        tracking.for_jobs("mlflow", "sagemaker")
    assert "hunter2" not in str(caught.value)


def test_a_tracker_is_not_searched_for() -> None:
    with pytest.raises(InputError, match="--grid: track is the same for all trials; give --track"):
        Sweep("s1", {"rule": "copy"}, parse_grid(["track=none,tensorboard"])).configurations()
    with pytest.raises(InputError) as caught:
        Sweep("s1", {"rule": "copy", "track": "mlflow:http://me:hunter2@host"}, {}).configurations()
    assert "hunter2" not in str(caught.value)
