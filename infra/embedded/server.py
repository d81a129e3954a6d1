"""The embedded AWS as a whole: makes its parts, listens, and stops."""

import errno
import shutil
import tempfile
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from ahx.errors import InputError, ServiceError
from infra.embedded import moto_side, provisioning, simulation
from infra.embedded.app import Application
from infra.embedded.control import Control
from infra.embedded.execution import Settings
from infra.embedded.faults import Faults
from infra.embedded.jobs import Jobs
from infra.embedded.own_clients import CREDENTIALS, OwnClients
from infra.embedded.quotas import OPERATIONS as QUOTA_OPERATIONS
from infra.embedded.quotas import Quotas
from infra.embedded.registry import Registry
from infra.embedded.runners import Runners
from infra.embedded.training_jobs import TrainingJobs

HOST, PORT = "127.0.0.1", 4566
REGION = "us-east-1"


class EmbeddedAws:
    """An AWS at http://127.0.0.1:PORT; port 0 takes a free one. Use it in a `with`, or call `start` and `stop`.

    One process can hold one, because moto's state is one for a process. `quotas` are instances by instance type. With
    `instant`, jobs run nothing and are over after that many seconds.
    """

    def __init__(
        self,
        port: int = PORT,
        *,
        region: str = REGION,
        runners: Runners | None = None,
        quotas: Mapping[str, float] | None = None,
        instant: float | None = None,
        grace_seconds: float = 120.0,
    ) -> None:
        self.region, self._stopped = region, False
        self._runners = runners or Runners()
        self._folder = Path(tempfile.mkdtemp(prefix="ahx-aws-"))
        self._servers = [_listen(HOST, port, self._answer)]
        self.endpoint = f"http://{HOST}:{self._servers[0].server_port}"
        clients = OwnClients(self.endpoint)
        values = Quotas()
        for instance_type, value in (quotas or {}).items():
            try:
                values.set(instance_type, value)
            except KeyError:
                raise InputError(f"--quota: SageMaker trains on no instance type {instance_type!r}") from None
        reach = self._reach_of_jobs()
        settings = Settings(self._runners.of, reach, self._folder, grace_seconds)
        self.training = TrainingJobs(Jobs(values), clients, settings, instant)
        self.faults = Faults()
        operations: dict[tuple[str, str], Any] = {
            ("sagemaker", name): operation for name, operation in self.training.operations.items()
        }
        for name in QUOTA_OPERATIONS:
            operations["servicequotas", name] = partial(values.answer, name)
        images = Registry(self._folder / "registry")
        operations[("ecr", "GetAuthorizationToken")] = partial(images.authorization_token, address=self.endpoint)
        self._app = Application(operations, Control(self.faults, self.training), images, self.faults, clients)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to use this AWS."""
        return {"AWS_ENDPOINT_URL": self.endpoint, **CREDENTIALS, "AWS_DEFAULT_REGION": self.region}

    @property
    def running(self) -> int:
        """How many jobs are not over."""
        return sum(not job.is_over for job in self.training.jobs.all())

    def hurry(self) -> None:
        """Kill the jobs that `stop` waits for."""
        self.training.kill()

    def start(self) -> "EmbeddedAws":
        moto_side.obey_bucket_policies()
        provisioning.fill_gaps()
        simulation.teach()
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop all jobs gracefully, then the server. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self.training.close()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "EmbeddedAws":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        return self._app(environ, start)

    def _reach_of_jobs(self) -> dict[str, str]:
        """The environment with which jobs reach us; containers come in through an address of their own."""
        port = self._servers[0].server_port
        if bind := self._runners.gateway:
            self._servers.append(_listen(bind, port, self._answer))
        endpoint = f"http://{self._runners.host_name_inside or HOST}:{port}"
        return {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto and werkzeug are not typed
    """Says nothing about each request, and sends small answers at once."""

    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Errors only; a line for each request would bury them. Docker tries TLS first, which is none."""
        if type == "error" and args[:1] != (400,):
            super().log(type, message, *args)


def _listen(host: str, port: int, app: Any) -> BaseWSGIServer:
    try:
        return make_server(host, port, app, threaded=True, request_handler=_Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} is in use; stop what uses it, or choose another: ahx aws --port 0 takes a free one"
        else:
            reason = f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; choose another port"
        raise ServiceError(reason) from error
    except SystemExit:  # werkzeug prints its own advice, and exits
        raise ServiceError(f"port {port} is in use; stop what uses it, or choose another with --port") from None
