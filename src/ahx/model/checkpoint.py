"""Models on disk: a folder with `model.safetensors`, `config.json` and, to resume training, its state.

A folder is written under a temporary name, flushed to disk and renamed, so a killed process leaves it complete or
absent. `config.json` holds the SHA-256 of the other files and of its own contents, so a truncated, edited or exchanged
file is detected when it is read.

    RUN/config.json, RUN/model.safetensors      the trained model; seen.u64: a sketch of the files it was trained on
    RUN/checkpoints/step-00000400/              the last few states of training
    RUN/checkpoints/best.json                   which of them validated best
"""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError

from ahx.data.seen import MOST, Seen
from ahx.data.tokenizer import Tokenizer
from ahx.errors import CheckpointError, StorageError
from ahx.model import weights
from ahx.model.build import token_features, token_table
from ahx.model.config import TransformerConfig
from ahx.model.config_file import CONFIG as CONFIG
from ahx.model.config_file import FORMAT, check, digest, read_config, reason
from ahx.model.positions.schemes import SCHEMES
from ahx.model.transformer import Transformer
from ahx.safe_files.atomic import atomic_files, sync
from ahx.safe_files.untrusted import json_object, open_file, sha256

WEIGHTS, TRAINING_STATE = "model.safetensors", "training_state.safetensors"
CHECKPOINTS, BEST = "checkpoints", "best.json"
SEEN = "seen.u64"  # a sketch of the inputs that the model was trained on (ahx.data.seen)
CERTIFICATE = "certificate.json"  # of a machine (certificate.py); valid for the weights in the same folder only
MLFLOW_RECORD, TENSORBOARD_FOLDER = "mlflow.json", "tensorboard"  # what trackers keep in a run's folder
_DERIVED = ("vocab_size", "table", "features", "scheme", "kinds", "limit")  # from others or the tokenizer: not stored


class Saved(NamedTuple):
    """A model read from disk, and everything its config.json says."""

    model: Transformer
    tokenizer: Tokenizer
    config: dict[str, Any]
    folder: Path
    seen: Seen | None = None


def save(
    folder: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    about: Mapping[str, Any],
    training_state: Mapping[str, Any] | None = None,
) -> None:
    """Write a model to `folder` atomically. `about` is added to config.json, but for `seen`, which is a file.

    Raises StorageError if the disk is full or not writable.
    """
    with _partial(folder, folder.with_name(f".{folder.name}.partial")) as partial:
        _write(partial, model, tokenizer, about, training_state)
        _replace(partial, folder)


def save_flat(folder: Path, model: Transformer, tokenizer: Tokenizer, about: Mapping[str, Any]) -> None:
    """Write a model into a folder that exists and holds other files too: each file is replaced atomically.

    The weights are replaced before the configuration with their hash, so `load` detects a kill in between.
    """
    with _partial(folder, folder / ".model.partial") as partial:
        _write(partial, model, tokenizer, about, None)
        for name in (WEIGHTS, SEEN, CONFIG):
            if (partial / name).exists():
                os.replace(partial / name, folder / name)
        partial.rmdir()
        sync(folder)


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
    """Read exactly this folder. Raises CheckpointError if it is not a complete model of this project.

    config.json is compared with the weights before a model is built from it. No code from the folder is run.
    """
    config = read_config(folder)
    check(folder, config, WEIGHTS)
    tokenizer = Tokenizer.from_json(config["tokenizer"])
    about: dict[str, Any] = config["architecture"]
    architecture: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in about.items()}
    shape = TransformerConfig(
        vocab_size=len(tokenizer),
        table=token_table(tokenizer) if SCHEMES[architecture["pos"]].coupled else None,
        features=token_features(tokenizer),
        **architecture,
    )
    read = weights.read(folder / WEIGHTS, shape)
    model = Transformer(shape)
    model.load_state_dict(read)
    return Saved(model.to(device).eval(), tokenizer, config, folder, _seen(folder, config))


def _seen(folder: Path, config: Mapping[str, Any]) -> Seen | None:
    if SEEN not in config["sha256"]:
        return None
    check(folder, config, SEEN)
    try:
        with open_file(folder / SEEN) as file:
            return Seen.from_bytes(file.read(8 * MOST + 1))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder / SEEN} is no sketch of training inputs ({reason(error)}); use another checkpoint"
        ) from None


