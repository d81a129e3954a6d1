"""What becomes of changes: they are kept (state.py) before they are answered, or forgotten with the server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from infra.embedded.http.wire import Body, Environ, StartResponse

Wsgi = Callable[[Environ, StartResponse], Body]


class Persistence(Protocol):
    """What becomes of changes."""

    def perform(self, kind: bytes, environ: Environ, start: StartResponse, app: Wsgi) -> Body:
        """A request to `app` that may change its state. Raises AwsError where that cannot be kept."""

    def save(self, change: dict[str, Any]) -> None:
        """What has become of our own state. Raises AwsError where it cannot be kept."""

    def sync(self) -> None:
        """Wait until everything is kept as safely as was asked for. Raises AwsError."""

    def sync_file(self, path: Path) -> None:
        """A file, or the entries of a folder, as safely as was asked for. Raises OSError."""


class NoPersistence:
    """Keeps nothing."""

    def perform(self, kind: bytes, environ: Environ, start: StartResponse, app: Wsgi) -> Body:
        return app(environ, start)

    def save(self, change: dict[str, Any]) -> None:
        pass

    def sync(self) -> None:
        pass

    def sync_file(self, path: Path) -> None:
        pass
