"""Error rates of single steps and their bounds, and runs of a model that is no good yet."""

from pathlib import Path

import pytest

from ahx.data.machines import Sizes
from ahx.data.programs import Runs
from ahx.evaluation.bounds import upper_bound
from ahx.evaluation.interpreting import judge_steps
from ahx.evaluation.trained import load_trained
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from entrypoints.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ti"
    run(
        Hyperparameters(
            rule="turing-interpreter; states=2; symbols=2",
            max_steps=3,
            epoch_size=48,
            val_samples=8,
            model_out=str(folder),
            device="cpu",
        )
    )
    return folder


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    assert upper_bound(0, 1000) == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-9)
    assert upper_bound(1, 10) == pytest.approx(0.394163, rel=1e-4)  # beta.ppf(0.95, 2, 9)
    assert upper_bound(7, 1_000_686) == pytest.approx(1.3140e-5, rel=1e-3)
    assert upper_bound(3, 3) == 1.0


def test_each_step_counts_once_and_a_mistake_is_shown(folder: Path) -> None:
    trained = load_trained(folder)
    report = judge_steps(trained, Sizes((2, 2), (2, 2)), Runs(2, 3, (2, 4)), 20, seed=0)
    assert report.steps == 20 * 2 * 3
    assert 0 < report.errors <= report.steps
    assert report.margin < 0
    assert report.errors / report.steps <= report.bound <= 1
    (mistake,) = report.mistakes
    assert trained.rule is not None
    assert trained.rule.apply(f"{mistake.program}|{mistake.before}") == mistake.expected != mistake.got


def test_the_command_says_where_the_model_goes_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["interpret", str(folder), "--machine", "1RB1LB_1LA1RZ"]
    assert main([*command, "--require-exact"]) == 1
    assert "wrong at step" in capsys.readouterr().out
    assert main(command) == 0
    assert main([*command, "--tape", "2"]) == 2
    assert "not '2'" in capsys.readouterr().err
