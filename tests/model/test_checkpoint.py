"""Models on disk: what is written is read back, and what is broken is refused with a sentence."""

import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ahx.errors import CheckpointError, StorageError
from ahx.model import checkpoint
from ahx.model.checkpoint import CONFIG, TRAINING_STATE, WEIGHTS

ABOUT = {"rule": "double_a", "step": 3}
STATE = {"step": 3, "best": float("inf"), "optimizer": {"mean": torch.arange(5.0), "steps": 3}}


@pytest.fixture
def model(make_model):
    return make_model("coupled+global", dtype=torch.float32)


@pytest.fixture
def run(tmp_path, model, tokenizer) -> Path:
    """A run with checkpoints of steps 1, 2 and 3."""
    for step in (1, 2, 3):
        with torch.no_grad():
            model.norm.weight.fill_(step)
        checkpoint.save(tmp_path / "checkpoints" / f"step-{step:08d}", model, tokenizer, {"step": step}, STATE)
    return tmp_path


def _edit(folder: Path, change: Callable[[dict], object]) -> None:
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    change(config)
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")


def test_what_is_saved_is_read_back(scheme, tmp_path, make_model, make_rows, pad, tokenizer):
    model = make_model(scheme, dtype=torch.float32)
    checkpoint.save(tmp_path / "m", model, tokenizer, ABOUT, STATE)
    saved = checkpoint.load(tmp_path / "m")
    assert saved.model.config == model.config
    assert saved.tokenizer.to_json() == tokenizer.to_json()
    assert saved.folder == tmp_path / "m"
    assert saved.config["rule"] == "double_a"
    assert saved.config["parameters"] == sum(p.numel() for p in model.parameters())
    assert not saved.model.training
    tokens_BT = pad(make_rows(3))
    assert torch.equal(saved.model(tokens_BT), model(tokens_BT))
    state = checkpoint.load_training_state(tmp_path / "m")
    assert torch.equal(state["optimizer"].pop("mean"), torch.arange(5.0))
    assert state == {"step": 3, "best": float("inf"), "optimizer": {"steps": 3}}


def test_weights_that_share_memory_are_saved(tmp_path, model, tokenizer):
    """In training all parameters are views into one tensor."""
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    at = 0
    for p in model.parameters():
        p.data = values[at : at + p.numel()].view(p.shape)
        at += p.numel()
    checkpoint.save(tmp_path / "m", model, tokenizer, ABOUT)
    loaded = checkpoint.load(tmp_path / "m").model.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in model.state_dict().items())


def test_the_final_model_lies_beside_the_checkpoints(run, model, tokenizer):
    with torch.no_grad():
        model.norm.weight.fill_(9)
    checkpoint.save_flat(run, model, tokenizer, {"step": 9})
    assert checkpoint.load(run).config["step"] == 9
    assert sorted(path.name for path in run.iterdir()) == ["checkpoints", CONFIG, WEIGHTS]
    (run / WEIGHTS).write_bytes(b"")
    assert checkpoint.load(run).config["step"] == 3  # broken: the newest checkpoint instead


def test_a_model_is_replaced_as_a_whole(tmp_path, model, tokenizer):
    for step in (1, 2):
        checkpoint.save(tmp_path / "m", model, tokenizer, {"step": step})
        assert checkpoint.load(tmp_path / "m").config["step"] == step
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


