"""The interface through which changes are saved: to a folder (store.py), or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from infra.embedded.http.protocols import Body, Environ, StartResponse

Wsgi = Callable[[Environ, StartResponse], Body]


class Persistence(Protocol):
    """Saves changes before they are answered. Raises AwsError for what cannot be saved."""

    def perform(self, kind: bytes, environ: Environ, start: StartResponse, app: Wsgi) -> Body:
        """Record a request that may change the state of `app`, and have it answered."""

    def save(self, change: dict[str, Any]) -> None:
        """Save a change of our own state."""

    def sync(self) -> None:
        """Wait until all changes are as durable as configured."""

    def sync_file(self, path: Path) -> None:
        """Make a file, or the entries of a folder, as durable as configured. Raises OSError."""


class NoPersistence:
    """For a server without a state folder."""

    def perform(self, kind: bytes, environ: Environ, start: StartResponse, app: Wsgi) -> Body:
        return app(environ, start)

    def save(self, change: dict[str, Any]) -> None:
        pass

    def sync(self) -> None:
        pass

    def sync_file(self, path: Path) -> None:
        pass
