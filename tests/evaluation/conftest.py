"""Small models: one that is right, and imperfect ones, of both kinds of position scheme."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ahx.evaluation.judging import judge
from ahx.evaluation.samples import Series, draw
from ahx.evaluation.trained import Trained, load_trained
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from entrypoints.main import main

Ahx = Callable[..., tuple[int, str, str]]

SMALL = {
    "rule": "A -> AA, B -> ; alphabet=ABC", "n_embd": 32, "n_head": 2, "max_len": 6, "max_steps": 60,
    "epoch_size": 1920, "val_samples": 50, "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def ahx(capsys: pytest.CaptureFixture[str]) -> Ahx:
    """Runs a command line: (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt A -> AA, B -> nothing, over ABC, with inputs of 1 to 6 symbols."""
    folder = tmp_path_factory.mktemp("runs") / "right"
    run(Hyperparameters.model_validate({**SMALL, "model_out": str(folder)}))
    return folder


@pytest.fixture(scope="session")
def learned_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with learned positions: far from trained, for at most block_size tokens."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    hyperparameters = {**SMALL, "pos": "learned", "alphabet": "AC", "max_len": 4, "model_out": str(folder)}
    run(Hyperparameters.model_validate(hyperparameters))
    return folder


@pytest.fixture(scope="session")
def trained(folder: Path) -> Trained:
    return load_trained(folder, trusted=None)


def noisy(trained: Trained, amount: float) -> Trained:
    """The same model with random errors in the weights of its head, so that it is right only now and then."""
    model = copy.deepcopy(trained.model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        weight = model.head.weight_FC
        weight += amount * weight.std() * torch.randn(weight.shape, generator=generator)
    return dataclasses.replace(trained, model=model)


@pytest.fixture(scope="session")
def imperfect(trained: Trained) -> Trained:
    """Damaged just so much that some outputs are wrong, and some of these still end."""
    assert trained.rule is not None
    pairs = list(draw(trained.rule, "ABC", Series(1, 6, 400), seed=3))
    for noise in (2.5, 3.0, 3.5, 4.0, 5.0, 6.0):
        damaged = noisy(trained, noise)
        verdicts = judge(damaged, pairs)
        if sum(verdict.reason == "wrong" for verdict in verdicts) >= 5 and any(verdict.right for verdict in verdicts):
            return damaged
    raise AssertionError("no amount of noise makes this model imperfect")


@pytest.fixture(scope="session")
def imperfect_learned(learned_folder: Path) -> Trained:
    return load_trained(learned_folder, trusted=None)
