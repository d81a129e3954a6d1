"""SageMaker's local mode through its real SDK, on real Docker, with the real image."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ahx.errors import InputError, ServiceError
from entrypoints.main import main
from infra.run_local import local_mode_runner
from infra.run_local.local_mode_job import containers
from infra.run_local.local_mode_runner import NETWORK, LocalModeRunner, ensure_network
from opt_ml import tree as trees
from opt_ml.paths import OptMl

QUICK = {"rule": "double_a", "num_epochs": "1", "val_samples": "100"}
LAUNCH = (sys.executable, "-m", "entrypoints.main", "launch", "--local-mode", "--name", "t", "--rule", "double_a")
FOREVER = ("--num-epochs", "100000", "--eval-interval", "0.2", "--val-samples", "9")


@pytest.fixture
def listener():
    """A proxy that nothing may call; gives the list of calls."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    calls.append(connection.recv(100))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def data_folder(folder: Path) -> Path:
    (folder / "data").mkdir()
    for name in ("train", "val"):
        (folder / "data" / f"da_{name}.txt").write_text("".join(f"{'AB' * i},{'AAB' * i}\n" for i in range(1, 9)))
    return folder / "data"


def test_a_job_from_data_to_model_without_account_or_network(image, tmp_path, monkeypatch, listener):
    url, calls = listener
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, url)
    tree = trees.build(tmp_path / "job", {"num_epochs": "1"}, {"train": data_folder(tmp_path)})
    job = LocalModeRunner(image.name).start(tree)
    lines = list(job.lines())
    assert job.wait() == 0, "\n".join(lines)
    assert any(line.startswith("step=") and " val_loss=" in line for line in lines)
    assert (tree.model / "model.safetensors").stat().st_uid == os.getuid()
    assert (tree.output_data / "metrics.jsonl").exists()
    assert list(tree.checkpoints.glob("step-*"))
    assert calls == []
    assert containers(job.name) == []
    assert [path.name for path in tree.base.iterdir() if path.name.startswith("ahx-")] == []


def test_two_at_once(image, tmp_path):
    ready = [trees.build(tmp_path / name / "job", QUICK, {}) for name in "ab"]
    jobs = [LocalModeRunner(image.name).start(tree) for tree in ready]
    for job in jobs:
        assert job.wait() == 0, "\n".join(job.lines())
    weights = {(job.tree.model / "model.safetensors").read_bytes() for job in jobs}
    assert len(weights) == 1
    assert [containers(job.name) for job in jobs] == [[], []]


def test_first_runs_at_the_same_time_make_one_network(docker):
    name = f"ahx-test-{secrets.token_hex(4)}"
    script = f"from infra.run_local.local_mode_runner import ensure_network; ensure_network({name!r})"
    racing = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    try:
        assert [process.wait() for process in racing] == [0] * 4
        assert len(docker("network", "ls", "--quiet", "--filter", f"name=^{name}$").stdout.split()) == 1
    finally:
        docker("network", "rm", name)


def launched(image, folder):
    """A job in the foreground, in the midst of its training; and its folder."""
    command = [*LAUNCH, *FOREVER, "--image", image.name]
    started = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "step=" not in started.stdout.readline():
        assert started.poll() is None, started.stderr.read()
    return started, OptMl(next(folder.glob("runs/local-mode/ahx-t-*")))


def test_ctrl_c_keeps_what_was_learnt_and_is_no_success(image, docker, tmp_path):
    started, tree = launched(image, tmp_path)
    with started:
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=60)
    assert started.returncode == 128 + signal.SIGINT
    assert "stopped by SIGTERM at step" in stdout
    assert stderr == "ahx: note: stopping; what was learnt is kept. Ctrl-C again kills\n"
    assert (tree.model / "model.safetensors").exists()
    assert list(tree.checkpoints.glob("step-*"))
    assert docker("ps", "--all", "--quiet", "--filter", f"label=ahx.local={started.pid}").stdout == ""


def test_a_job_whose_starter_is_killed_ends_with_it(image, docker, tmp_path):
    started, tree = launched(image, tmp_path)
    with started:
        started.kill()
    until = time.monotonic() + 60
    mine = ("ps", "--all", "--quiet", "--filter", f"label=ahx.local={started.pid}")
    while docker(*mine).stdout and time.monotonic() < until:
        time.sleep(0.2)
    assert docker(*mine).stdout == ""
    assert "stopped by SIGTERM" in (tree.base / "log.txt").read_text()


def test_a_failure_is_passed_on_in_one_sentence(image, tmp_path):
    wrong = ("--device", "cuda:9", "--image", image.name)
    done = subprocess.run([*LAUNCH, *wrong], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == InputError.exit_code
    assert done.stderr.startswith("ahx: error: device 'cuda:9'")
    assert done.stderr.count("\n") == 1


def test_a_sweep(image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep = ["sweep", "--name", "s", "--rule", "double_a", "--max-steps", "5", "--grid", "seed=1,2"]
    assert main([*sweep, "--on", "local-mode", "--json", "--image", image.name]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert [job["status"] for job in jobs] == ["Completed"] * 2


def test_an_image_that_is_not_there(docker, tmp_path):
    with pytest.raises(ServiceError, match="ahx-there-is-none:1"):
        LocalModeRunner("ahx-there-is-none:1").start(trees.build(tmp_path / "job", QUICK, {}))


def test_variables_reach_the_container_as_they_are_and_logs_reach_cloudwatch(image, docker, tmp_path, monkeypatch):
    ensure_network()
    gateway = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", NETWORK).stdout.strip()
    server = ThreadedMotoServer(gateway, 0, verbose=False)
    server.start()
    try:
        url = f"http://{gateway}:{server.get_host_and_port()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-central-1"}
        stream = f"local-{secrets.token_hex(4)}"
        own = {"SM_HP_RULE": "A -> $HOME", "AHX_LOG_GROUP": "/ahx/local", "AHX_LOG_STREAM": stream}
        job = LocalModeRunner(image.name).start(
            trees.build(tmp_path / "job", {"num_epochs": "1"}, {}), {"AWS_ENDPOINT_URL": url, **keys, **own}
        )
        lines = list(job.lines())
        assert job.wait() == 0, "\n".join(lines)
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("logs", endpoint_url=url, region_name=keys["AWS_REGION"])
        events = client.get_log_events(logGroupName="/ahx/local", logStreamName=stream, startFromHead=True)["events"]
        client.close()
    finally:
        server.stop()
    assert any("$HOME" in event["message"] for event in events)
    assert any(line.startswith(f"logs: delivered {len(events)}/{len(events)} lines to /ahx/local/") for line in lines)


def test_what_is_missing_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(local_mode_runner, "find_spec", lambda name: None)
    with pytest.raises(ServiceError, match=r"run: pip install 'ahx-transformer\[sagemaker\]'"):
        local_mode_runner.check_installed()


def test_a_folder_that_docker_compose_would_misread(image, tmp_path):
    tree = trees.build(tmp_path / "a$b", QUICK, {})
    with pytest.raises(InputError, match="its name has a : or \\$"):
        LocalModeRunner(image.name).start(tree)
