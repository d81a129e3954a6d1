"""Sweeps that exist: where their jobs are, and how they stand."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.errors import InputError

if TYPE_CHECKING:
    from infra.launch.backends.backend import Backend, Manifest
    from infra.launch.trial import SweepState


def backend_of(args: argparse.Namespace, sweep: str | None) -> "Backend":
    """The backend that `--on` names, else the first that has the sweep. Raises InputError."""
    from infra.launch.backends.choose import find_backend, open_backend

    folder = Path(args.folder)
    return open_backend(args.on, folder, args.prefix) if args.on else find_backend(sweep, folder, args.prefix)


def manifest_of(backend: "Backend", sweep: str) -> "Manifest":
    """The record of a sweep. Raises InputError for a sweep that is not there."""
    manifest = backend.read_manifest(sweep)
    if manifest is None:
        known = ", ".join(backend.sweeps()) or "none"
        raise InputError(f"there is no sweep {sweep!r} on {backend.title}; there are: {known}")
    return manifest


def observed(backend: "Backend", sweep: str) -> "SweepState":
    """The sweep as it is now; nothing is submitted."""
    from infra.launch.engine import Engine

    engine = Engine(backend, sweep, manifest_of(backend, sweep))
    engine.poll()
    return engine.state
