"""A request as a value, which can be saved and executed, also again."""

import io
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY

from infra.embedded.http.protocols import AwsError, Body, Environ, StartResponse

_PIECE = 1 << 20


@dataclass(frozen=True)
class Answer:
    """The response to a request."""

    status: str
    headers: list[tuple[str, str]]
    body: list[bytes]

    @property
    def is_success(self) -> bool:
        return self.status < "4"

    def send(self, start: StartResponse) -> Body:
        start(self.status, self.headers)
        return self.body


@dataclass(frozen=True)
class Request:
    """A WSGI environment, its body, and the seed and the time with which it is executed."""

    environ: dict[str, Any]
    body: bytes
    seed: bytes
    now: float

    @classmethod
    def read(cls, environ: Environ, seed: bytes) -> "Request":
        """Reads the whole body. Raises AwsError if it is incomplete."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = b"".join(body_of(environ, length or _PIECE))
        if len(body) < length:
            message = "You did not provide the number of bytes specified by the Content-Length HTTP header."
            raise AwsError("IncompleteBody", message)
        kept = {
            name: value
            for name, value in environ.items()
            if isinstance(value, str) or name == PRESERVED_HEADER_NAMES_ENVIRON_KEY
        }
        return cls(kept | {"CONTENT_LENGTH": str(len(body))}, body, seed, time.time())

    def to_bytes(self) -> tuple[bytes, bytes]:
        return json.dumps([self.environ, self.seed.hex(), self.now]).encode() + b"\n", self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Request":
        head, _, body = data.partition(b"\n")
        environ, seed, now = json.loads(head)
        return cls(environ, body, bytes.fromhex(seed), now)

    def run(self, app: Callable[[Environ, StartResponse], Body]) -> Answer:
        """The answer of `app`."""
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], Any]:
            started[:] = [status, headers]
            return early.append

        early: list[bytes] = []
        wsgi = {
            "wsgi.version": (1, 0),
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        answered = app(self.environ | wsgi, start)
        try:
            body = early + list(answered)
        finally:
            if close := getattr(answered, "close", None):
                close()
        return Answer(started[0], started[1], body)


def body_of(environ: Environ, size: int = _PIECE) -> Iterable[bytes]:
    """The body in pieces of at most `size`: of its Content-Length or, with chunked transfer encoding, to its end."""
    length = environ.get("CONTENT_LENGTH")
    left = int(length) if length else None if environ.get("wsgi.input_terminated") else 0
    while left is None or left > 0:
        piece = environ["wsgi.input"].read(size if left is None else min(size, left))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece
