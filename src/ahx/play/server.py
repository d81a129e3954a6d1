"""The server of `ahx play`: one page, and the model behind it, for this machine only.

GET  /, /play.js, ...   the page
GET  /about             the model
POST /write             one rewriting (written.rewriting)
POST /run               a machine's configurations, one JSON object a line
POST /train             a training in progress, one JSON object a line; then the page has its model
"""

import json
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from ahx.errors import AhxError, ServiceError
from ahx.evaluation.trained import Trained
from ahx.play import training, written
from ahx.text.printing import printable

HOST, PORT = "127.0.0.1", 8127
_MOST_BYTES = 64_000  # of a request
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
_FILES = {
    "/": ("ahx.play", "play.html", "text/html"),
    "/play.js": ("ahx.play", "play.js", "text/javascript"),
    "/play.css": ("ahx.play", "play.css", "text/css"),
    "/page.css": ("ahx.report", "page.css", "text/css"),
}


class Playground(ThreadingHTTPServer):
    """Serves at http://127.0.0.1:PORT; port 0 takes a free one. Without a model, the page offers to train one.

    Raises ServiceError for a port that is in use.
    """

    daemon_threads = True

    def __init__(self, trained: Trained | None, port: int = PORT) -> None:
        self.trained = trained
        self.lock = threading.Lock()  # of the model: one answer at a time
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ServiceError(f"cannot listen on port {port} ({error}); choose another one with --port") from error

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that goes away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def about(self) -> dict[str, Any]:
        return {"kind": "none"} if self.trained is None else written.about(self.trained)


class _Handler(BaseHTTPRequestHandler):
    server: Playground
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_own():
            return
        if self.path in _FILES:
            package, name, kind = _FILES[self.path]
            self._send(HTTPStatus.OK, (files(package) / name).read_bytes(), f"{kind}; charset=utf-8")
        elif self.path == "/about":
            with self.server.lock:
                self._answer(self.server.about)
        else:
            self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def do_POST(self) -> None:
        if not self._is_own():
            return
        size = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Type") != "application/json" or not size.isdecimal() or int(size) > _MOST_BYTES:
            self.close_connection = True
            self._send(HTTPStatus.BAD_REQUEST, b"", "text/plain")
            return
        body = self.rfile.read(int(size))
        try:
            asked = json.loads(body)
            program, text = (str(asked.get(name, "")) for name in ("program", "input"))
        except (ValueError, AttributeError, RecursionError):
            self._send(HTTPStatus.BAD_REQUEST, b"", "text/plain")
            return
        with self.server.lock:
            trained = self.server.trained
            if not self._is_waited_for():
                self.close_connection = True
            elif self.path == "/train":
                self._stream(self._training(text))
            elif trained is None:
                self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")
            elif self.path == "/write":
                self._answer(lambda: written.rewriting(trained, text))
            elif self.path == "/run":
                self._stream(written.run(trained, program, text))
            else:
                self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def _training(self, rule: str) -> Iterator[dict[str, Any]]:
        for event in training.events(rule):
            if isinstance(event, Trained):
                self.server.trained = event
                yield {"about": self.server.about()}
            else:
                yield event

    def _is_waited_for(self) -> bool:
        """Whether the page is still there: with each key it gives up its earlier requests."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        return not ready or bool(self.connection.recv(1, socket.MSG_PEEK))

    def _is_own(self) -> bool:
        """Whether a page of this server asks, or no page. Browsers let any page send requests to 127.0.0.1, but none
        can choose Host, Origin and Sec-Fetch-Site (https://fetch.spec.whatwg.org/#forbidden-request-header)."""
        host = self.headers.get("Host", "")
        port = self.server.server_address[1]
        own = host in (f"{HOST}:{port}", f"localhost:{port}")
        origins, sites = self.headers.get_all("Origin", []), self.headers.get_all("Sec-Fetch-Site", ["none"])
        if own and set(origins) <= {f"http://{host}"} and set(sites) <= {"none", "same-origin"}:
            return True
        self.close_connection = True
        self._send(
            HTTPStatus.FORBIDDEN,
            b"This page is for this machine only; open the address that it printed.\n",
            "text/plain",
        )
        return False

    def _answer(self, make: Any) -> None:
        try:
            answer = make()
        except AhxError as error:
            answer = {"error": printable(str(error))}
        self._send(HTTPStatus.OK, _line(answer), "application/json")

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        """Lines of JSON as they come, until the page goes away."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(ConnectionError):
            try:
                for event in events:
                    self.wfile.write(_line(event))
                    self.wfile.flush()
            except AhxError as error:
                self.wfile.write(_line({"error": printable(str(error))}))

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
                            ("Content-Security-Policy", _POLICY), ("X-Content-Type-Options", "nosniff")):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def _line(told: Any) -> bytes:
    return json.dumps(told, allow_nan=False).encode() + b"\n"
