"""Jobs on several machines (containers on one Docker network) and in several processes."""

import json
import time
import uuid

import pytest
from container_jobs import RULE, mounted, run_job

from ahx.model import checkpoint
from infra.run_local.runner import ContainerRunner
from opt_ml import config, failure
from opt_ml import tree as trees

HOSTS = ("algo-1", "algo-2")
JOB = RULE | {"max_steps": "40", "epoch_size": "320"}
ENDLESS = RULE | {"max_steps": "1000000", "num_epochs": "1000000", "eval_interval": "1000"}


@pytest.fixture
def network(image):
    name = f"ahx-test-{uuid.uuid4().hex[:12]}"
    assert image.docker("network", "create", name).returncode == 0
    yield name
    image.docker("network", "rm", name)


@pytest.fixture
def start(image, network, tmp_path):
    """Starts one host of a job; whatever happens, its container is gone afterwards."""
    jobs = []

    def start(host, hyperparameters, **environment):
        tree = trees.build(tmp_path / host, hyperparameters, {}, groups=[config.Group(hosts=HOSTS)], current_host=host)
        runner = ContainerRunner(image.name, network=network)
        jobs.append(runner.start(tree, {"OMP_NUM_THREADS": "1", "AHX_PEER_SECONDS": "60", **environment}))
        return jobs[-1]

    yield start
    for job in jobs:
        if job.is_running:
            job.kill()


def losses(tree):
    lines = (tree.output_data / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


def wait_until(happened):
    until = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_hosts_learn_what_one_learns(image, start, tmp_path):
    jobs = [start(host, JOB) for host in HOSTS]
    assert [job.wait(100) for job in jobs] == [0, 0], list(jobs[0].lines())
    alone = run_job(image, tmp_path / "alone", JOB)
    assert len(losses(alone.tree)) == 4
    assert losses(jobs[0].tree) == pytest.approx(losses(alone.tree), rel=1e-4)
    assert checkpoint.load_folder(jobs[0].tree.model).config["step"] == 40
    assert list(jobs[1].tree.model.iterdir()) == []  # the first host writes for all
    assert failure.read(jobs[1].tree) == ""


def test_hosts_go_on_from_the_first_ones_checkpoint(start):
    jobs = [start(host, JOB | {"checkpoint_interval": "0.1"}) for host in HOSTS]
    wait_until(lambda: any(jobs[0].tree.checkpoints.glob("step-*")))
    jobs[0].stop()
    assert [job.wait(100) for job in jobs] == [0, 0]
    stopped = checkpoint.load_folder(jobs[0].tree.model).config["step"]
    again = [start(host, JOB | {"checkpoint_interval": "0.1"}) for host in HOSTS]
    assert [job.wait(100) for job in again] == [0, 0]
    assert any(f"going on from step {stopped}" in line for line in again[0].lines())
    assert checkpoint.load_folder(again[0].tree.model).config["step"] == 40


def test_a_host_that_dies_fails_the_job_at_once(start):
    first, second = (start(host, ENDLESS, AHX_PEER_SECONDS="600") for host in HOSTS)
    wait_until(lambda: any(first.tree.checkpoints.glob("step-*")))
    second.kill()
    assert first.wait(60) == 1
    assert failure.reason(first.tree).startswith("another process of this run was lost or never came (")


def test_a_host_that_falls_silent_fails_the_job_after_a_while(image, start):
    first, second = (start(host, ENDLESS, AHX_PEER_SECONDS="20") for host in HOSTS)
    wait_until(lambda: any(first.tree.checkpoints.glob("step-*")))
    assert image.docker("pause", second.name).returncode == 0
    assert first.wait(90) == 1
    assert failure.reason(first.tree).startswith("another process of this run was lost or never came (")


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (
            "algo-1",
            "1 of 2 processes of this run have not come within 1 seconds; look for",
        ),
        ("algo-2", "the first process of this run cannot be reached at algo-1:29500 ("),
    ],
)
def test_a_host_that_never_comes(start, host, sentence):
    job = start(host, JOB, AHX_PEER_SECONDS="1")
    assert job.wait(60) == 1
    assert failure.reason(job.tree).startswith(sentence)


def test_two_processes_of_one_host_stop_together(image, tmp_path):
    tree = trees.build(tmp_path, ENDLESS, {})
    name = f"ahx-test-{uuid.uuid4().hex[:12]}"
    options = (*mounted(tree), "--env", "AHX_PROCESSES=2", "--detach", "--name", name)
    try:
        assert image.docker("run", *options, image.name, "train").returncode == 0
        wait_until(lambda: any(tree.checkpoints.glob("step-*")))
        image.docker("stop", "--time", "60", name)
        assert image.docker("wait", name).stdout.strip() == "0"
        assert "in 2 processes" in image.docker("logs", name).stdout
    finally:
        image.docker("rm", "--force", name)
    assert failure.read(tree) == ""
    assert checkpoint.load_folder(tree.model).config["step"] > 0