# ---------------------------------------------------------------- what is broken


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
    "json, but no object": (lambda f: (f / CONFIG).write_text("[1, 2]"), "was not written by this project"),
    "another format": (lambda f: _edit(f, lambda c: c.update(format="ahx-transformer 99")), "was not written by"),
    "another layer": (lambda f: _edit(f, lambda c: c["architecture"].update(n_layer=3)), "was changed"),
    "no heads": (lambda f: _edit(f, lambda c: c["architecture"].update(n_head=0)), "was changed"),
    "symbols exchanged": (lambda f: _edit(f, _exchange_symbols), "was changed"),
    "no hashes": (lambda f: _edit(f, lambda c: c.pop("sha256")), "was changed"),
    "hashes of another kind": (lambda f: _edit(f, lambda c: c.update(sha256=["x"])), "was changed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_refused_and_the_one_before_it_used(name, run):
    damage, sentence = BROKEN[name]
    newest = run / "checkpoints" / "step-00000003"
    damage(newest)
    with pytest.raises(CheckpointError, match=sentence) as error:
        checkpoint.load_folder(newest)
        checkpoint.load_training_state(newest)
    assert str(newest) in str(error.value)
    assert "\n" not in str(error.value)
    found, complaints = checkpoint.newest_whole(run)
    assert found == run / "checkpoints" / "step-00000002"
    assert len(complaints) == 1
    assert sentence in complaints[0]
    saved = checkpoint.load(run)
    assert saved.config["step"] == 2
    assert bool((saved.model.norm.weight == 2).all())


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


def _with_right_hashes(folder: Path, about: Callable[[dict], object] = lambda config: None) -> None:
    """Change a configuration and hash everything anew: what a wrong program, not a broken disk, would leave."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    about(config)
    for name in (WEIGHTS, TRAINING_STATE):
        config["sha256"][name] = checkpoint.hashlib.sha256((folder / name).read_bytes()).hexdigest()
    config["sha256"][CONFIG] = checkpoint._digest(config)
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["architecture"].update(n_layer=3, heads=["cccc"] * 3),
        lambda c: c["architecture"].update(n_head=0),
        lambda c: c["architecture"].update(heads=["xxxx", "xxxx"]),
        lambda c: c["architecture"].update(colour="red"),
        lambda c: c.update(architecture="large"),
        lambda c: c.pop("tokenizer"),
        lambda c: c["tokenizer"].update(tokens=[["A"]]),
        lambda c: c["tokenizer"]["tokens"].append(["Z", None, ""]),
    ],
)
def test_a_model_that_does_not_fit_its_configuration_is_refused(change, run):
    folder = run / "checkpoints" / "step-00000003"
    _with_right_hashes(folder, change)
    with pytest.raises(CheckpointError, match=r"does not fit its config.json \(.+\); use another checkpoint$"):
        checkpoint.load_folder(folder)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("content", ["pickle", "torch", "noise", "nothing", "list"])
def test_a_state_that_is_no_state_is_refused_and_never_run(content, run, tmp_path, monkeypatch):
    folder = run / "checkpoints" / "step-00000003"
    target = folder / TRAINING_STATE
    if content == "pickle":
        target.write_bytes(pickle.dumps({"step": _Bomb()}))
    elif content == "torch":
        torch.save({"step": _Bomb()}, target)
    elif content == "list":
        torch.save([1, 2], target)
    else:
        target.write_bytes(b"noise " * 100 if content == "noise" else b"")
    _with_right_hashes(folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=f"{TRAINING_STATE} (cannot be read|holds no state)") as error:
        checkpoint.load_training_state(folder)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "exploded").exists()


# ---------------------------------------------------------------- kills and full disks


def test_a_half_written_checkpoint_is_ignored_and_cleared_away(run, model, tokenizer, monkeypatch):
    """A kill before the rename leaves a folder that no reader takes for a checkpoint."""

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", kill)
        with pytest.raises(Killed):
            checkpoint.save(run / "checkpoints" / "step-00000004", model, tokenizer, {}, STATE)
    assert (run / "checkpoints" / ".step-00000004.partial").exists()
    assert checkpoint.newest_whole(run) == (run / "checkpoints" / "step-00000003", [])
    assert len(checkpoint.checkpoints(run)) == 3
    checkpoint.prune(run, keep=5)
    assert len(list((run / "checkpoints").iterdir())) == 3


def test_a_kill_while_the_final_model_is_written_is_noticed(run, model, tokenizer, monkeypatch):
    """Weights without the configuration that belongs to them: the hash differs, so the newest checkpoint is used."""
    checkpoint.save_flat(run, model, tokenizer, {"step": 10})
    with torch.no_grad():
        model.norm.weight.fill_(7)
    replace = os.replace

    class Killed(BaseException):
        pass

    def kill_at_config(source: Path, target: Path) -> None:
        if Path(target).name == CONFIG:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", kill_at_config)
        with pytest.raises(Killed):
            checkpoint.save_flat(run, model, tokenizer, {"step": 11})
    assert checkpoint.load(run).config["step"] == 3
    checkpoint.save_flat(run, model, tokenizer, {"step": 12})  # what the kill left is no hindrance
    assert checkpoint.load(run).config["step"] == 12
    assert not (run / ".model.partial").exists()


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename", "write_bytes", "write_text"])
def test_a_full_disk_is_a_sentence_and_harms_nothing(call, run, model, tokenizer, monkeypatch):
    owner = Path if call in ("write_bytes", "write_text", "mkdir") else os
    folder = run / "checkpoints" / "step-00000003"
    with monkeypatch.context() as patched:
        patched.setattr(owner, call, _full)
        with pytest.raises(StorageError, match="No space left on device; free some space") as error:
            checkpoint.save(folder, model, tokenizer, {"step": 99}, STATE)
    assert str(folder) in str(error.value)
    assert checkpoint.newest_whole(run) == (folder, [])
    assert checkpoint.load(run).config["step"] == 3
    assert len(list((run / "checkpoints").iterdir())) == 3


def test_a_disk_that_fills_up_while_the_state_is_written(tmp_path, model, tokenizer):
    """For real: the operating system refuses files above a size, first met by the training state."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StorageError, match="cannot write the model to"):
            checkpoint.save(tmp_path / "m", model, tokenizer, {}, {"mean": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_the_final_model_survives_a_full_disk(run, model, tokenizer, monkeypatch):
    checkpoint.save_flat(run, model, tokenizer, {"step": 10})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _full)
        with pytest.raises(StorageError, match="No space left on device"):
            checkpoint.save_flat(run, model, tokenizer, {"step": 11})
    assert checkpoint.load(run).config["step"] == 10


# ---------------------------------------------------------------- which are kept


def test_the_last_few_and_the_best_are_kept(run, model, tokenizer):
    checkpoint.mark_best(run, "step-00000001", {"val_loss": 0.5})
    assert checkpoint.best(run) == "step-00000001"
    for step in (4, 5):
        checkpoint.save(run / "checkpoints" / f"step-{step:08d}", model, tokenizer, {}, STATE)
        checkpoint.prune(run, keep=2)
    names = [folder.name for folder in checkpoint.checkpoints(run)]
    assert names == ["step-00000001", "step-00000004", "step-00000005"]


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "null"])
def test_without_a_readable_mark_there_is_no_best(content, run):
    if content is not None:
        (run / "checkpoints" / "best.json").write_text(content)
    assert checkpoint.best(run) is None
    checkpoint.prune(run, keep=1)
    assert [folder.name for folder in checkpoint.checkpoints(run)] == ["step-00000003"]


def test_a_run_without_checkpoints(tmp_path):
    assert checkpoint.checkpoints(tmp_path) == []
    assert checkpoint.newest_whole(tmp_path) == (None, [])
    shutil.rmtree(tmp_path)
    assert checkpoint.newest_whole(tmp_path) == (None, [])
