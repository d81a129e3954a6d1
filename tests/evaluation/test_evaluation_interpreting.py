"""Error rates of single steps and their bounds, and runs of a model that is hardly trained."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.turing_machines import Sizes
from ahx.data.tokenizer import Tokenizer
from ahx.evaluation import interpreting, step_errors
from ahx.evaluation.interpreting import judge_steps
from ahx.evaluation.step_errors import StepReport
from ahx.evaluation.trained import load_trained
from ahx.evaluation.writing import Written
from ahx.model.bounds import upper_bound
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
    trained = load_trained(folder, trusted=None)
    report = judge_steps(trained, Sizes((2, 2), (2, 2)), Runs(2, 3, (2, 4)), 20, seed=0)
    assert 20 * 2 < report.steps < 20 * 2 * 3  # a run ends with the first configuration that is written again
    assert 0 < report.errors <= report.steps
    assert report.margin < 0
    assert report.errors / report.steps <= report.bound <= 1
    (mistake,) = report.mistakes
    assert trained.rule is not None
    assert trained.rule.apply(f"{mistake.program}|{mistake.before}") == mistake.expected != mistake.got


def test_each_step_can_be_decoded_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = load_trained(folder, trusted=None)
    sizes, shape = Sizes((2, 2), (2, 2)), Runs(2, 3, (1, 4))

    def judged(decode: bool) -> StepReport:
        return judge_steps(trained, sizes, shape, 40, 3, n_mistakes=999, decode=decode)

    forced, decoded = judged(False), judged(True)
    assert 240 > decoded.steps == forced.steps == decoded.errors > 160  # this model has learnt nothing
    assert sorted(mistake[:3] for mistake in decoded.mistakes) == sorted(mistake[:3] for mistake in forced.mistakes)
    assert decoded.programs == forced.programs < 40  # there are few of two states and symbols, and some come up twice

    def right(_model: object, tokenizer: Tokenizer, prompts: list[list[int]], limits: list[int]) -> list[Written]:
        assert trained.rule is not None
        assert all(2 <= limit <= 40 for limit in limits)
        return [Written(trained.rule.apply(tokenizer.spell(p)), n > 0) for n, p in enumerate(prompts)]

    monkeypatch.setattr(step_errors, "write", right)
    assert judged(True).errors == 1  # the first one, which does not end


def test_eval_of_an_interpreter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--model", str(folder), "--lengths", "3,40", "--num-samples", "5", "--steps", "2"]
    assert main([*command, "--json", "--failures", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["states"], found["symbols"]) == ([2, 2], [2, 2])
    assert [row["min_len"] for row in found["by_length"]] == [3, 40]
    assert all(20 <= row["steps"] <= 40 for row in found["by_length"])  # four runs of five machines, up to two steps
    assert found["steps"] == sum(row["steps"] for row in found["by_length"])
    assert found["error_rate"] <= found["error_bound"] <= 1
    (failure,) = found["failures"]
    assert failure["expected"][failure["position"] :] != failure["got"][failure["position"] :]
    assert main([*command, "--require-exact"]) == 1
    out = capsys.readouterr().out
    assert "random machines of 2 states and 2 symbols, four runs of at most 2 steps each" in out
    assert "with 95 % confidence" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--states", "2-3"], "--states: write a number or two, such as 2-2"),
        (["--steps", "0"], "--steps: must be at least 1"),
        (["--max-len", "0"], "tapes of 0 to 0 cells"),
        (["--alphabet", "01"], "--alphabet is not for an interpreter"),
        (["--data", "da_val.txt"], "--data is not for an interpreter"),
    ],
)
def test_what_an_interpreter_cannot_be_asked(
    folder: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--model", str(folder), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_the_command_says_where_the_model_goes_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["interpret", str(folder), "--machine", "1RB1LB_1LA1RZ"]
    assert main(command) == 1
    assert "wrong at step" in capsys.readouterr().out
    assert main([*command, "--tape", "2"]) == 2
    assert "not '2'" in capsys.readouterr().err


def test_ctrl_c_tells_how_far_the_model_has_come(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(_trained: object, _program: str, _configuration: str) -> Iterator[str]:
        yield from ["01B0", "0A11"]
        os.kill(os.getpid(), signal.SIGINT)
        yield from ["B011"] * 1_000

    monkeypatch.setattr(interpreting, "interpret", endless)
    assert main(["interpret", str(folder), "--machine", "1RB1LB_1LA1RZ"]) == 130
    assert "stopped after 3 steps; " in capsys.readouterr().out


def test_a_run_is_drawn_as_far_as_it_is_right(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def three_steps(_trained: object, _program: str, configuration: str) -> Iterator[str]:
        assert configuration == "0A0"
        yield from ["01B0", "0A11", "B001"]  # the third one is wrong

    monkeypatch.setattr(interpreting, "interpret", three_steps)
    picture = tmp_path / "run.svg"
    command = ["interpret", str(folder), "--machine", "1RB1LB_1LA1RZ", "--show", "0"]
    assert main([*command, "--last", "9", "--picture", str(picture)]) == 1
    assert capsys.readouterr().out.splitlines()[-4:-1] == ["·A", "·1B", "·A1"]
    assert 'viewBox="0 0 3 3"' in picture.read_text("utf-8")
    assert main([*command, "--picture", "run.gif"]) == 2
    assert "'run.gif' is not the name of a picture" in capsys.readouterr().err
