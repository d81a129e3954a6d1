"""The WSGI application: the gate, then the control API, faults, our own operations, or else moto."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.embedded import control
from infra.embedded.access.form_upload import check_form
from infra.embedded.access.gate import Gate, in_words_of, is_form
from infra.embedded.access.payload import Payload
from infra.embedded.faults import Dropped, Faults
from infra.embedded.http.protocols import (
    AwsError,
    Body,
    Call,
    Environ,
    StartResponse,
    answer_error,
    answer_json,
    answer_query,
    answer_text,
    read_call,
    read_json,
    read_query,
    reads,
    with_operation,
)
from infra.embedded.moto_patches.deterministic import outside
from infra.embedded.registry import registry
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.state.journal import IMAGE, REQUEST
from infra.embedded.state.persistence import Persistence, Wsgi
from infra.embedded.status_page import StatusPage

_PLACEHOLDER = "Signature=" + "0" * 64
_CALL = "ahx.call"
_QUERY_SERVICES = ("iam", "sts")

Operation = Callable[[dict[str, Any], str], dict[str, Any] | None]


class Application:
    """Every request to the embedded AWS. Large bodies are kept in `folder` while they are answered.

    `operations` maps (signing name of the service, operation) to a function of its input and the region; where it
    returns None, moto answers. `persistence` saves every change before it is answered.
    """

    def __init__(
        self,
        gate: Gate,
        folder: Path,
        operations: dict[tuple[str, str], Operation],
        control_api: control.Control,
        page: StatusPage,
        images: registry.Registry,
        faults: Faults,
        clients: OwnClients,
        persistence: Persistence,
    ) -> None:
        self._gate, self._folder = gate, folder
        self._page = page
        self._operations, self._control, self._faults, self._clients = operations, control_api, faults, clients
        self._registry, self._persistence = images, persistence
        self._moto = _answering_gaps(DomainDispatcherApplication(outside()(_backend)))
        self.replaying: dict[bytes, Wsgi] = {REQUEST: self._moto, IMAGE: images.answer}  # by kind of journal record

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        if why := self._gate.cross_origin(environ):
            return answer_text(start, 403, why)
        start = self._gate.with_cors(environ, start)
        if self._gate.is_preflight(environ):
            start("204 No Content", [])
            return []
        if self._page.is_meant(environ):  # it has a token
            return self._page(environ, start)
        if registry.is_meant(environ):  # it has its own login
            return self._registry(environ, start)
        payload = Payload(environ, self._folder)
        try:
            return self._answer(environ, start, read_call(environ), payload)
        except Dropped:
            raise ConnectionResetError("dropped on demand") from None
        finally:
            payload.close()

    def _answer(self, environ: Environ, start: StartResponse, call: Call, payload: Payload) -> Body:
        path, environ[_CALL] = environ.get("PATH_INFO", ""), call
        try:
            self._admit(environ, call, payload)
            if path.startswith(control.PREFIX):
                return self._control(environ, start)
            if self._faults.rules and not self._clients.made(environ):
                self._faults.apply(with_operation(call, environ))
            operation = self._operations.get((call.service, call.operation))
            if operation and call.service in _QUERY_SERVICES:
                return answer_query(start, call, operation(read_query(environ, call), call.region) or {})
            if operation and (answer := operation(read_json(environ), call.region)) is not None:
                if not reads(call, environ):
                    self._persistence.sync()
                return answer_json(start, answer)
            if (environ["REQUEST_METHOD"], path.rstrip("/")) == ("POST", "/moto-api/reset"):
                self._control.reset()
            if reads(call, environ):
                return self._moto(environ, start)
            return self._persistence.perform(REQUEST, environ, start, self._moto)
        except AwsError as error:
            if path.startswith(control.PREFIX):
                return control.refuse(start, error)
            return answer_error(start, environ, call, error)

    def _admit(self, environ: Environ, call: Call, payload: Payload) -> None:
        """Raises AwsError unless the request is signed and its body matches its headers."""
        try:
            signed = self._gate.admit(environ, payload.sha256)
            form_key = self._gate.key_of if is_form(environ) else None
            payload.check(signed, unauthenticated=form_key is not None)
            credential = signed.credential if signed else ""
            if form_key:
                credential = check_form(environ, environ["PATH_INFO"].strip("/"), form_key)
            if credential:  # where moto reads the service; otherwise it goes by unsigned parts of the request
                scope = f"Credential={credential}, SignedHeaders=host, {_PLACEHOLDER}"
                environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 {scope}"
        except AwsError as error:
            raise in_words_of(call, error) from None


def _answering_gaps(moto: Wsgi) -> Wsgi:
    """moto, with an error in the service's protocol, instead of an HTML page, for what it does not implement."""

    def answer(environ: Environ, start: StartResponse) -> Body:
        try:
            return moto(environ, start)
        except NotImplementedError:
            call: Call = with_operation(environ.get(_CALL) or read_call(environ), environ)
            what = f"The embedded AWS has no {call.service} {call.operation or 'operation of this kind'}."
            return answer_error(start, environ, call, AwsError("NotImplemented", what, 501))

    return answer


def _backend(service: str | None) -> Any:
    """moto's application of one service, which raises NotImplementedError for what it does not implement."""
    if service is None:
        raise NotImplementedError
    made = create_backend_app(service)
    made.config["PROPAGATE_EXCEPTIONS"] = True
    return made
