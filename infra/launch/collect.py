"""Fetches the models and metrics of jobs, and verifies them."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ahx.errors import CheckpointError
from ahx.files.untrusted import json_object, sha256
from infra.launch.backends.backend import Backend
from infra.launch.leaderboard import as_json, ranked
from infra.launch.trial import Trial


def collect(backend: Backend, trials: Sequence[Trial], folder: Path, best: int | None = None) -> list[dict[str, Any]]:
    """Fetch models and metrics into `folder`/TRIAL and write `folder`/leaderboard.json, the best first.

    A model that is complete in `folder` is not fetched again. Raises CheckpointError for a model whose SHA-256 differs
    from the one in its configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    chosen = [trial for trial in ranked(trials) if trial.job is not None and trial.job.model][:best]
    missing: dict[str, list[Trial]] = {}
    for trial in chosen:
        if trial.job is not None and not (folder / trial.name / "model").is_dir():
            missing.setdefault(trial.job.name, []).append(trial)
    for own in missing.values():
        fetch(backend, own, folder)
    for trial in chosen:
        model = folder / trial.name / "model"
        fetched.append({**as_json(trial), "model": str(model), "sha256": verify(model)})
    (folder / "leaderboard.json").write_text(json.dumps(fetched, indent=1) + "\n", "utf-8")
    return fetched


def fetch(backend: Backend, trials: Sequence[Trial], folder: Path) -> None:
    """Fetch what one job has left of these trials of it, into `folder`/TRIAL."""
    with tempfile.TemporaryDirectory(prefix=".fetching.", dir=folder) as temporary:
        partial, job = Path(temporary), trials[0].job
        assert job is not None
        backend.fetch(job, partial / "job")
        for trial in trials:
            own = partial / trial.name
            own.mkdir()
            for name in ("model", "output"):
                source = partial / "job" / name / (trial.key if trial.in_batch else "")
                if source.is_dir():
                    source.rename(own / name)
            verify(own / "model")
            own.rename(folder / trial.name)


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
