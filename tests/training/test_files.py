"""Runs on data files: how long they are, which model is kept, and when they are resumed."""

import json
from pathlib import Path

import pytest

from ahx.errors import InputError
from ahx.evaluation.samples import lines_of
from ahx.evaluation.trained import load_trained
from ahx.model import checkpoint
from ahx.training import loop, time_limit
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from ahx.training.schedule import FLOOR, planned_steps, scale

SMALL = {
    "n_embd": 16, "n_head": 2, "n_layer": 1, "pos": "rope", "threads": 1, "device": "cpu", "warmup_steps": 2,
    "batch_size": 8,
}  # fmt: skip


@pytest.fixture
def infile(tmp_path: Path) -> str:
    """The sum of the digits of some numbers."""
    lines = [f"{n},{sum(map(int, str(n)))}\n" for n in range(1, 1000, 7)]
    for part, share in (("train", lines[::2]), ("val", lines[1::2])):
        (tmp_path / f"sum_{part}.txt").write_text("".join(share))
    return str(tmp_path / "sum")


def settings(infile: str, folder: Path, **others: object) -> Hyperparameters:
    return Hyperparameters.model_validate({**SMALL, "infile": infile, "model_out": str(folder), **others})


def test_a_model_remembers_the_names_of_columns(tmp_path: Path) -> None:
    train, other = tmp_path / "train.csv", tmp_path / "other.csv"
    train.write_text("number,same\n" + "".join(f"{n},{n}\n" for n in range(30)))
    other.write_text("same,number\n1,2\n")
    run(settings(str(train), tmp_path / "run", max_steps=1, warmup_steps=0), quiet=True)
    trained = load_trained(tmp_path / "run", trusted=None)
    assert list(lines_of(trained, [other])) == [("2", "1")]
    assert list(lines_of(trained, [other], columns="1,2")) == [("1", "2")]


def test_the_learning_rate_falls_with_steps_or_time_whichever_is_further() -> None:
    assert scale(50, 100, 0, "cosine") == scale(50, 100, 0, "cosine", 0.4)
    assert scale(50, 100, 0, "cosine", 0.6) == scale(60, 100, 0, "cosine")
    assert scale(50, 10**18, 0, "linear", 1.2) == FLOOR


@pytest.mark.parametrize(
    ("limits", "steps", "sentence"),
    [
        ({"max_steps": 7}, 7, ""),
        ({"num_epochs": 3, "max_seconds": 5}, 30, ""),
        ({}, 2_000, "200 epochs of 10 steps"),
        ({"max_seconds": 5}, 10**18, "as many epochs of 10 steps as 5 seconds allow"),
    ],
)
def test_the_number_of_epochs_of_a_file(limits: dict[str, object], steps: int, sentence: str) -> None:
    planned = planned_steps(Hyperparameters.model_validate({"infile": "x", **limits}), 10)
    assert (planned[0], planned[1][: len(sentence)]) == (steps, sentence)


def test_time_brings_the_learning_rate_to_its_end(infile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rates = [0.0], []
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])
    real = loop.scale

    def scale_of_a_slow_step(*arguments: object) -> float:
        clock[0] += 1.0
        rates.append(real(*arguments))  # type: ignore[arg-type]
        return rates[-1]

    monkeypatch.setattr(loop, "scale", scale_of_a_slow_step)
    outcome = run(settings(infile, tmp_path / "run", max_seconds=40))
    assert outcome.reason.startswith("reached 40 seconds")
    assert outcome.step == 40
    assert rates[2] > 0.9
    assert rates[-1] < 0.02
    assert 10 <= len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) <= 21


def test_the_time_of_a_job_counts_only_once_it_gets_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(time_limit.MAX_RUNTIME, "100")
    limit = time_limit.TimeLimit(None, None)
    assert limit.used(9.0) <= 0 < limit.used(50.0) < 0.5
    assert limit.used(95.0) >= 1
    assert time_limit.TimeLimit(40.0, None).used(10.0) == pytest.approx(0.25)


