"""Checkpoints that are truncated, changed or foreign are refused with a sentence, and the one before is used."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ahx.errors import CheckpointError
from ahx.model import checkpoint
from ahx.model.checkpoint import CONFIG, TRAINING_STATE, WEIGHTS


def _edit(folder: Path, change: Callable[[dict], object]) -> None:
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    change(config)
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")


def _truncate(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-7])


def _exchange_symbols(config: dict) -> None:
    tokens = config["tokenizer"]["tokens"]
    tokens[3], tokens[4] = tokens[4], tokens[3]


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated weights": (_truncate(WEIGHTS), "is truncated or was changed"),
    "truncated state": (_truncate(TRAINING_STATE), "is truncated or was changed"),
    "truncated config": (_truncate(CONFIG), "cannot be read"),
    "empty config": (lambda f: (f / CONFIG).write_bytes(b""), "cannot be read"),
    "binary config": (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "cannot be read"),
    "no state": (lambda f: (f / TRAINING_STATE).unlink(), "cannot be read"),
    "no config": (lambda f: (f / CONFIG).unlink(), "it has no config.json"),
    "a folder for a file": (lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()), "cannot be read"),
    "foreign json": (lambda f: (f / CONFIG).write_text('{"model_type": "gpt2"}'), "was not written by this project"),
    "json, but no object": (lambda f: (f / CONFIG).write_text("[1, 2]"), "cannot be read"),
    "another format": (lambda f: _edit(f, lambda c: c.update(format="ahx-transformer 99")), "was not written by"),
    "another layer": (lambda f: _edit(f, lambda c: c["architecture"].update(n_layer=3)), "was changed"),
    "no heads": (lambda f: _edit(f, lambda c: c["architecture"].update(n_head=0)), "was changed"),
    "symbols exchanged": (lambda f: _edit(f, _exchange_symbols), "was changed"),
    "no hashes": (lambda f: _edit(f, lambda c: c.pop("sha256")), "was changed"),
    "hashes of another kind": (lambda f: _edit(f, lambda c: c.update(sha256=["x"])), "was changed"),
}


def _read_all(folder: Path) -> None:
    checkpoint.load_folder(folder)
    checkpoint.load_training_state(folder)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_refused_and_the_one_before_it_used(name, run, capsys):
    damage, sentence = BROKEN[name]
    newest = run / "checkpoints" / "step-00000003"
    damage(newest)
    with pytest.raises(CheckpointError, match=sentence) as error:
        _read_all(newest)
    assert str(newest) in str(error.value)
    assert "\n" not in str(error.value)
    found, complaints = checkpoint.newest_whole(run)
    assert found == run / "checkpoints" / "step-00000002"
    assert len(complaints) == 1
    assert sentence in complaints[0]
    saved = checkpoint.load(run)
    assert saved.config["step"] == 2
    assert bool((saved.model.norm.weight == 2).all())
    assert re.fullmatch(rf"ahx: warning: .*{sentence}.*; {found} is used instead\n", capsys.readouterr().err)


def test_a_broken_final_model_is_not_replaced_in_silence(run, capsys):
    checkpoint.load(run)
    assert not capsys.readouterr().err  # training is under way
    for name in (CONFIG, WEIGHTS):
        shutil.copy(run / "checkpoints" / "step-00000003" / name, run / name)
    checkpoint.load(run)
    assert not capsys.readouterr().err
    _truncate(WEIGHTS)(run)
    assert checkpoint.load(run).folder == run / "checkpoints" / "step-00000003"
    printed = capsys.readouterr().err
    assert printed.startswith(f"ahx: warning: {run / WEIGHTS} is truncated")
    assert printed.endswith("step-00000003 is used instead\n")


def test_where_nothing_is_whole(run):
    for folder in checkpoint.checkpoints(run):
        (folder / WEIGHTS).unlink()
    found, complaints = checkpoint.newest_whole(run)
    assert found is None
    assert len(complaints) == 3


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nowhere", "there is no model at"),
        ("file", "is a file, but a model is a folder"),
        (".", "it has no config.json"),
    ],
)
def test_what_is_no_model_is_refused(path, sentence, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=sentence) as error:
        checkpoint.load(tmp_path / path)
    assert str(tmp_path / path) in str(error.value)
