"""Sweeps carried through: against an AWS in a process of its own, and on this machine."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from ahx.errors import ServiceError
from entrypoints.main import main
from infra.launch import plan as planning
from infra.launch.backends.backend import INTERRUPTED, Backend
from infra.launch.backends.choose import find_backend, open_backend
from infra.launch.backends.local import LocalBackend, hold
from infra.launch.engine import Engine
from infra.launch.plan import Options
from infra.launch.sweep import Sweep, parse_grid
from infra.launch.trial import SweepState
from infra.provision.bucket import Bucket
from infra.provision.role import Role
from infra.provision.stack_id import StackId

PACE = (0.05, 0.5)
STACK_ID = StackId("123456789012", "us-east-1")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def make_role() -> None:
    boto3.client("iam").create_role(RoleName=Role(STACK_ID).name, AssumeRolePolicyDocument=json.dumps(TRUST))


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """An AWS whose jobs take half a second and do nothing, with room for three."""
    command = [sys.executable, "-m", "entrypoints.main", "aws", "--port", "0", "--instant", "0.5"]
    process = subprocess.Popen([*command, "--quota", "ml.m5.large=3"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    exports = {}
    for line in lines:
        if not line.startswith("export "):
            break
        name, _, value = line.removeprefix("export ").strip().partition("=")
        exports[name] = value
    with pytest.MonkeyPatch.context() as patch:
        for name, value in exports.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=Bucket(STACK_ID).name)
        make_role()
    yield exports
    process.terminate()
    process.communicate()


@pytest.fixture
def aws(server: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """The way to it; the function adds a fault."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**server, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    from infra.embedded import remote

    yield lambda **rule: remote.post("faults", rule)
    remote.delete("faults")


def prepared(
    name: str, grid: str = "n_layer=1,2", on: str = "embedded", base: dict[str, str] | None = None, **options: Any
) -> tuple[Backend, planning.Planned]:
    backend = open_backend(on)
    sweep = Sweep(name, base or {"rule": "double_a", "max_steps": "2"}, parse_grid([grid]))
    planned = planning.plan(backend, sweep, Options(**{"trials_per_job": "1"} | options))
    planning.publish(backend, planned)
    return backend, planned


def carried_through(backend: Backend, planned: planning.Planned, **more: Any) -> SweepState:
    return Engine(backend, planned.template.sweep, planned.manifest, pace=PACE, **more).run()


def submissions(name: str) -> list[str]:
    """Names of all jobs of the sweep, as AWS has them."""
    pages = boto3.client("sagemaker").get_paginator("list_training_jobs").paginate(NameContains=f"ahx-{name}-")
    return [trial["TrainingJobName"] for page in pages for trial in page["TrainingJobSummaries"]]


def test_quota_throttling_and_errors_of_the_service_lose_nothing(aws: Callable[..., None]) -> None:
    aws(kind="throttle", service="sagemaker", rate=0.2)
    aws(kind="error", service="sagemaker", rate=0.1, seed=1)
    most = 0

    def watch(state: SweepState) -> None:
        nonlocal most
        most = max(most, len(state.in_flight()))

    seeds = ",".join(map(str, range(20)))
    backend, planned = prepared("faults", f"seed={seeds}")
    state = carried_through(backend, planned, on_change=watch)
    assert {trial.job.status for trial in state.trials if trial.job} == {"Completed"}
    assert len(state.trials) == len(submissions("faults")) == 20
    assert most <= 3


