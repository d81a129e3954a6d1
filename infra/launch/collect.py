"""Fetches the models and metrics of jobs, and verifies them."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ahx.errors import CheckpointError
from ahx.files.untrusted import json_object, sha256
from infra.launch.backends.backend import Backend
from infra.launch.engine import Trial
from infra.launch.leaderboard import as_json, ranked


def collect(backend: Backend, trials: Sequence[Trial], folder: Path, best: int | None = None) -> list[dict[str, Any]]:
    """Fetch models and metrics into `folder`/JOB and write `folder`/leaderboard.json, the best first.

    A model that is complete in `folder` is not fetched again. Raises CheckpointError for a model whose SHA-256 differs
    from the one in its configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    for trial in [trial for trial in ranked(trials) if trial.job is not None and trial.job.model][:best]:
        assert trial.job is not None
        target = folder / trial.name
        if not (target / "model").is_dir():
            partial = Path(tempfile.mkdtemp(prefix=f".{trial.name}.", dir=folder))
            try:
                backend.fetch(trial.job, partial)
                verify(partial / "model")
                partial.chmod(0o755)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        fetched.append({**as_json(trial), "model": str(target / "model"), "sha256": verify(target / "model")})
    (folder / "leaderboard.json").write_text(json.dumps(fetched, indent=1) + "\n", "utf-8")
    return fetched


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