def load_training_state(folder: Path) -> dict[str, Any]:
    """The state to resume training from, as it was given to `save`. Raises CheckpointError."""
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
    """The newest complete checkpoint of `run`, and a sentence about each newer one that is not complete."""
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
    """Move the files of an earlier run in `run` to a folder `earlier.N` there: that folder, or None."""
    files = (CONFIG, WEIGHTS, SEEN, "metrics.jsonl", "curve.jsonl", CERTIFICATE, MLFLOW_RECORD)
    names = (CHECKPOINTS, TENSORBOARD_FOLDER, *files)
    left = [path for name in names if (path := run / name).exists()]
    if not checkpoints(run) and not (run / CONFIG).exists():
        return None
    number = 1
    while (aside := run / f"earlier.{number}").exists():
        number += 1
    aside.mkdir()
    for path in left:
        os.rename(path, aside / path.name)
    for folder in (aside, run):
        sync(folder)
    return aside


def mark_best(run: Path, name: str, about: Mapping[str, Any]) -> None:
    """Record which checkpoint validated best."""
    with atomic_files([run / CHECKPOINTS / BEST]) as [file]:
        file.write(json.dumps({"checkpoint": name, **about}).encode() + b"\n")


def best(run: Path) -> str | None:
    """The name of the checkpoint that validated best, if one is marked."""
    try:
        return str(json_object(run / CHECKPOINTS / BEST)["checkpoint"])
    except (OSError, ValueError, KeyError):
        return None


def prune(run: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints and the best, and partial files of a killed process."""
    spared = best(run)
    for folder in checkpoints(run)[:-keep]:
        if folder.name != spared:
            shutil.rmtree(folder, ignore_errors=True)
    for leftover in [*(run / CHECKPOINTS).glob(".step-*.partial"), *(run / CHECKPOINTS).glob(".step-*.old")]:
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _partial(folder: Path, partial: Path) -> Iterator[Path]:
    """A new folder `partial` to write the files of `folder` to. It is removed, and StorageError raised, on failure."""
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        why = error.strerror or error
        raise StorageError(
            f"cannot write the model to {folder}: {why}; free some space or choose another place"
        ) from error


def _write(
    folder: Path, model: Transformer, tokenizer: Tokenizer, about: Mapping[str, Any], state: Mapping[str, Any] | None
) -> None:
    # safetensors refuses views into the flat parameters as shared memory, so each weight is copied.
    own = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(own))
    written = [WEIGHTS]
    if (seen := about.get("seen")) is not None:
        (folder / SEEN).write_bytes(seen.to_bytes())
        written.append(SEEN)
    if state is not None:
        (folder / TRAINING_STATE).write_bytes(_packed(state))
        written.append(TRAINING_STATE)
    architecture = {k: v for k, v in dataclasses.asdict(model.config).items() if k not in _DERIVED}
    config: dict[str, Any] = {
        "format": FORMAT,
        "architecture": architecture,
        "parameters": sum(p.numel() for p in model.parameters()),
        **{name: value for name, value in about.items() if name != "seen"},
        "tokenizer": tokenizer.to_json(),
        "sha256": {name: sha256(folder / name) for name in written},
    }
    config["sha256"][CONFIG] = digest(config)
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name in [*written, CONFIG]:
        sync(folder / name)
    sync(folder)


def _packed(state: Mapping[str, Any]) -> bytes:
    """A training state as a file: the tensors in its parts, and everything else as JSON.

    (Not torch.save's pickle: even its restricted reader runs constructors that a file names.)
    """
    parts = {part: value.items() for part, value in state.items() if isinstance(value, dict)}
    tensors = {f"{part}.{k}": v.cpu() for part, items in parts.items() for k, v in items if isinstance(v, torch.Tensor)}
    values = dict(state) | {
        part: {k: v for k, v in items if not isinstance(v, torch.Tensor)} for part, items in parts.items()
    }
    return safetensors.torch.save(tensors, {"values": json.dumps(values)})


def _replace(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`; a folder that was there is deleted only after that."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(partial, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
