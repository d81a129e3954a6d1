"""Fetches the models and metrics of trials, and verifies them."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ahx.errors import CheckpointError
from ahx.safe_files.untrusted import json_object, sha256
from infra import locations
from infra.launch.leaderboard import as_json, ranked
from infra.launch.trial import Trial


def collect(trials: Sequence[Trial], folder: Path, best: int | None = None) -> list[dict[str, Any]]:
    """Fetch models and metrics into `folder`/TRIAL and write `folder`/leaderboard.json, the best first.

    A model that is complete in `folder` is not fetched again. Raises CheckpointError for a model whose SHA-256 differs
    from the one in its configuration.
    """
    fetched = []
    for trial in [trial for trial in ranked(trials) if trial.job is not None and trial.job.model][:best]:
        model = fetch(trial, folder)
        fetched.append({**as_json(trial), "model": str(model), "sha256": verify(model)})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaderboard.json").write_text(json.dumps(fetched, indent=1) + "\n", "utf-8")
    return fetched


def fetch(trial: Trial, folder: Path) -> Path:
    """Fetch a trial's model and output into `folder`/TRIAL unless they are there; the model's folder.

    In S3 the models of a job are one archive. It is kept in a cache, so that it is fetched once for all trials.
    """
    own = folder / trial.name
    if not (own / "model").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching.", dir=folder) as temporary:
            partial = Path(temporary) / trial.name
            assert trial.job is not None
            for name, address in (("model", trial.job.model), ("output", trial.job.output)):
                if (source := locations.folder(address)) is not None:
                    shutil.copytree(source, partial / name)
            verify(partial / "model")
            partial.rename(own)
    return own / "model"


def verify(model: Path) -> str:
    """The SHA-256 of the weights, which must be the one that the model's configuration has. Raises CheckpointError."""
    try:
        expected = json_object(model / "config.json")["sha256"]["model.safetensors"]
        found = sha256(model / "model.safetensors")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{model} is not a complete model ({error}); remove {model.parent} and collect again"
        ) from error
    if found != expected:
        raise CheckpointError(f"{model} is not what its job wrote (SHA-256 {found[:12]}...); remove it, collect again")
    return found
