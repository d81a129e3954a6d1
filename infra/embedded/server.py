"""The embedded AWS as a whole: makes its parts, listens, and stops."""

import errno
import secrets
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from ahx.errors import InputError, ServiceError, StorageError
from infra.embedded import moto_lookup
from infra.embedded.access.gate import Gate
from infra.embedded.access.keys import Keys
from infra.embedded.access.signatures import HEADERS
from infra.embedded.app import Application, Operation
from infra.embedded.control import Control
from infra.embedded.faults import Faults
from infra.embedded.http.target import TARGET
from infra.embedded.iam.simulation import simulate_custom_policy, simulate_principal_policy
from infra.embedded.moto_patches import large_objects, moto_gaps, provisioning
from infra.embedded.registry.images import Images
from infra.embedded.registry.registry import Registry
from infra.embedded.sagemaker.api.defaults import whole
from infra.embedded.sagemaker.execution.lifecycle import Settings
from infra.embedded.sagemaker.execution.runners import Runners, docker
from infra.embedded.sagemaker.jobs.quotas import Quotas
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.jobs.training_jobs import TrainingJobs
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.sagemaker.tags_and_search import Records
from infra.embedded.sagemaker.training.operations import TrainingOperations
from infra.embedded.sagemaker.tuning.operations import TuningOperations
from infra.embedded.state.ledger import Ledger
from infra.embedded.state.persistence import Forgetting, Keeping
from infra.embedded.state.store import State
from infra.embedded.work_folder import Scratch

HOST, PORT = "127.0.0.1", 4566
REGION = "us-east-1"
_BACKLOG = 512
_PATIENCE_SECONDS = 300.0  # with a connection on which nothing comes


