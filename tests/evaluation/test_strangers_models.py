"""A model that names Python code as its rule, used in its own folder: nothing is executed unless the user names it."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_models import MODULE, edit, sound

from entrypoints.main import main

RULE = f"{MODULE}:rule"
REFUSED = f"the model names the Python function {RULE} as its rule, and what a model names is not run unasked; add --t"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = sound(tmp_path / "model")
    edit(rule=RULE)(folder)
    monkeypatch.chdir(folder)
    yield folder
    sys.modules.pop(MODULE, None)


def ran(folder: Path) -> bool:
    return (folder / "imported").exists() or MODULE in sys.modules


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("plain", "eval --model ."),
        ("plain", "eval --model . --lengths 3 --num-samples 3"),
        ("plain", "eval --model . --trust-rule os:getcwd"),
        ("plain", f"eval --model . --trust-rule {MODULE}:other"),
        ("machine", "eval --model . --data ../data.txt"),
        ("machine", "interactive --model ."),
        ("queue", "exec ."),
        ("queue", "verify ."),
        ("program", "interpret . --machine 1RB1LB_1LA1RZ"),
        ("program", "eval --model ."),
    ],
)
def test_its_rule_is_refused(model: Path, kind: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit(teacher={"kind": kind})(model)
    (model.parent / "data.txt").write_text("AB,AB\n")
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"ahx: error: {REFUSED}"), err.count("\n")) == ("", True, 1)
    assert not ran(model)


@pytest.mark.parametrize(
    "words",
    [
        "eval --model . --data ../data.txt",
        "eval --model . --rule double_a --max-len 3 --num-samples 3",
        "interactive --model .",
        "train --rule double_a --model-in . --model-out ../new --max-steps 2 --warmup-steps 1",
        "train --rule double_a --resume --model-out ../run --max-steps 2 --warmup-steps 1",
    ],
)
def test_what_does_not_need_its_rule_does_not_run_it(
    model: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (model.parent / "data.txt").write_text("AB,AB\n")
    (model.parent / "run" / "checkpoints").mkdir(parents=True)
    (model.parent / "run" / "checkpoints" / "step-00000003").symlink_to(model)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"AB\n"), encoding="utf-8"))
    main(words.split())  # an untrained model of another rule: some of these end with a sentence about that
    said = capsys.readouterr().err
    assert "not run unasked" not in said
    assert "this is a bug" not in said
    assert not ran(model)


@pytest.mark.parametrize("option", ["--trust-rule", "--rule"])
def test_what_is_typed_is_run(model: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--model", ".", option, RULE, "--num-samples", "3"]) == 0
    assert f"fresh samples of '{RULE}'" in capsys.readouterr().out
    assert ran(model)
