"""SIGTERM and SIGKILL at moments of a job in the real container: a second start ends with the same bits."""

import shutil
import time
import uuid

import pytest
from container_jobs import RULE, mounted, run_job

from ahx.model import checkpoint
from opt_ml import failure
from opt_ml import tree as trees
from opt_ml.paths import OptMl

LONG = RULE | {"max_steps": "120", "checkpoint_interval": "2", "eval_interval": "10", "dropout": "0.1"}
_PATIENCE = 60.0


@pytest.fixture(scope="module")
def uninterrupted(image, tmp_path_factory) -> bytes:
    """The weights that the job ends with when nothing happens to it."""
    ended = run_job(image, tmp_path_factory.mktemp("whole") / "job", LONG)
    assert ended.code == 0, ended.log
    return (ended.tree.model / checkpoint.WEIGHTS).read_bytes()


@pytest.fixture
def container(image):
    """Starts jobs in the background; whatever happens, they are gone afterwards."""
    names: list[str] = []

    def start(tree: OptMl, *options: str) -> str:
        names.append(f"ahx-test-{uuid.uuid4().hex[:12]}")
        done = image.docker("run", "--detach", "--name", names[-1], *mounted(tree), *options, image.name, "train")
        assert done.returncode == 0, done.stderr
        return names[-1]

    yield start
    for name in names:
        image.docker("rm", "--force", name)


def wait_until(happened) -> None:
    until = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


MOMENTS = {
    "at once": lambda tree: True,
    "start": lambda tree: tree.failure.exists(),  # Python has started, torch is not imported yet
    "first checkpoint": lambda tree: any(tree.checkpoints.glob("*")),
    "in training": lambda tree: len(list(tree.checkpoints.glob("step-*"))) >= 3,
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_a_signal_at_any_moment(image, container, uninterrupted, tmp_path, moment, name):
    tree = trees.build(tmp_path / "job", LONG, {})
    running = container(tree)
    wait_until(lambda: MOMENTS[moment](tree))
    image.docker("kill", "--signal", name, running)
    code = int(image.docker("wait", running).stdout)
    if name == "TERM":
        assert code == 0, image.docker("logs", running).stdout
        assert failure.read(tree) == ""
        assert checkpoint.load_folder(tree.model).config["step"] < 120
    else:
        assert code == 137
    # A job that is started again finds its checkpoints, and nothing else.
    for lost in (tree.model, tree.output):
        shutil.rmtree(lost, ignore_errors=True)
    again = image.run(options=mounted(trees.build(tree.base, LONG, {})))
    assert again.returncode == 0, again.stderr
    assert (tree.model / checkpoint.WEIGHTS).read_bytes() == uninterrupted
    evaluated = [line for line in (tree.output_data / "metrics.jsonl").read_text().splitlines() if '"step"' in line]
    assert len(evaluated) == 6
