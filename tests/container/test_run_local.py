"""`ahx run-local`: a job as a process and as a container, how it ends, and what Ctrl-C leaves."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from container_jobs import RULE, SMALL, data_folder
from rich.console import Console

from ahx.model import checkpoint
from entrypoints.main import main
from infra.run_local.job_output import JobOutput

PAGE = Path(__file__).parents[2] / "docs" / "container.md"


def options(**hyperparameters: str) -> list[str]:
    return [word for name, value in hyperparameters.items() for word in ("--hyperparameter", f"{name}={value}")]


@pytest.mark.parametrize("way", ["process", "container"])
def test_a_job_with_data(way, request, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    how = ["--process"] if way == "process" else ["--image", request.getfixturevalue("image").name]
    data, output = data_folder(tmp_path / "data"), tmp_path / "out"
    line = ["run-local", *how, "--data", f"{data}/da", "--output", str(output), *options(**SMALL)]
    assert main(line) == 0
    printed = capfd.readouterr()
    assert "step=4; " in printed.out
    assert f"ahx interactive --model {output}/model" in printed.out
    assert "\x1b" not in printed.out
    assert checkpoint.load(output / "model").config["step"] == 4
    assert (output / "output" / "data" / "evaluation.json").is_file()
    assert os.stat(output / "model" / "config.json").st_uid == os.getuid()

    assert main([*line, *options(n_layr="2")]) == 2
    printed = capfd.readouterr()
    assert printed.err == "ahx: error: hyperparameters.json: unknown hyperparameter 'n_layr'; did you mean n_layer?\n"
    assert "Traceback" not in printed.out


@pytest.mark.parametrize("way", ["process", "container"])
def test_ctrl_c_stops_the_job_and_keeps_the_model_so_far(way, request, tmp_path):
    how = ["--process"] if way == "process" else ["--image", request.getfixturevalue("image").name]
    command = [sys.executable, "-m", "entrypoints.main", "run-local", *how, "--output", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    long = RULE | {"max_steps": "1000000", "num_epochs": "1000000"}
    process = subprocess.Popen(
        [*command, *options(**long)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    for _ in range(1200):
        if list(tmp_path.glob("checkpoints/step-*")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 128 + signal.SIGINT, printed
    assert "stopped by SIGTERM at step" in printed
    assert checkpoint.load_folder(tmp_path / "model").config["step"] > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--process"], "nothing to learn yet; give --data, or a rule: --hyperparameter rule=double_a"),
        (["--hyperparameter", "n_layer"], "--hyperparameter: 'n_layer' must be a name and a value, such as n_layer=2"),
        (
            ["--hyperparameter", "seed=1", "--hyperparameter", "seed=2"],
            "--hyperparameter: seed is given twice, as '1' and '2'; keep one",
        ),
        (
            ["--process", "--memory", "2g", *options(rule="copy")],
            "--memory is for containers; leave it out, or --process",
        ),
    ],
)
def test_bad_input(words, sentence, capsys):
    assert main(["run-local", *words]) == 2
    assert capsys.readouterr().err == f"ahx: error: {sentence}\n"


def test_an_image_that_is_not_there(docker, capsys):
    assert main(["run-local", "--image", "ahx-transformer:nobody-has-built-this", *options(rule="copy")]) == 1
    assert "there is no image ahx-transformer:nobody-has-built-this here; build it with" in capsys.readouterr().err


def test_no_engine(docker, capsys, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert main(["run-local", *options(rule="copy")]) == 1
    assert capsys.readouterr().err.startswith("ahx: error: no Docker engine answers")


def test_colours_and_progress_on_a_terminal_only():
    lines = [
        "1 parameters, 1,200 steps of 32 samples on cpu",
        "step=300; val_exact=0.5;",
        "  A -> AA  ok",
        "ahx: error: x",
    ]
    seen = []
    for terminal in (True, False):
        file = io.StringIO()
        with JobOutput(Console(file=file, force_terminal=terminal, width=100)) as screen:
            for line in lines:
                screen(line)
            assert screen.progress.tasks[0].total == 1200
            assert screen.progress.tasks[0].completed == 300
        seen.append(file.getvalue())
    assert "\x1b[32m  A -> AA  ok" in seen[0]
    assert seen[1] == "\n".join(lines[:3]) + "\n"


def test_docker_run_by_hand_as_the_documentation_has_it(image, tmp_path):
    blocks = re.findall(r"```\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    block = next(block for block in blocks if "mkdir" in block)
    data_folder(tmp_path / "data")
    script = block.replace("ahx-transformer:dev", image.name)
    assert script != block or image.name == "ahx-transformer:dev"
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert checkpoint.load_folder(tmp_path / "job" / "model").config["rule"] is None
    assert (tmp_path / "job" / "output" / "data" / "evaluation.json").is_file()
