"""A sweep whose server is killed while its jobs run, and started again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from aws_process import AwsProcess, until

from infra.launch import batch_jobs
from infra.launch.backends.backend import Backend, Job, Manifest
from infra.launch.batch_jobs import MOST_ATTEMPTS
from infra.launch.engine import Engine
from infra.launch.job_request import JobTemplate
from infra.launch.leaderboard import View, as_json
from infra.launch.trial import Trial
from infra.provision.stack_id import StackId

AHX = [sys.executable, "-m", "entrypoints.main"]
WORDS = ["--rule", "double_a", "--max-steps", "4", "--val-samples", "20", "--threads", "1"]


def jobs(server: AwsProcess) -> dict[str, str]:
    trials = server("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    return {trial["TrainingJobName"]: trial["TrainingJobStatus"] for trial in trials}


def training(server: AwsProcess) -> bool:
    trials = server("sagemaker").list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    return any(trial["SecondaryStatus"] == "Training" for trial in trials)


def test_jobs_that_the_service_lost_are_submitted_again(tmp_path: Path) -> None:
    state = ("--process", "--state", str(tmp_path / "state"))
    server = AwsProcess(*state)
    exports = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    exports |= dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), server.keys, strict=True))
    templates: dict[str, Any] = {"env": os.environ | exports, "cwd": tmp_path, "stdin": subprocess.DEVNULL}
    launcher = None
    try:
        subprocess.run([*AHX, "infra", "apply", "--yes"], check=True, capture_output=True, **templates)
        command = [
            *AHX,
            "sweep",
            "--name",
            "lost",
            "--on",
            "embedded",
            *WORDS,
            "--grid",
            "seed=0,1",
            "--trials-per-job",
            "1",
            "--json",
        ]
        launcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **templates)
        until(lambda: training(server))
        server.end()
        server = AwsProcess(*state, "--port", server.endpoint.rpartition(":")[2])
        out, err = launcher.communicate(timeout=120)
        assert launcher.returncode == 0, err
        trials = json.loads(out)["jobs"]
        assert [trial["status"] for trial in trials] == ["Completed", "Completed"]
        assert max(trial["attempt"] for trial in trials) == 2
        ends = jobs(server)
        assert sorted(ends.values()).count("Completed") == 2
        assert all(f"{name.removesuffix('-r2')}-r2" in ends for name, status in ends.items() if status == "Failed")
    finally:
        if launcher:
            launcher.kill()
        server.end()


@pytest.mark.parametrize(
    ("reason", "attempt", "again"),
    [
        ("InternalServerError: We encountered an internal error.", 2, True),
        ("CapacityError: Unable to provision requested ML compute capacity.", 1, True),
        ("InternalServerError: We encountered an internal error.", 3, False),
        ("AlgorithmError: InternalServerError, exit code: 1", 1, False),
        ("ClientError: Data download failed", 1, False),
    ],
)
def test_a_job_is_retried_where_the_service_failed_and_not_for_ever(reason: str, attempt: int, again: bool) -> None:
    engine = Engine(cast(Backend, None), "sweep", Manifest([], [], {}))
    assert engine._is_retried(Trial(cast(JobTemplate, None), {}, "name", attempt), reason) is again


class Forgetful:
    """A place that takes jobs, and knows of none."""

    costs = False

    def __init__(self) -> None:
        self.submitted: list[str] = []

    def slots(self, template: JobTemplate) -> int:
        return 1

    def submit(self, request: dict[str, Any]) -> None:
        self.submitted.append(request["TrainingJobName"])

    def jobs(self, sweep: str) -> dict[str, Job]:
        return {}

    def shared_at(self, digest: str) -> str:
        return digest

    def share(self, files: list[Path], digest: str) -> str:
        return digest

    def states(self, job: Job) -> bytes:
        return b""


def test_jobs_that_their_place_does_not_know_any_more_are_submitted_again_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch_jobs, "UNLISTED_SECONDS", 0.05)
    backend, template = Forgetful(), JobTemplate("sweep", StackId("0" * 12, "us-east-1"), "image", "digest")
    manifest = Manifest([template], [(0, {"rule": "double_a"})], {"max_parallel": 1})
    state = Engine(cast(Backend, backend), "sweep", manifest, on_change=View(costs=False), pace=(0.01, 0.02)).run()
    (trial,) = state.trials
    assert backend.submitted == [trial.name] * MOST_ATTEMPTS
    assert trial.job
    assert trial.job.status == "Failed"
    assert "not listed any more" in trial.job.reason
    assert len(as_json(trial)["lost"]) == MOST_ATTEMPTS - 1
    assert capsys.readouterr().out.count("is submitted again") == MOST_ATTEMPTS - 1
