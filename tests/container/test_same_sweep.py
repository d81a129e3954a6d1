"""The same sweep on three kinds of place gives the same leaderboard and the same weights, bit by bit."""

import json

import pytest

from entrypoints.main import main

FILE = """
name = "same"
max_parallel = 2

[hyperparameters]
infile = "data/da"
max_steps = 6
val_samples = 200

[grid]
learning_rate = [1e-3, 3e-3, 4e-3]
"""


@pytest.fixture
def stack(aws, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["infra", "apply", "--yes", "--adopt"]) == 0
    yield
    assert main(["infra", "destroy", "--yes", "--delete-data"]) == 0


def leaderboard(on, image, capsys):
    """The ranking: configuration, exact match, steps, SHA-256 of the weights."""
    options = ["--image", image.name] if on == "docker" else []
    assert main(["sweep", "same.toml", "--on", on, "--folder", on, "--json", *options]) == 0
    capsys.readouterr()
    assert main(["jobs", "collect", "same", "--on", on, "--folder", on, "--to", f"models-{on}", "--json"]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert len({job["metrics"]["val_exact"] for job in jobs}) == 3, "ties would be broken by the clock"
    for job in jobs:
        assert main(["jobs", "logs", job["name"], "--on", on, "--folder", on, "--json"]) == 0
        lines = json.loads(capsys.readouterr().out)["lines"]
        assert [line for line in lines if line.startswith("step=6;")], lines
    return [(job["config"], job["metrics"]["val_exact"], job["metrics"]["step"], job["sha256"]) for job in jobs]


def test_processes_containers_and_the_embedded_aws_agree(image, stack, tmp_path, capsys):
    (tmp_path / "same.toml").write_text(FILE)
    assert main(["gen-data", "--rule", "double_a", "--num-samples", "2000", "--max-len", "12", "data/da"]) == 0
    capsys.readouterr()
    here = leaderboard("process", image, capsys)
    assert leaderboard("embedded", image, capsys) == here
    assert leaderboard("docker", image, capsys) == here
