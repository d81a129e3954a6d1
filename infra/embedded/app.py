"""One request to the embedded AWS: control, then faults, then our own operations, and everything else is moto's."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.embedded import control, registry
from infra.embedded.faults import Dropped, Faults
from infra.embedded.own_clients import OwnClients
from infra.embedded.simulation import NAMESPACE
from infra.embedded.wire import (
    AwsError,
    Body,
    Environ,
    StartResponse,
    answer_error,
    answer_json,
    answer_xml,
    read_call,
    read_form,
    read_json,
    reads,
)

Operation = Callable[[dict[str, Any], str], dict[str, Any] | None]


class Application:
    """The WSGI application.

    `operations` maps (signing name of the service, operation) to what answers it from its JSON, or IAM's form; None
    from one of them leaves the request to moto. `writing` wraps what changes moto's state.
    """

    def __init__(
        self,
        operations: dict[tuple[str, str], Operation],
        control_api: control.Control,
        images: registry.Registry,
        faults: Faults,
        clients: OwnClients,
        writing: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._operations, self._control, self._faults, self._clients = operations, control_api, faults, clients
        self._registry, self._writing = images, writing
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        path = environ.get("PATH_INFO", "")
        if path.startswith(control.PREFIX):
            return self._control(environ, start)
        if path.startswith(registry.PREFIX):
            with self._writing("ecr"):
                return self._registry(environ, start)
        call = read_call(environ)
        try:
            if not self._clients.made(environ):
                self._faults.apply(call)
            operation = self._operations.get((call.service, call.operation))
            if operation and call.service == "iam":
                answer = operation(read_form(environ), call.region)
                return answer_xml(start, call.operation, answer or {}, NAMESPACE)
            if operation and (answer := operation(read_json(environ), call.region)) is not None:
                return answer_json(start, answer)
        except AwsError as error:
            return answer_error(start, environ, call, error)
        except Dropped:
            raise ConnectionResetError("dropped on demand") from None
        kept = nullcontext() if reads(call, environ["REQUEST_METHOD"]) else self._writing(call.service)
        with kept:
            answered: Body = self._moto(environ, start)
        return answered
