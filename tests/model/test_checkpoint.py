"""Models on disk: what is written is read back, and neither kills nor full disks do harm."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from ahx.errors import StorageError
from ahx.model import checkpoint
from ahx.model.checkpoint import CONFIG, WEIGHTS

ABOUT = {"rule": "double_a", "step": 3}


def test_what_is_saved_is_read_back(scheme, tmp_path, make_model, make_rows, pad, tokenizer, training_state):
    model = make_model(scheme, dtype=torch.float32)
    checkpoint.save(tmp_path / "m", model, tokenizer, ABOUT, training_state)
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


# Kills and full disks.


def test_a_half_written_checkpoint_is_ignored_and_cleared_away(run, model, tokenizer, monkeypatch, training_state):
    """A kill before the rename leaves a folder that no reader takes for a checkpoint."""

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", kill)
        with pytest.raises(Killed):
            checkpoint.save(run / "checkpoints" / "step-00000004", model, tokenizer, {}, training_state)
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
def test_a_full_disk_is_a_sentence_and_harms_nothing(call, run, model, tokenizer, monkeypatch, training_state):
    owner = Path if call in ("write_bytes", "write_text", "mkdir") else os
    folder = run / "checkpoints" / "step-00000003"
    with monkeypatch.context() as patched:
        patched.setattr(owner, call, _full)
        with pytest.raises(StorageError, match="No space left on device; free some space") as error:
            checkpoint.save(folder, model, tokenizer, {"step": 99}, training_state)
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
            checkpoint.save(tmp_path / "m", model, tokenizer, {}, {"optimizer": {"mean": torch.zeros(100_000)}})
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


# Which are kept.


def test_the_last_few_and_the_best_are_kept(run, model, tokenizer, training_state):
    checkpoint.mark_best(run, "step-00000001", {"val_loss": 0.5})
    assert checkpoint.best(run) == "step-00000001"
    for step in (4, 5):
        checkpoint.save(run / "checkpoints" / f"step-{step:08d}", model, tokenizer, {}, training_state)
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
