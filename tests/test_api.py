"""The Python interface: the examples of docs/python.md run, and what a caller's process keeps."""

import doctest
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import ahx
from ahx import Model, load, rules, train
from ahx.errors import AhxError, InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model() -> Model:
    return train("double_a", until_exact=1_000, quiet=True)


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False, encoding="utf-8")
    assert tried > 15
    assert failed == 0


def test_only_what_is_used_is_imported() -> None:
    script = "import sys, ahx; ahx.rules.parse_rule('A -> AA').apply('ABA'); print('torch' in sys.modules, dir(ahx))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
    assert "train" in done.stdout


def test_training_in_a_thread_changes_nothing_of_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    trained: list[Model] = []
    # In a thread, installing a handler of signals would raise ValueError.
    thread = threading.Thread(target=lambda: trained.append(train("copy", max_steps=2, quiet=True, threads=1)))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == 2
    assert trained[0].history[-1]["step"] == 2
    assert capfd.readouterr() == ("", "")
    folder = trained[0].folder
    assert folder.exists()
    trained.clear()
    assert not folder.exists()


def test_attention_of_every_scheme_and_kind_of_head(model: Model) -> None:
    for pos in ("coupled", "learned", "rope", "alibi"):
        seen = train("copy", pos=pos, max_steps=2, block_size=200, quiet=True).attention("AB")
        layers, heads, queries, keys = seen.weights.shape
        assert (layers, heads) == (2, 4)
        assert queries == keys == len(seen.tokens) == len(seen.cursor)
        np.testing.assert_allclose(seen.weights.sum(3), 1, rtol=1e-5)
        assert np.triu(seen.weights, 1).max() == 0  # nothing later is seen
        assert (seen.cursor[0] is None) == (pos != "coupled")
    seen = load("turing-interpreter").attention("B0:1LA,A0:1RB,B1:1RZ,A1:1LB,|0A0")
    assert seen.heads[1] == "pppp"
    assert seen.weights[1, :, -1, 10:].max() == 0  # these heads see the program alone


def test_attention_is_that_of_what_decoding_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    half = train("double_a", max_steps=9, quiet=True)
    texts = ["A", "AB", "ABBA", "BABABBAAB", "ABAABABAABBABABA"]
    proved = [half.attention(text) for text in texts]
    right = [rules.parse_rule("double_a").apply(text) == one.output for text, one in zip(texts, proved, strict=True)]
    assert set(right) == {True, False}
    monkeypatch.setattr("ahx.evaluation.attention._right_answer", lambda *_: [])
    assert [one.tokens for one in proved] == [half.attention(text).tokens for text in texts]


def test_a_model_is_saved_with_its_history(model: Model, tmp_path: Path) -> None:
    again = load(model.save(tmp_path / "kept"))
    assert again.history == model.history
    assert again.curve == model.curve
    assert again("ABBA") == model("ABBA") == "AABBAA"
    again.save(tmp_path / "kept")  # onto itself
    train("copy", max_steps=1, quiet=True).save(tmp_path / "kept")
    assert load(tmp_path / "kept").rule == "copy"
    assert load(tmp_path / "kept" / "earlier.1")("A") == "AA"


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda model: train(), "rule: nothing to learn yet; give a rule"),
        (lambda model: train("double_a", n_layer="two"), "n_layer: must be a whole number from 1 to 1,000"),
        (lambda model: model.evaluate(lengths=[1.5]), "'1.5' is not a length"),
        (lambda model: model.evaluate(n=0), "n: must be at least 1"),
        (lambda model: model.best("A", n=0), "n: must be at least 1"),
        (lambda model: load("turing-interpreter").evaluate(), "evaluate it with `ahx eval`"),
        (lambda model: model.attention("A" * 3000), "3,002 tokens"),
        (lambda model: load("no/such/folder"), "there is no model at no/such/folder"),
        (lambda model: model.save("/proc/nowhere"), "cannot copy the model"),
    ],
)
def test_a_mistake_is_one_sentence(mistake, sentence, model: Model) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(AhxError, match=re.escape(sentence)):
        mistake(model)


def test_names_of_the_package() -> None:
    assert rules is ahx.rules
    with pytest.raises(AttributeError, match="module 'ahx' has no attribute 'trane'"):
        ahx.trane  # noqa: B018
    assert issubclass(InputError, AhxError)