class EmbeddedAws:
    """An AWS at http://127.0.0.1:PORT; port 0 takes a free one. Use it in a `with`, or call `start` and `stop`.

    One process can hold one, because moto's state is one for a process. `quotas` are instances by instance type. With
    `instant`, jobs run nothing and are over after that many seconds. `state` is a folder to go on from, and to keep;
    if `durable`, what has been answered survives a loss of power. Requests must be signed with the key in
    `environment`, unless `unlocked`; pages of `origins` may send them too.
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
    ) -> None:
        self.region, self._stopped = region, False
        self._state = State(state, durable) if state is not None else None
        keeping: Keeping = self._state or Forgetting()
        ledger = Ledger(keeping.keep)
        values = Quotas(ledger)
        for instance_type, value in (quotas or {}).items():
            try:
                values.set(instance_type, value)
            except KeyError:
                raise InputError(f"--quota: SageMaker trains on no instance type {instance_type!r}") from None
        self._runners = runners or Runners()
        self._runners.end_left()
        self._scratch = Scratch()
        self._folder = self._scratch.folder
        self._servers = [_listen(HOST, port, self._answer)]
        self.endpoint = f"http://{HOST}:{self._servers[0].port}"
        self._keys = Keys(None if unlocked else self._state.seed() if self._state else secrets.token_bytes())
        clients = OwnClients(self.endpoint, self._keys.own)
        reach = self._reach_of_jobs()
        folder = self._state.folder if self._state else self._folder
        images = self._registry = Registry(folder / "registry", keeping, self._keys.own[1])
        runner = partial(self._runners.of, pulled=Images(images, self.endpoint.removeprefix("http://"), docker).pulled)
        settings = Settings(self._runners.check, runner, self._runners.close, reach, self._folder, grace_seconds)
        self.training = TrainingOperations(TrainingJobs(values, ledger), clients, settings, instant)
        self.faults = Faults()
        self.tuning = TuningOperations(self.training)
        names = {"127.0.0.1", "localhost", *filter(None, (self._runners.gateway, self._runners.host_name_inside))}
        gate = Gate(names, self._servers[0].port, origins, None if unlocked else self._keys.find)
        control = Control(self.faults, self.training, self._reset)
        self._app = Application(
            gate, self._folder, self._operations(images), control, images, self.faults, clients, keeping
        )

    def _operations(self, images: Registry) -> dict[tuple[str, str], Any]:
        """What we answer ourselves; everything else is moto's."""
        quotas, ours = self.training.jobs.quotas, Records(self.training, self.tuning)
        operations: dict[tuple[str, str], Any] = {
            ("sagemaker", name): partial(_whole, name, operation)
            for part in (self.training.operations, self.tuning.operations, ours.operations)
            for name, operation in part.items()
        }
        operations |= {("servicequotas", name): operation for name, operation in quotas.operations.items()}
        operations["ecr", "GetAuthorizationToken"] = partial(images.authorization_token, address=self.endpoint)
        operations["sts", "GetSessionToken"] = self._keys.session_token
        operations["sts", "GetFederationToken"] = self._keys.federation_token
        operations["iam", "SimulatePrincipalPolicy"] = simulate_principal_policy
        operations["iam", "SimulateCustomPolicy"] = simulate_custom_policy
        return operations

    def _own_state(self) -> dict[str, Any]:
        return {
            "quotas": self.training.jobs.quotas.changed,
            "training_jobs": {job.arn: job.to_json() for job in self.training.jobs.all()},
            "tuning_jobs": {job.arn: job.to_json() for job in self.tuning.all()},
        }

    def _restore(self, state: State) -> None:
        saved = state.load(self._app.kept, self._own_state, self.training.jobs.changed)
        quotas = self.training.jobs.quotas
        quotas.changed = saved.get("quotas", {}) | quotas.changed
        self.training.jobs.restore(map(TrainingJob.from_json, saved.get("training_jobs", {}).values()))
        self.tuning.restore(saved.get("tuning_jobs", {}).values())
        state.start()
        self._registry.tidy()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to use this AWS."""
        return {"AWS_ENDPOINT_URL": self.endpoint, **self._keys.environment, "AWS_DEFAULT_REGION": self.region}

    @property
    def running(self) -> int:
        """How many jobs are not over."""
        return sum(not job.is_over for job in self.training.jobs.all())

    def hurry(self) -> None:
        """Kill the jobs that `stop` waits for."""
        self.training.kill()

    def _reset(self) -> None:
        """Forget all jobs, faults and changed quotas, as moto forgets everything else."""
        self.faults.clear()
        self._keys.forget()
        self.tuning.close()
        self.training.kill()
        self.training.close()
        self.tuning.forget()
        self.training.forget()

    def start(self) -> "EmbeddedAws":
        moto_lookup.obey_bucket_policies()
        moto_lookup.take_any_key()
        provisioning.fill_gaps()
        moto_gaps.fill_gaps()
        large_objects.spare_memory()
        if self._state:
            try:
                self._restore(self._state)
            except StorageError:
                self._close()
                raise
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.training.go_on()
        return self

    def stop(self) -> None:
        """Stop all jobs gracefully, then the server. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self.tuning.close()
        self.training.close()
        for server in self._servers:
            server.shutdown()
        if self._state:
            self._state.stop()
        self._close()

    def _close(self) -> None:
        for server in self._servers:
            server.server_close()
        self._scratch.remove()

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
        port = self._servers[0].port
        if bind := self._runners.gateway:
            self._servers.append(_listen(bind, port, self._answer))
        endpoint = f"http://{self._runners.host_name_inside or HOST}:{port}"
        return {"AWS_ENDPOINT_URL": endpoint, **self._keys.environment}


def _whole(name: str, operation: Operation, request: dict[str, Any], region: str) -> dict[str, Any] | None:
    return whole(name, operation(request, region))


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto and werkzeug are not typed
    """Sends small answers at once, really hangs up on demand, and says nothing about each request.

    What is no HTTP is no news either: Docker tries TLS first. Tracebacks come by another way.
    """

    disable_nagle_algorithm = True
    timeout = _PATIENCE_SECONDS

    def make_environ(self) -> dict[str, Any]:
        made: dict[str, Any] = super().make_environ()
        return made | {HEADERS: self.headers, TARGET: self.path}

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _listen(host: str, port: int, app: Any) -> BaseWSGIServer:
    """Raises ServiceError where this is not possible."""
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
