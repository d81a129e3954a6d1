"""SageMaker's own SDKs, versions 2 and 3, with jobs as processes and as containers."""

import sys
from pathlib import Path
from typing import Any

import pytest
from clients_here import SCRIPTS, Run
from docker_missing import unavailable
from small_image import docker

BASE = "python:3.11-slim-bookworm"


@pytest.fixture
def base(containers: Any) -> str:
    """An image with a shell and a Python, such as people train in."""
    if docker("image", "inspect", BASE).returncode != 0:
        unavailable(f"there is no image {BASE}; `docker pull` it, or make it: container/base_image.sh")
    return BASE


def test_version_2_with_processes(aws: Any, role: str, bucket: str, script: Run) -> None:
    told = script("sdk2", "sdk2_estimator.py", role, bucket, "any", "fails")
    assert "A -> AA" in told
    assert "AlgorithmError: , exit code: 3" in told


def test_version_2_with_containers(base: str, role: str, bucket: str, script: Run) -> None:
    assert "A -> AA" in script("sdk2", "sdk2_estimator.py", role, bucket, base)


def test_version_3_with_containers(base: str, role: str, bucket: str, run: Run, tmp_path: Path) -> None:
    told = run(sys.executable, SCRIPTS / "sdk3_trainer.py", role, bucket, base, tmp_path)
    assert "layers 3" in told


def test_version_3_with_processes_is_refused(aws: Any, role: str, bucket: str, run: Run, tmp_path: Path) -> None:
    told = run(sys.executable, SCRIPTS / "sdk3_trainer.py", role, bucket, "any", tmp_path, code=1)
    assert "run as processes of this machine here, and this one needs a container: its command names /opt/ml." in told
