"""Jobs on this machine, as real processes: what goes in, what comes out, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ahx.errors import InputError
from infra.run_local.job import ProcessJob
from infra.run_local.runner import ContainerRunner, ProcessRunner
from opt_ml import failure
from opt_ml import tree as trees
from opt_ml.paths import OptMl

SMALL = {"rule": "double_a", "max_len": "5", "n_embd": "16", "n_head": "2", "val_samples": "20", "epoch_size": "320"}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def start(folder: Path, **hyperparameters: str) -> ProcessJob:
    return ProcessRunner().start(trees.build(folder, SMALL | hyperparameters, {}), ONE_THREAD)


def checkpoint_appears(tree: OptMl) -> None:
    for _ in range(1200):
        if list(tree.checkpoints.glob("step-*")):
            return
        time.sleep(0.05)
    raise AssertionError("no checkpoint appeared")


def test_a_tree_is_what_sagemaker_prepares(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "da_train.txt").write_text("A,AA\n")
    channels = {"train": tmp_path / "data", "validation": [tmp_path / "data" / "da_train.txt"]}
    tree = trees.build(
        tmp_path / "job", {"n_layer": "2"}, channels, channel_configs={"train": {"TrainingInputMode": "FastFile"}}
    )
    assert json.loads(tree.hyperparameters.read_text()) == {"n_layer": "2"}
    modes = {name: about["TrainingInputMode"] for name, about in json.loads(tree.input_data_config.read_text()).items()}
    assert modes == {"train": "FastFile", "validation": "File"}
    assert json.loads(tree.resource_config.read_text())["hosts"] == ["algo-1"]
    for name in channels:
        assert (tree.channel(name) / "da_train.txt").read_text() == "A,AA\n"
    again = trees.build(tree.base, {}, {"train": tmp_path / "data" / "da_train.txt"}, copy=True)
    assert not again.channel("train").is_symlink()
    assert (tmp_path / "data" / "da_train.txt").exists()


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"channel train: there is no .*nothing; check the path"):
        trees.build(tmp_path / "job", {}, {"train": tmp_path / "nothing"})


def test_a_job_trains_and_leaves_its_model(tmp_path: Path) -> None:
    job = start(tmp_path / "job", max_steps="20")
    lines = list(job.lines())
    assert job.wait() == 0, lines
    assert any(line.startswith("step=20;") for line in lines)
    assert list(job.lines()) == lines
    assert failure.read(job.tree) == ""
    assert (job.tree.model / "model.safetensors").is_file()
    assert json.loads((job.tree.output_data / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 20


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    job = start(tmp_path / "job", n_layer="none")
    assert job.wait(60) == 2
    assert failure.reason(job.tree).startswith("n_layer: must be a whole number")


def test_stop_keeps_a_checkpoint_and_the_model_so_far(tmp_path: Path) -> None:
    job = start(tmp_path / "job", max_steps="1000000", num_epochs="1000000")
    checkpoint_appears(job.tree)
    with pytest.raises(TimeoutError):
        job.wait(0.01)
    assert job.is_running
    assert job.stop() == 0
    assert not job.is_running
    assert (job.tree.model / "config.json").is_file()


def test_kill_is_at_once(tmp_path: Path) -> None:
    job = start(tmp_path / "job", max_steps="1000000")
    assert job.kill() == 128 + signal.SIGKILL


def test_a_job_ends_with_its_starter(tmp_path: Path) -> None:
    script = (
        "import sys; from infra.run_local import runner; from opt_ml import tree; "
        "t = tree.build(sys.argv[1], eval(sys.argv[2]), {}); "
        "print(runner.ProcessRunner().start(t).pid, flush=True); sys.stdin.read()"
    )
    templates = repr(SMALL | {"max_steps": "1000000", "num_epochs": "1000000"})
    command = [sys.executable, "-c", script, str(tmp_path / "job"), templates]
    starter = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **ONE_THREAD})
    assert starter.stdin
    assert starter.stdout
    pid = int(starter.stdout.readline())
    tree = OptMl(tmp_path / "job")
    checkpoint_appears(tree)
    starter.kill()
    starter.wait()
    starter.stdin.close()
    starter.stdout.close()
    for _ in range(1200):
        if not os.path.exists(f"/proc/{pid}/exe"):
            break
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}/exe")
    assert "stopped by SIGTERM" in (tree.base / "log.txt").read_text()


def test_the_docker_command(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    tree = trees.build(tmp_path / "job", {}, {"train": tmp_path / "data"})
    runner = ContainerRunner("image:tag", network="mine", memory="2g", labels={"sweep": "s1"})
    command = runner.command("docker", tree, {"SECRET": "not shown"}, "a-name")
    text = " ".join(command)
    assert command[-2:] == ["image:tag", "train"]
    assert f'"source={tmp_path}/data","target=/opt/ml/input/data/train",readonly' in text
    assert "--network mine --network-alias algo-1" in text
    assert "--memory 2g --memory-swap 2g" in text
    assert "--label sweep=s1" in text
    assert "--env-file {variables}" in text
    assert "SECRET" not in text
