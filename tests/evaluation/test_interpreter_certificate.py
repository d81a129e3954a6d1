"""A model that follows every machine: proved, verified, and refused when a weight is damaged so that it errs."""

import copy
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.turing_machines import Sizes
from ahx.data.programs.writers import writer_of
from ahx.errors import AhxError, InputError
from ahx.evaluation.trained import Trained, load_trained
from ahx.evaluation.verification import verify
from ahx.model import checkpoint
from ahx.model.interpreter_certificate import InterpreterCheck, InterpreterChecker
from ahx.model.program_function import ProgramFunction
from ahx.model.scoring import score
from ahx.model.transformer import Transformer
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter
from ahx.training.data import prepare
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from ahx.training.run_paths import RunPaths
from entrypoints.main import main

pytestmark = pytest.mark.slow

SMALL = {
    "rule": "turing-interpreter; states=2; symbols=2", "certify": True, "n_embd": 48, "max_steps": 300,
    "val_samples": 50, "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ti"
    run(Hyperparameters.model_validate({**SMALL, "model_out": str(folder)}))
    return folder


@pytest.fixture(scope="module")
def learnt(folder: Path) -> Trained:
    return load_trained(folder, trusted=None)


@pytest.fixture(scope="module")
def checker(learnt: Trained) -> InterpreterChecker:
    assert isinstance(learnt.rule, TuringInterpreter)
    return InterpreterChecker(learnt.rule, learnt.tokenizer)


def least_lead(learnt: Trained, model: Transformer, n: int = 300) -> float:
    """Of the right tokens in runs of random machines, on tapes of one to twenty cells."""
    assert isinstance(learnt.rule, TuringInterpreter)
    writer, rng, marks = writer_of(learnt.rule, learnt.tokenizer), np.random.default_rng(7), learnt.tokenizer
    rows = []
    for lengths in ((1, 6), (20, 20)):
        machines = writer.draw(rng, n, Sizes((2, 2), (2, 2), (0.0, 0.6)), testing=False)
        rows += writer.rows(rng, machines, Runs(2, 6, lengths))
    return score(model, rows, marks.separator, marks.configuration).margin


def test_the_certificate_holds(folder: Path, learnt: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = json.loads((folder / checkpoint.CERTIFICATE).read_text())
    assert certificate["certified"]
    assert certificate["machine"] == {"states": 2, "symbols": 2}
    assert certificate["questions"]["right"] == certificate["questions"]["all"] > 7000
    assert certificate["least_lead"] >= 3
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("\ncertified\n")
    assert "ahx interpret . --machine" in (folder / "README.md").read_text()


def test_no_run_leads_by_less_than_the_certificate_says(learnt: Trained, checker: InterpreterChecker) -> None:
    check = checker(learnt.model)
    assert check.lead - 0.01 < least_lead(learnt, learnt.model) < check.lead + 2


def test_no_damaged_model_that_errs_is_certified(learnt: Trained, checker: InterpreterChecker) -> None:
    """Single weights and rows, changed more and more until some run goes wrong."""
    rng, refused = np.random.default_rng(1), 0
    names = [name for name, weight in learnt.model.named_parameters() if weight.dim() == 2]
    for name in rng.choice(names, 8, replace=False):
        direction = torch.zeros_like(learnt.model.get_parameter(name))
        row, column = (int(rng.integers(size)) for size in direction.shape)
        if rng.random() < 0.5:
            direction[row, column] = 1.0
        else:
            direction[row] = torch.from_numpy(rng.standard_normal(direction.shape[1]))
        for strength in 2.0 ** np.arange(-2, 8):
            damaged = copy.deepcopy(learnt.model)
            with torch.no_grad():
                damaged.get_parameter(name).add_(direction * strength)
            check, lead = checker(damaged), least_lead(learnt, damaged, 60)
            assert lead > 0 or not check.complete
            assert not lead < check.lead - 0.01  # either may be NaN
            if lead <= 0:
                refused += 1
                break
    assert refused >= 4


def test_verify_notices_what_was_edited(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied, ignore=shutil.ignore_patterns(checkpoint.CHECKPOINTS))
    path = copied / checkpoint.CERTIFICATE
    certificate = json.loads(path.read_text())
    path.write_text(json.dumps({**certificate, "least_gap": 99.0, "contexts": 7}))
    complaints = verify(load_trained(copied, trusted=None)).complaints
    assert [complaint.partition(":")[0] for complaint in complaints] == ["contexts", "least_gap"]


def test_a_model_that_fails_is_shown_with_a_machine_and_a_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ahx.training.run.LEAST", 1)
    with pytest.raises(AhxError, match=r"not certified: .* of .* questions right") as failed:
        run(Hyperparameters.model_validate({**SMALL, "max_steps": 20, "model_out": str(tmp_path)}))
    assert not verify(load_trained(tmp_path, trusted=None)).certified
    options = re.search(r"ahx interpret RUN --program '(.+)' --tape (\S+) --steps (\d+)", str(failed.value))
    assert options is not None
    program, tape, steps = options.groups()
    words = ["interpret", str(tmp_path), "--program", program, "--tape", tape, "--steps", steps, "--require-exact"]
    assert main(words) == 1


def test_substitutions_are_certified_too_and_a_model_that_errs_is_not(tmp_path: Path) -> None:
    changed = {"rule": "substitution-interpreter; letters=3; rules=3", "max_steps": 60, "model_out": str(tmp_path)}
    run(Hyperparameters.model_validate({**SMALL, **changed}))
    learnt = load_trained(tmp_path, trusted=None)
    check = verify(learnt).check
    assert verify(learnt).certified
    assert isinstance(check, InterpreterCheck)
    rule, marks, rng = learnt.rule, learnt.tokenizer, np.random.default_rng(1)
    assert isinstance(rule, SubstitutionInterpreter)
    checker, writer, refused = InterpreterChecker(rule, marks), writer_of(rule, marks), 0
    rows = writer.rows(rng, writer.draw(rng, 300, writer.usual, testing=False), Runs(2, 2, (1, 12)))
    assert check.lead - 0.01 < score(learnt.model, rows, marks.separator, marks.configuration).margin
    for name in ("tokens.weight_FC", "blocks.0.attention.out.weight", "blocks.1.attention.qkv.weight"):
        weight = learnt.model.get_parameter(name).detach()
        direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * weight.std()
        for strength in (0.25, 0.5, 1.0, 2.0):
            damaged = copy.deepcopy(learnt.model)
            with torch.no_grad():
                damaged.get_parameter(name).add_(direction * strength)
            if score(damaged, rows, marks.separator, marks.configuration).margin <= 0:
                assert not checker(damaged).complete
                refused += 1
    assert refused >= 3


def test_other_heads_are_no_function_of_a_context(learnt: Trained, checker: InterpreterChecker) -> None:
    other = Transformer(learnt.model.config)
    object.__setattr__(other, "config", copy.copy(learnt.model.config))
    object.__setattr__(other.config, "heads", ("sccc", "ccpp"))
    with pytest.raises(InputError, match=r"heads sccc/ccpp cannot be certified"):
        ProgramFunction(other, checker.task)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"rule": "markov-interpreter"}, "has no proof yet"),
        ({"rule": "substitution-interpreter", "heads": "sccc/pppp"}, "must be c, then p"),
        ({"n_layer": 1}, "an interpreter has two layers"),
        ({"heads": "sccc/ccpp"}, "must be s and c, then p"),
        ({"precision": "bfloat16"}, "float32"),
    ],
)
def test_what_cannot_be_certified(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Hyperparameters.from_json({**SMALL, **changed})


def test_machines_that_ask_too_much_are_refused_before_training(tmp_path: Path) -> None:
    large = Hyperparameters.from_json(
        {**SMALL, "rule": "turing-interpreter; states=16; symbols=6", "model_out": str(tmp_path)}
    )
    with pytest.raises(InputError, match="16 states and 6 symbols ask too many questions"):
        prepare(large, RunPaths.of(large))
