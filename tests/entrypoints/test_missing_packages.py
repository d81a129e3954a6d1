"""What is not installed is named in one sentence, with the command that installs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

# As if the package had never been installed.
WITHOUT = "import sys; sys.modules[sys.argv[1]] = None; from entrypoints.main import main; sys.exit(main(sys.argv[2:]))"


@pytest.mark.parametrize(
    ("package", "extra", "line"),
    [
        ("boto3", "cloud", "infra plan"),
        ("boto3", "cloud", "jobs list --on sagemaker"),
        ("boto3", "cloud", "sweep --name s --on sagemaker --rule copy"),
        ("boto3", "cloud", "eval --model s3://bucket/model"),
        ("boto3", "cloud", "gen-data --rule copy s3://bucket/data"),
        ("moto", "embedded", "aws --port 0"),
        ("sagemaker", "sagemaker", "launch --local-mode --rule copy"),
    ],
)
def test_a_missing_package_is_one_command_away(package: str, extra: str, line: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *line.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.fullmatch(rf"ahx: error: .*; run: pip install 'ahx-transformer\[{extra}\]'\n", done.stderr)


def test_a_tracker_without_its_package_is_refused_before_training(tmp_path: Path) -> None:
    line = "train --rule copy --track mlflow:http://127.0.0.1:1"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "mlflow", *line.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "needs the package mlflow, which is not installed; run: pip install 'ahx-transformer[mlflow]'" in done.stderr
    assert not list(tmp_path.rglob("checkpoints"))
