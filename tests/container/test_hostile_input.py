"""Hostile archives and models, on the Python of the image, which is older than others."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = "/opt/ahx/bin/python"


@pytest.mark.parametrize("script", ["hostile_archives.py", "hostile_models.py"])
def test_the_image_s_python_refuses_them(image, script):
    mounts = [f"type=bind,source={ROOT / name},target=/{name},readonly" for name in ("src", "tests")]
    options = [word for mount in mounts for word in ("--mount", mount)]
    options += ["--network", "none", "--env", "PYTHONPATH=/src", "--env", "OMP_NUM_THREADS=1", "--entrypoint", PYTHON]
    done = image.run(f"/tests/{script}", options=tuple(options))
    assert (done.returncode, done.stdout.partition("\n")[0]) == (0, "Python 3.11.2"), done.stdout + done.stderr
