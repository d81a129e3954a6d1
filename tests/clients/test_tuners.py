"""The tuners of SageMaker's SDKs, versions 2 and 3, with jobs as processes."""

import sys
from pathlib import Path
from typing import Any

import pytest
from clients_here import SCRIPTS, Run

PROGRAM = """
import json, os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
(base / "model/m").write_text(json.dumps(given))
print(f"loss={abs(float(json.loads(given['rate'])) - 0.1)};")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path / "program.py"


def test_version_2(aws: Any, role: str, bucket: str, script: Run, program: Path) -> None:
    assert "tuned sdk2-" in script("sdk2", "sdk2_tuner.py", role, bucket, "any", program)


def test_version_3(aws: Any, role: str, bucket: str, run: Run, program: Path) -> None:
    assert "tuned sdk3-" in run(sys.executable, SCRIPTS / "sdk3_tuner.py", role, bucket, "any", program)