def test_a_launcher_that_is_killed_is_taken_over_from_another_machine(
    aws: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = ",".join(map(str, range(12)))
    words = f"sweep --name killed --rule double_a --on embedded --grid seed={seeds} --trials-per-job 1 --json"
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-m", "entrypoints.main", *words.split()])
        for _ in range(400):
            if submissions("killed"):
                break
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    begun = len(submissions("killed"))
    assert 1 <= begun < 12
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    backend = find_backend("killed")
    manifest = backend.read_manifest("killed")
    assert manifest is not None
    state = Engine(backend, "killed", manifest, pace=PACE).run()
    assert [trial.job.status for trial in state.trials if trial.job] == ["Completed"] * 12
    assert len(submissions("killed")) == 12


def test_the_same_sweep_again_submits_nothing_and_another_image_is_another_job(aws: Callable[..., None]) -> None:
    carried_through(*prepared("again", image="host/x@sha256:1"))
    backend, planned = prepared("again", image="host/x@sha256:1")
    assert planned.notes == ["2 of 2 jobs were submitted before, and are not submitted again"]
    carried_through(backend, planned)
    assert len(submissions("again")) == 2
    backend, planned = prepared("again", image="host/x@sha256:2")
    assert planned.notes == ["the image changed since again was run last: 2 configurations are new jobs"]
    assert len(carried_through(backend, planned).trials) == 4  # the old ones stay on the leaderboard


def test_a_role_that_is_new_is_waited_for(aws: Callable[..., None]) -> None:
    iam = boto3.client("iam")
    iam.delete_role(RoleName=Role(STACK_ID).name)
    backend, planned = prepared("role")
    notes: set[str] = set()

    def make_it_when_it_is_missed(state: SweepState) -> None:
        if state.note and not notes:
            make_role()
        notes.update({state.note} - {""})

    state = carried_through(backend, planned, on_change=make_it_when_it_is_missed)
    assert "waiting until the new role can be used" in notes
    assert [trial.job.status for trial in state.trials if trial.job] == ["Completed"] * 2


def test_a_request_that_the_service_refuses_is_a_sentence(aws: Callable[..., None]) -> None:
    backend, planned = prepared("refused", instance_type="ml.abacus.large")
    with pytest.raises(ServiceError, match=r"cannot submit ahx-refused-[0-9a-f]{10}: .*ml.abacus.large"):
        carried_through(backend, planned)


def test_nothing_is_submitted_that_could_cost_too_much(aws: Callable[..., None]) -> None:
    seeds = ",".join(map(str, range(6)))
    backend, planned = prepared("dear", f"seed={seeds}", max_cost=0.25, max_runtime=3600)
    state = carried_through(backend, planned)
    # One hour and three minutes on an ml.m5.large may cost $0.121; what a job did not use is free for the next.
    assert [trial.job is not None for trial in state.trials].count(True) == 6
    assert state.cost() < 0.25
    backend, planned = prepared("dearer", f"seed={seeds}", max_cost=0.1, max_runtime=3600)
    state = carried_through(backend, planned)
    assert [trial.job for trial in state.trials] == [None] * 6
    assert state.note == "held back: more jobs could cost more than $0.1"


def test_a_dry_run_tells_everything_and_does_nothing(aws: Callable[..., None], capsys: Any) -> None:
    words = "sweep --name dry --rule double_a --grid n_layer=1,2 --seeds 4 --on embedded --instance-type ml.m5.large"
    assert main([*words.split(), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["requests"]) == 8
    assert told["at_most"]["quota"] == 3
    assert told["at_most"]["hours"] == 3 * 3780 / 3600
    assert told["at_most"]["usd"] == pytest.approx(8 * 0.115 * 3780 / 3600)
    assert main([*words.split(), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "8 jobs on the embedded AWS" in printed
    assert "TrainingJobName" not in printed
    assert len(printed.splitlines()) < 24
    assert "an estimate: ml.m5.large at $0.115 an hour (us-east-1, on demand, as of 20" in printed
    assert main([*words.split(), "--instance-type", "ml.p3.2xlarge", "--dry-run"]) == 0
    assert "$3.825 an hour (us-east-1, on demand, not confirmed by AWS's price list)" in capsys.readouterr().out
    assert submissions("dry") == []
    assert main(["jobs", "list", "dry"]) == 2
    assert "there is no sweep 'dry' on the embedded AWS" in capsys.readouterr().err


def test_money_is_not_spent_unasked(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert main(["sweep", "--name", "s", "--rule", "copy", "--on", "sagemaker"]) == 2
    assert "unset it, or take --on embedded" in capsys.readouterr().err
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    from infra.launch.backends.choose import default_backend

    assert default_backend() == "process"


# On this machine, for real.

REAL = {"rule": "double_a", "max_steps": "4", "eval_interval": "0.02", "epoch_size": "100", "val_samples": "50"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return tmp_path


def test_processes_survive_the_launcher_and_their_watchers(here: Path, capsys: Any) -> None:
    backend, planned = prepared("here", "n_layer=1,2", "process", {**REAL, "num_epochs": "30", "max_steps": "300"})
    engine = Engine(backend, "here", planned.manifest, pace=PACE)
    engine.poll()
    engine.submit()
    for _ in range(600):
        if all(
            list(here.glob(f"runs/sweeps/here/{trial.name}/tree/checkpoints/*/checkpoints/step-*"))
            for trial in engine.state.trials
        ):
            break
        time.sleep(0.05)
    # A watcher dies: its job keeps a checkpoint and ends, and continues when it is submitted again.
    victim = engine.state.trials[0].name
    pids = watchers(here / "runs/sweeps/here" / victim)
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGKILL)
    for _ in range(100):
        if backend.jobs("here")[victim].phase == INTERRUPTED:
            break
        time.sleep(0.05)
    assert backend.jobs("here")[victim].phase == INTERRUPTED
    assert main(["jobs", "attach", "here", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [job["status"] for job in told["jobs"]] == ["Completed"] * 2
    assert [job["metrics"]["step"] for job in told["jobs"]] == [300, 300]
    log = (here / f"runs/sweeps/here/{victim}/tree/log.txt").read_text()
    assert "going on from step" in log

    assert main(["jobs", "collect", "here", "--to", "out", "--json"]) == 0
    best, worst = json.loads(capsys.readouterr().out)["jobs"]
    assert best["metrics"]["val_exact"] >= worst["metrics"]["val_exact"]
    assert main(["eval", "--model", best["model"], "--num-samples", "20"]) == 0
    weights = Path(worst["model"], "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert main(["jobs", "collect", "here", "--to", "out"]) == 1
    assert "is not what its job wrote" in capsys.readouterr().err


def watchers(of: Path) -> list[int]:
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [int(path.name) for path in processes if os.fsencode(of) in _command_of(path)]


def test_a_launcher_that_goes_on_gives_a_job_another_watcher(here: Path) -> None:
    backend, planned = prepared("gone", "seed=1", "process", {**REAL, "num_epochs": "30", "max_steps": "300"})
    killed: list[int] = []

    def kill_once(state: SweepState) -> None:
        folder = here / "runs/sweeps/gone" / state.trials[0].name
        if not killed and list(folder.glob("tree/checkpoints/*/checkpoints/step-*")):
            killed.extend(watchers(folder))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    (trial,) = carried_through(backend, planned, on_change=kill_once).trials
    assert killed
    assert len(trial.lost) == 1
    assert trial.job
    assert trial.job.status == "Completed"
    assert "going on from step" in (here / f"runs/sweeps/gone/{trial.name}/tree/log.txt").read_text()


def test_a_launcher_follows_jobs_whatever_the_service_s_clock_says(
    aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.launch.backends.sagemaker._WHOLE_SECONDS", 0.5)
    backend, planned = prepared("clock", "seed=1,2")
    ahead = datetime.now(UTC) + timedelta(hours=5)  # as of changes before the clock was set back

    def list_from_then(state: SweepState) -> None:
        backend._listed_until["clock"] = ahead  # type: ignore[attr-defined]

    state = carried_through(backend, planned, on_change=list_from_then)
    assert [trial.job.status for trial in state.trials if trial.job] == ["Completed"] * 2


def test_a_watcher_starts_while_others_look_at_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with open(lock, "w", encoding="utf-8") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with hold(lock) as held:
            assert held
        fcntl.flock(looking, fcntl.LOCK_SH)
        with hold(lock) as held:  # as another watcher has it, for good
            assert not held


def test_a_local_job_s_log_is_followed_to_its_end(here: Path, capsys: Any) -> None:
    backend, planned = prepared("told", "seed=1", "process", {**REAL, "max_steps": "20", "num_epochs": "5"})
    engine = Engine(backend, "told", planned.manifest, pace=PACE)
    engine.poll()
    engine.submit()
    name = engine.state.trials[0].name
    assert main(["jobs", "logs", name, "-f"]) == 0
    followed = capsys.readouterr().out.splitlines()
    assert backend.jobs("told")[name].status == "Completed"
    printed = (here / f"runs/sweeps/told/{name}/tree/log.txt").read_text().splitlines()
    assert followed == [line.removeprefix(f"{engine.state.trials[0].key}: ") for line in printed]
    assert [line for line in followed if line.startswith("step=20;")]
    assert main(["jobs", "logs", name]) == 0
    assert capsys.readouterr().out.splitlines() == followed


def test_stopping_retrying_and_data(here: Path, capsys: Any) -> None:
    data = here / "data"
    data.mkdir()
    (data / "da_train.txt").write_text("A,AA\nB,B\nAB,AAB\nBA,BAA\n")
    (data / "da_val.txt").write_text("AA,AAAA\n")
    base = {"infile": "data/da", "num_epochs": "100000"}
    backend, planned = prepared("data", "seed=1", "process", base)
    assert planned.configs == [{"infile": "da", "num_epochs": 100000, "seed": 1}]
    engine = Engine(backend, "data", planned.manifest, pace=PACE)
    engine.poll()
    engine.submit()
    name = engine.state.trials[0].name
    assert main(["jobs", "stop", "data"]) == 0
    assert "asked 1 job to stop" in capsys.readouterr().out
    assert main(["jobs", "attach", "data", "--json"]) == 0
    job = json.loads(capsys.readouterr().out)["jobs"][0]
    assert (job["status"], job["phase"]) == ("Stopped", "Stopped")
    assert main(["jobs", "logs", name]) == 0

    (data / "da_train.txt").write_text("no comma\n")
    _, planned = prepared("data", "seed=1", "process", base)
    assert planned.notes == ["the data changed since data was run last: 1 configurations are new jobs"]
    state = carried_through(backend, planned)
    failed = next(trial for trial in state.trials if trial.job and trial.job.status == "Failed")
    assert "no comma" in failed.job.reason or "comma" in failed.job.reason  # type: ignore[union-attr]
    assert carried_through(backend, planned).trials[0].attempt == 1
    again = carried_through(backend, planned, retry_failed=True)
    assert again.trials[0].attempt == 2
    assert again.trials[0].job
    assert again.trials[0].job.name == f"{failed.name}-r2"


def test_hopeless_runs_are_stopped(here: Path) -> None:
    base = {**REAL, "max_steps": "100000", "num_epochs": "1000", "until_exact": "50", "eval_interval": "1"}
    backend, planned = prepared("halves", "learning_rate=1e-9,1e-8,3e-3", "process", base, halving=3, max_parallel=3)
    backend.slots = lambda template: 3  # type: ignore[method-assign]
    state = carried_through(backend, planned)
    ended = {trial.config.get("learning_rate", 3e-3): trial.job.status for trial in state.trials if trial.job}
    assert ended[3e-3] == "Completed"
    assert "Stopped" in ended.values()


def _command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_local_place_is_a_place() -> None:
    backend: Backend = LocalBackend("process")
    assert backend.on == "process"
