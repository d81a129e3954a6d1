"""Models on disk: a folder with `model.safetensors`, `config.json` and, to go on training, its state.

A folder is written under a temporary name, flushed to disk and renamed: it is there whole or not at all, whatever
is killed and whenever. `config.json` holds the SHA-256 of the files beside it and of its own contents, so that a
truncated, edited or exchanged file is noticed when it is read, not by odd answers later.

    RUN/config.json, RUN/model.safetensors      the trained model
    RUN/checkpoints/step-00000400/              the last few states of training
    RUN/checkpoints/best.json                   which of them validated best
"""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError

from ahx.data.tokenizer import Tokenizer
from ahx.errors import CheckpointError, StorageError
from ahx.files.atomic import atomic_files
from ahx.files.untrusted import json_object, sha256
from ahx.model import weights
from ahx.model.build import token_features, token_table
from ahx.model.config_file import CONFIG as CONFIG
from ahx.model.config_file import FORMAT, check, digest, read_config
from ahx.model.transformer import Transformer, TransformerConfig

WEIGHTS, TRAINING_STATE = "model.safetensors", "training_state.safetensors"
CHECKPOINTS, BEST = "checkpoints", "best.json"
CERTIFICATE = "certificate.json"  # of a machine (certificate.py); it holds for the weights beside it only
_DERIVED = ("vocab_size", "table", "features")  # what follows from the tokenizer is not stored twice


class Saved(NamedTuple):
    """A model read from disk, and everything its config.json says."""

    model: Transformer
    tokenizer: Tokenizer
    config: dict[str, Any]
    folder: Path


def save(
    folder: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    about: Mapping[str, Any],
    training_state: Mapping[str, Any] | None = None,
) -> None:
    """Write a model into `folder`, which appears whole or not at all. `about` is added to config.json.

    Raises StorageError when the disk is full or may not be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(partial, model, tokenizer, about, training_state)
        _replace(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(_sentence("write the model to", folder, error)) from error


def save_flat(folder: Path, model: Transformer, tokenizer: Tokenizer, about: Mapping[str, Any]) -> None:
    """Write a model into a folder that exists and holds other files too: each file is replaced as a whole.

    Weights come before the configuration with their hash, so a kill in between is noticed by `load`.
    """
    partial = folder / ".model.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(partial, model, tokenizer, about, None)
        for name in (WEIGHTS, CONFIG):
            os.replace(partial / name, folder / name)
        partial.rmdir()
        _flush(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(_sentence("write the model to", folder, error)) from error


def load(path: str | Path, device: torch.device | str = "cpu") -> Saved:
    """Read a model from a run's folder or from one of its checkpoints.

    A run that has no final model yet, or a broken one, or one from before its latest training, gives its newest whole
    checkpoint; `folder` says which it was, and a warning what is broken. Raises CheckpointError.
    """
    folder = Path(path)
    if not folder.exists():
        raise CheckpointError(
            f"there is no model at {folder}; train one with: ahx train --rule double_a --model-out {folder}"
        )
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is a file, but a model is a folder with {CONFIG} and {WEIGHTS}; name that folder"
        )
    newest, complaints = newest_whole(folder)
    try:
        final = load_folder(folder, device)
        if newest is None or read_config(newest).get("step", 0) <= final.config.get("step", 0):
            return final
    except CheckpointError as error:
        if newest is None:
            raise
        if (folder / CONFIG).exists():  # else training has not come to its end yet
            complaints.append(str(error))
    for complaint in complaints:
        reason = complaint.removesuffix("; use another checkpoint")
        print(f"ahx: warning: {reason}; {newest} is used instead", file=sys.stderr)
    return load_folder(newest, device)


def load_folder(folder: Path, device: torch.device | str = "cpu") -> Saved:
    """Read exactly this folder. Raises CheckpointError when it is not a whole model of this project.

    What config.json says is compared with the weights that are there before a model is made of it, and nothing that
    the folder holds or names is run.
    """
    config = read_config(folder)
    check(folder, config, WEIGHTS)
    tokenizer = Tokenizer.from_json(config["tokenizer"])
    about: dict[str, Any] = config["architecture"]
    architecture: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in about.items()}
    shape = TransformerConfig(
        vocab_size=len(tokenizer),
        table=token_table(tokenizer) if architecture["pos"] == "coupled" else None,
        features=token_features(tokenizer),
        **architecture,
    )
    read = weights.read(folder / WEIGHTS, shape)
    model = Transformer(shape)
    model.load_state_dict(read)
    return Saved(model.to(device).eval(), tokenizer, config, folder)


def load_training_state(folder: Path) -> dict[str, Any]:
    """What is needed to go on training from `folder`, as `save` was given it. Raises CheckpointError."""
    config = read_config(folder)
    check(folder, config, TRAINING_STATE)
    path = folder / TRAINING_STATE
    try:
        with safetensors.safe_open(path, "pt") as file:
            state: dict[str, Any] = json.loads((file.metadata() or {})["values"])
            for name in file.keys():  # noqa: SIM118
                part, _, own = name.partition(".")
                state[part][own] = file.get_tensor(name).clone()
    except (OSError, ValueError, LookupError, TypeError, RecursionError, SafetensorError) as error:
        why = ascii(" ".join(str(error).split()))[1:-1][:200]
        raise CheckpointError(f"{path} holds no state of training ({why}); use another checkpoint") from error
    return state


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(path for path in (run / CHECKPOINTS).glob("step-*") if path.is_dir())


def newest_whole(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of `run` that is whole, to go on from, and a sentence about each newer one that is not."""
    complaints: list[str] = []
    for folder in reversed(checkpoints(run)):
        try:
            config = read_config(folder)
            for name in (WEIGHTS, TRAINING_STATE):
                check(folder, config, name)
            return folder, complaints
        except CheckpointError as error:
            complaints.append(str(error))
    return None, complaints


