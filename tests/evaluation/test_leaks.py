"""What eval says of inputs that were trained on: from the model, whatever the files are called."""

import json
import random
from pathlib import Path

import pytest

from ahx.evaluation.leaks import LeakCounter
from ahx.evaluation.trained import load_trained
from ahx.model import checkpoint
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from entrypoints.main import main

SMALL = {"n_embd": 16, "n_head": 2, "max_steps": 2, "warmup_steps": 1, "threads": 1, "device": "cpu"}
SOUNDS = {"a": "AH0", "b": "B", "c": "K"}


def lines(n: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    words = ["".join(draw.choices("abc", k=16)) for _ in range(n)]
    return [f'"{word}",{" ".join(SOUNDS[letter] for letter in word)}\n' for word in dict.fromkeys(words)]


def leak(folder: Path, data: list[str]) -> float:
    trained = load_trained(folder, trusted=None)
    counter = LeakCounter(trained)
    for _ in counter.watch([tuple(line.strip().replace('"', "").split(",")) for line in data]):  # type: ignore[misc]
        pass
    assert counter.leak is not None
    return counter.leak.share


def test_a_model_knows_what_it_was_trained_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second, new = lines(200, 1), lines(200, 2), lines(200, 3)
    for name, rows in (("a_train.csv", first), ("a_val.csv", new), ("b_train.csv", second), ("b_val.csv", new)):
        (tmp_path / name).write_text("".join(rows))
    words = {**SMALL, "tokens": "characters,words"}
    run(Hyperparameters(infile=str(tmp_path / "a"), model_out=str(tmp_path / "one"), **words))
    assert (leak(tmp_path / "one", first), leak(tmp_path / "one", first[:50] + new[:50])) == (1.0, 0.5)
    run(
        Hyperparameters(
            infile=str(tmp_path / "b"), model_in=str(tmp_path / "one"), model_out=str(tmp_path / "two"), **words
        )
    )
    assert (leak(tmp_path / "two", first + second), leak(tmp_path / "two", new)) == (1.0, 0.0)
    assert checkpoint.SEEN in json.loads((tmp_path / "two" / "config.json").read_text())["sha256"]
    (tmp_path / "renamed.csv").write_text("word,sounds\n" + "".join(second[:30] + new[:10]))
    capfd.readouterr()
    assert main(["eval", "--model", str(tmp_path / "two"), "--data", str(tmp_path / "renamed.csv"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["samples"], found["leak"]["share"]) == (40, 0.75)


def test_short_strings_of_a_rule_were_drawn_in_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(Hyperparameters(rule="double_a", max_len=12, model_out=str(tmp_path / "m"), **{**SMALL, "max_steps": 100}))
    words = ["eval", "--model", str(tmp_path / "m"), "--num-samples", "500"]
    assert main([*words, "--min-len", "1", "--max-len", "2"]) == 0
    assert "of the inputs were drawn in training (strings of these lengths are few)" in capfd.readouterr().out
    assert main([*words, "--lengths", "2,40", "--json"]) == 0
    assert 0.3 < json.loads(capfd.readouterr().out)["leak"]["share"] < 0.5
