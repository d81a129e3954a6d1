"""Interpreters of string rules from training to evaluation: one trained enough, one hardly trained."""

import json
from pathlib import Path

import pytest

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.string_programs import Sizes
from ahx.evaluation.interpreting import interpret, judge_steps
from ahx.evaluation.trained import load_trained
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from entrypoints.main import main


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of small substitutions."""
    folder = tmp_path_factory.mktemp("runs") / "si"
    rule = "substitution-interpreter; letters=3; rules=2"
    settings = {"num_epochs": 3, "epoch_size": 640, "max_len": 6, "val_samples": 20, "threads": 1, "device": "cpu"}
    run(Hyperparameters.model_validate({"rule": rule, "model_out": str(folder), **settings}))
    return folder


@pytest.fixture(scope="module")
def unlearnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of Markov algorithms that is untrained."""
    folder = tmp_path_factory.mktemp("runs") / "mi"
    rule = "markov-interpreter; letters=3; rules=2"
    settings = {"max_steps": 3, "epoch_size": 48, "val_samples": 8, "model_out": str(folder), "device": "cpu"}
    run(Hyperparameters.model_validate({"rule": rule, **settings}))
    return folder


def test_substitutions_never_seen_are_followed_at_ten_times_the_length(learnt: Path) -> None:
    report = judge_steps(load_trained(learnt, trusted=None), Sizes(), Runs(2, 2, (60, 60)), 100, seed=0)
    assert report.steps == 400
    assert report.errors == 0, report.mistakes


def test_a_run_is_written_token_by_token(learnt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = load_trained(learnt, trusted=None)
    written = interpret(trained, "B->A,A->AB,", "A")  # Fibonacci words
    assert [next(written) for _ in range(5)] == ["AB", "ABA", "ABAAB", "ABAABABA", "ABAABABAABAAB"]
    command = ["interpret", str(learnt), "--program", "A->AB,B->,", "--tape", "CAB", "--require-exact"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "halted after 1 step: nothing changes CAB" in out or "halted after 0 steps" in out
    assert "ones on the tape" not in out


def test_eval_draws_programs_of_strings(unlearnt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--model", str(unlearnt), "--num-samples", "6", "--rules", "2"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps"], found["letters"], found["rules"]) == (6 * 4 * 2, [2, 3], [2, 2])
    assert main([*command, "--decode"]) == 0
    assert "random Markov algorithms of 2-3 letters and 2 rules, four runs of at most 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["interpret", "--machine", "1RB1LB_1LA1RZ"], "--machine: this model follows rules of strings"),
        (["interpret", "--program", "ABC->,"], "up to 2 letters"),
        (
            ["eval", "--states", "2-3"],
            "not for Markov algorithms; the sizes here are --letters and --rules",
        ),
        (["eval", "--rules", "3"], "--rules: write a number or two, such as 1-2, from 1 to 2 (got '3')"),
    ],
)
def test_what_it_cannot_be_told(
    unlearnt: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *rest = words
    assert main([verb, *(["--model"] if verb == "eval" else []), str(unlearnt), *rest]) == 2
    assert sentence in capsys.readouterr().err
