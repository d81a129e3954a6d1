"""One request to the embedded AWS: control, then faults, then our own operations, and everything else is moto's."""

from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.embedded import control, registry
from infra.embedded.faults import Dropped, Faults
from infra.embedded.journal import IMAGE, REQUEST
from infra.embedded.keeping import Keeping
from infra.embedded.own_clients import OwnClients
from infra.embedded.repeatable import outside
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
    from one of them leaves the request to moto. `keeping` is told of all changes before they are answered.
    """

    def __init__(
        self,
        operations: dict[tuple[str, str], Operation],
        control_api: control.Control,
        images: registry.Registry,
        faults: Faults,
        clients: OwnClients,
        keeping: Keeping,
    ) -> None:
        self._operations, self._control, self._faults, self._clients = operations, control_api, faults, clients
        self._registry, self._keeping = images, keeping
        self._moto = DomainDispatcherApplication(outside()(create_backend_app))
        self.kept = {REQUEST: self._moto, IMAGE: images.answer}  # what answers a request that is made again

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        path = environ.get("PATH_INFO", "")
        if path.startswith(control.PREFIX):
            return self._control(environ, start)
        if path.startswith(registry.PREFIX):
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
                if not reads(call, environ):
                    self._keeping.settle()
                return answer_json(start, answer)
            if reads(call, environ):
                answered: Body = self._moto(environ, start)
                return answered
            return self._keeping.perform(REQUEST, environ, start, self._moto)
        except AwsError as error:
            return answer_error(start, environ, call, error)
        except Dropped:
            raise ConnectionResetError("dropped on demand") from None
