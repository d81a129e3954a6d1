"""The embedded AWS as a whole: assembles its parts, listens, and stops."""

import errno
import secrets
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from ahx.errors import InputError, ServiceError, StorageError
from infra.embedded import moto_patches
from infra.embedded.access.gate import Gate
from infra.embedded.access.keys import Keys
from infra.embedded.access.signatures import HEADERS
from infra.embedded.app import Application
from infra.embedded.control import Control
from infra.embedded.faults import Faults
from infra.embedded.http.target import TARGET
from infra.embedded.iam import simulation
from infra.embedded.registry.images import Images
from infra.embedded.registry.registry import Registry
from infra.embedded.sagemaker.execution.runners import JobHost, Runners
from infra.embedded.sagemaker.jobs.quotas import Quotas
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.sagemaker.service import SageMaker
from infra.embedded.state.ledger import Ledger
from infra.embedded.state.persistence import NoPersistence, Persistence
from infra.embedded.state.store import Store
from infra.embedded.status_page import PAGE, StatusPage
from infra.embedded.work_folder import WorkFolder
from infra.run_local.docker import docker

HOST, PORT = "127.0.0.1", 4566
REGION = "us-east-1"
_BACKLOG = 512
_IDLE_SECONDS = 300.0  # before a silent connection is closed


class EmbeddedAws:
    """An AWS at http://127.0.0.1:PORT; port 0 takes a free one. Use it in a `with`, or call `start` and `stop`.

    One process can hold one, because moto's state is global. `quotas` are instances by instance type. With `instant`,
    jobs run nothing and complete after that many seconds. `state` is a folder in which state is kept; with `durable`,
    acknowledged changes survive a loss of power. Requests must be signed with the key in `environment`, unless
    `unlocked`; pages of `origins` may send requests. Jobs wait `start_seconds` for their instances.
    """

    def __init__(
        self,
        port: int = PORT,
        *,
        region: str = REGION,
        runners: Runners | None = None,
        quotas: Mapping[str, float] | None = None,
        instant: float | None = None,
        state: str | None = None,
        durable: bool = False,
        unlocked: bool = False,
        origins: Collection[str] = (),
        grace_seconds: float = 120.0,
        start_seconds: float = 0.0,
    ) -> None:
        self.region, self._stopped = region, False
        self._store = Store(state, durable) if state is not None else None
        persistence: Persistence = self._store or NoPersistence()
        ledger = Ledger(persistence.save)
        limits = Quotas(ledger, quotas or {})
        runners = runners or Runners()
        runners.remove_leftovers()
        self._work = WorkFolder()

        self._listeners = [_listen(HOST, port, self._answer)]
        port = self._listeners[0].port
        if runners.gateway:  # by which containers reach this machine
            self._listeners.append(_listen(runners.gateway, port, self._answer))
        self.endpoint = f"http://{HOST}:{port}"

        self._keys = Keys(None if unlocked else self._store.seed() if self._store else secrets.token_bytes())
        clients = OwnClients(self.endpoint, self._keys.own)
        folder = self._store.folder if self._store else self._work.folder
        self._registry = Registry(folder / "registry", persistence, self._keys.own[1])
        images = Images(self._registry, f"{HOST}:{port}", docker)
        inside = {"AWS_ENDPOINT_URL": f"http://{runners.host_name_inside or HOST}:{port}", **self._keys.environment}
        host = JobHost(runners, images.pulled, inside, self._work.folder, grace_seconds, start_seconds)
        self.sagemaker = SageMaker(ledger, limits, clients, host, instant)
        self.faults = Faults()

        names = {HOST, "localhost", *filter(None, (runners.gateway, runners.host_name_inside))}
        gate = Gate(names, port, origins, None if unlocked else self._keys.find)
        operations = {
            **self.sagemaker.operations,
            **self._registry.operations(self.endpoint),
            **self._keys.operations,
            **simulation.OPERATIONS,
        }
        control = Control(self.faults, self.sagemaker.training, self._reset)
        page = StatusPage(self.sagemaker, self.faults, clients, self._keys.own[1])
        self.page = f"{self.endpoint}{PAGE}?token={page.token}"
        self._app = Application(
            gate, self._work.folder, operations, control, page, self._registry, self.faults, clients, persistence
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a program uses this AWS."""
        return {"AWS_ENDPOINT_URL": self.endpoint, **self._keys.environment, "AWS_DEFAULT_REGION": self.region}

    @property
    def running(self) -> int:
        """The number of jobs that are not over."""
        return sum(not job.is_over for job in self.sagemaker.training.jobs.all())

    def kill_jobs(self) -> None:
        """Kill the jobs that `stop` waits for."""
        self.sagemaker.training.kill()

    def start(self) -> "EmbeddedAws":
        moto_patches.apply()
        if self._store:
            try:
                self._load(self._store)
            except StorageError:
                self._close()
                raise
        for listener in self._listeners:
            threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.sagemaker.training.resume()
        return self

    def stop(self) -> None:
        """Stop all jobs gracefully, then the server. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self.sagemaker.close()
        for listener in self._listeners:
            listener.shutdown()
        if self._store:
            self._store.stop()
        self._close()

    def __enter__(self) -> "EmbeddedAws":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _load(self, store: Store) -> None:
        self.sagemaker.restore(
            store.load(self._app.replaying, self.sagemaker.to_json, self.sagemaker.training.jobs.changed)
        )
        store.start()
        self._registry.remove_unused()

    def _reset(self) -> None:
        """Forget jobs, faults, sessions and changed quotas, as moto forgets everything else."""
        self.faults.clear()
        self._keys.forget()
        self.sagemaker.forget()

    def _close(self) -> None:
        for listener in self._listeners:
            listener.server_close()
        self._work.remove()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        return self._app(environ, start)


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto and werkzeug are not typed
    """Sends small answers at once, closes connections on demand, and logs nothing.

    Requests that are not HTTP are expected: Docker tries TLS first.
    """

    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def make_environ(self) -> dict[str, Any]:
        made: dict[str, Any] = super().make_environ()
        return made | {HEADERS: self.headers, TARGET: self.path}

    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _listen(host: str, port: int, app: Any) -> BaseWSGIServer:
    """Raises ServiceError if the port cannot be used."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            reason = f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; choose another port"
            if error.errno == errno.EADDRINUSE:
                reason = f"port {port} is in use; stop what uses it, or choose another: --port 0 takes a free one"
            raise ServiceError(reason) from error
        except OverflowError:
            raise InputError(f"--port: must be from 0 to 65535 (got {port})") from None
        number = listener.getsockname()[1]
        return make_server(host, number, app, threaded=True, request_handler=_Handler, fd=listener.fileno())