def set_aside(run: Path) -> Path | None:
    """Move what an earlier run left in `run` into a folder `earlier.N` there: that folder, or None."""
    left = [
        path for name in (CHECKPOINTS, CONFIG, WEIGHTS, "metrics.jsonl", CERTIFICATE) if (path := run / name).exists()
    ]
    if not checkpoints(run) and not (run / CONFIG).exists():
        return None
    number = 1
    while (aside := run / f"earlier.{number}").exists():
        number += 1
    aside.mkdir()
    for path in left:
        os.rename(path, aside / path.name)
    for folder in (aside, run):
        _flush(folder)
    return aside


def mark_best(run: Path, name: str, about: Mapping[str, Any]) -> None:
    """Note which checkpoint validated best."""
    with atomic_files([run / CHECKPOINTS / BEST]) as [file]:
        file.write(json.dumps({"checkpoint": name, **about}).encode() + b"\n")


def best(run: Path) -> str | None:
    """The name of the checkpoint that validated best, if one is marked."""
    try:
        return str(json_object(run / CHECKPOINTS / BEST)["checkpoint"])
    except (OSError, ValueError, KeyError):
        return None


def prune(run: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints and the best, and what a killed process left half-written."""
    spared = best(run)
    for folder in checkpoints(run)[:-keep]:
        if folder.name != spared:
            shutil.rmtree(folder, ignore_errors=True)
    for leftover in [*(run / CHECKPOINTS).glob(".step-*.partial"), *(run / CHECKPOINTS).glob(".step-*.old")]:
        shutil.rmtree(leftover, ignore_errors=True)


def _write(
    folder: Path, model: Transformer, tokenizer: Tokenizer, about: Mapping[str, Any], state: Mapping[str, Any] | None
) -> None:
    # A view into the flat parameters would be refused as shared memory: each weight is written as a tensor of its own.
    own = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(own))
    written = [WEIGHTS]
    if state is not None:
        (folder / TRAINING_STATE).write_bytes(_packed(state))
        written.append(TRAINING_STATE)
    architecture = {k: v for k, v in dataclasses.asdict(model.config).items() if k not in _DERIVED}
    config: dict[str, Any] = {
        "format": FORMAT,
        "architecture": architecture,
        "parameters": sum(p.numel() for p in model.parameters()),
        **about,
        "tokenizer": tokenizer.to_json(),
        "sha256": {name: sha256(folder / name) for name in written},
    }
    config["sha256"][CONFIG] = digest(config)
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name in [*written, CONFIG]:
        _flush(folder / name)
    _flush(folder)


def _packed(state: Mapping[str, Any]) -> bytes:
    """A state of training as a file: the tensors among the values of its parts, and everything else as JSON.

    (Not torch.save's pickle, of which even the careful reader runs constructors that a file names.)
    """
    parts = {part: value.items() for part, value in state.items() if isinstance(value, dict)}
    tensors = {f"{part}.{k}": v.cpu() for part, items in parts.items() for k, v in items if isinstance(v, torch.Tensor)}
    values = dict(state) | {
        part: {k: v for k, v in items if not isinstance(v, torch.Tensor)} for part, items in parts.items()
    }
    return safetensors.torch.save(tensors, {"values": json.dumps(values)})


def _replace(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`; what stood there before goes away only when the new one is in its place."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(partial, folder)
    _flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have the disk keep a file, or the entries of a folder (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sentence(doing: str, path: Path, error: OSError) -> str:
    return f"cannot {doing} {path}: {error.strerror or error}; free some space or choose another place"
