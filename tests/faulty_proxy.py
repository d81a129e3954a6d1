"""An HTTP server that stands before another one, and fails in the ways that networks and services do."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """An answer in the server's place."""

    status: int
    body: str
    headers: dict[str, str]


def answer(status: int = 200, **values: object) -> Answer:
    """An answer of a service with AWS's JSON protocol."""
    return Answer(status, json.dumps(values), {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "1"})


def refusal(status: int, code: str, message: str = "no") -> Answer:
    """An error of such a service."""
    return answer(status, __type=code, message=message)


#: What becomes of a request, from the operation's name, how often it was called before, and the body: an answer in the
#: server's place, seconds of delay before it is passed on ("inf" never answers), or None to pass it on.
Fault = Callable[[str, int, bytes], Answer | float | None]


@dataclass
class Proxy:
    """A proxy before `target`; `calls` counts requests by operation."""

    target: str
    fault: Fault = lambda operation, before, body: None
    calls: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        operation = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        fault = self.fault(operation, self.calls[operation], body)
        self.calls[operation] += 1
        if isinstance(fault, Answer):
            self._reply(handler, fault.status, fault.headers, fault.body.encode())
            return
        if fault is not None:
            self._ended.wait(fault if fault < float("inf") else None)
        if self._ended.is_set():
            return
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            told = connection.getresponse()
            self._reply(handler, told.status, dict(told.headers), told.read())
        finally:
            connection.close()

    def _reply(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """A proxy before `target`, an http:// address, on a port of its own at 127.0.0.1."""
    standing = Proxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                standing.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked has gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that is killed leaves its connection as it is

    with Server(("127.0.0.1", 0), Handler) as server:
        standing.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield standing
        finally:
            standing._ended.set()
            server.shutdown()
            thread.join()