def worse_at_the_end(monkeypatch: pytest.MonkeyPatch, exact: list[float]) -> None:
    """Make evaluations see these shares of right answers, one after the other."""
    shares = iter(exact)
    real = loop.metrics_of
    monkeypatch.setattr(loop, "metrics_of", lambda scores: {**real(scores), "val_exact": next(shares)})


def test_the_model_with_the_most_right_answers_is_kept(
    infile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worse_at_the_end(monkeypatch, [0.1, 0.3, 0.2, 0.2])
    outcome = run(settings(infile, tmp_path / "run", max_steps=36, eval_interval=1, keep_checkpoints=1))
    assert (outcome.step, outcome.metrics["step"]) == (36, 18)
    kept, best = checkpoint.load(tmp_path / "run"), checkpoint.load_folder(tmp_path / "run/checkpoints/step-00000018")
    assert (kept.folder, kept.config["metrics"]["val_exact"]) == (tmp_path / "run", 0.3)
    for name, weights in kept.model.state_dict().items():
        assert weights.equal(best.model.state_dict()[name])
    last = capsys.readouterr().out.splitlines()[-1]
    assert "kept is the best model, that of step 18 (the last one: 20.00%), 30.00% of validation exact" in last


def test_a_resumed_run_knows_the_best_so_far(infile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse_at_the_end(monkeypatch, [0.3, 0.2, 0.2, 0.2])
    run(settings(infile, tmp_path / "run", max_steps=18, eval_interval=1))
    (tmp_path / "run" / "checkpoints" / checkpoint.BEST).unlink()
    outcome = run(settings(infile, tmp_path / "run", max_steps=36, eval_interval=1, resume=True, keep_checkpoints=1))
    assert (outcome.step, outcome.metrics["step"]) == (36, 9)


def test_training_ends_when_it_gets_no_better(infile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse_at_the_end(monkeypatch, [0.1, 0.3, 0.2, 0.2, 0.4])
    outcome = run(settings(infile, tmp_path / "run", max_steps=100, eval_interval=1, patience=2))
    assert outcome.reason.startswith("no better validation in 2 evaluations")
    assert outcome.step == 36


def test_training_on_a_file_ends_when_all_validation_lines_are_right(tmp_path: Path) -> None:
    (tmp_path / "copy_train.txt").write_text("".join(f"{n},{n}\n" for n in range(100, 200)))
    (tmp_path / "copy_val.txt").write_text("".join(f"{n},{n}\n" for n in range(101, 131)))
    outcome = run(
        settings(
            str(tmp_path / "copy"), tmp_path / "run", pos="auto", n_embd=32, max_steps=2_000, until_exact=10**6,
            eval_interval=4,
        )
    )  # fmt: skip
    assert outcome.reason == "all of 30 validation lines are exact"
    assert outcome.step < 2_000


def test_a_resumed_run_with_more_time_keeps_its_size(infile: str, tmp_path: Path) -> None:
    own = {name: value for name, value in SMALL.items() if name not in ("n_embd", "batch_size")}
    limited = {**own, "infile": infile, "model_out": str(tmp_path / "run"), "max_steps": 4, "max_seconds": 100}
    run(Hyperparameters.model_validate(limited))
    run(Hyperparameters.model_validate({**limited, "max_steps": 6, "max_seconds": 200, "resume": True}))
    saved = checkpoint.load(tmp_path / "run")
    assert (saved.config["step"], saved.model.config.n_embd) == (6, 48)
    assert saved.config["chosen"] == {"n_embd": 48, "batch_size": 32, "muon_learning_rate": 0.02}


def test_a_run_is_not_resumed_on_other_lines(infile: str, tmp_path: Path) -> None:
    run(settings(infile, tmp_path / "run", max_steps=4))
    run(settings(infile, tmp_path / "run", max_steps=4, resume=True))
    lines = Path(f"{infile}_train.txt")
    lines.write_text("".join(sorted(lines.read_text("utf-8").splitlines(keepends=True))), "utf-8")
    with pytest.raises(InputError, match="the lines of the data files have changed"):
        run(settings(infile, tmp_path / "run", max_steps=8, resume=True))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["step"] == 4
