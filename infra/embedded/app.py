"""One request to the embedded AWS: the gate, control, faults, our own operations; and everything else is moto's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.embedded import control
from infra.embedded.access.form_upload import check_form
from infra.embedded.access.gate import Gate, in_words_of, is_form
from infra.embedded.faults import Dropped, Faults
from infra.embedded.http.payload import Payload
from infra.embedded.http.wire import (
    AwsError,
    Body,
    Call,
    Environ,
    StartResponse,
    answer_error,
    answer_json,
    answer_text,
    answer_xml,
    read_call,
    read_form,
    read_json,
    reads,
)
from infra.embedded.iam.simulation import NAMESPACE
from infra.embedded.moto_patches.deterministic import outside
from infra.embedded.registry import registry
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.state.journal import IMAGE, REQUEST
from infra.embedded.state.persistence import Keeping, Wsgi

# The XML namespaces of services whose requests are forms.
_QUERY = {"iam": NAMESPACE, "sts": "https://sts.amazonaws.com/doc/2011-06-15/"}

_SEEN = "Signature=" + "0" * 64
_CALL = "ahx.call"

Operation = Callable[[dict[str, Any], str], dict[str, Any] | None]


class Application:
    """The WSGI application. `gate` says who may come in; large bodies are kept in `folder` meanwhile.

    `operations` maps (signing name of the service, operation) to what answers it from its JSON, or IAM's form; None
    from one of them leaves the request to moto. `keeping` is told of all changes before they are answered.
    """

    def __init__(
        self,
        gate: Gate,
        folder: Path,
        operations: dict[tuple[str, str], Operation],
        control_api: control.Control,
        images: registry.Registry,
        faults: Faults,
        clients: OwnClients,
        keeping: Keeping,
    ) -> None:
        self._gate, self._folder = gate, folder
        self._operations, self._control, self._faults, self._clients = operations, control_api, faults, clients
        self._registry, self._keeping = images, keeping
        self._moto = _without_gaps(DomainDispatcherApplication(outside()(_backend)))
        self.kept = {REQUEST: self._moto, IMAGE: images.answer}  # what answers a request that is made again

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        if why := self._gate.stranger(environ):
            return answer_text(start, 403, why)
        start = self._gate.answering(environ, start)
        if self._gate.is_preflight(environ):
            start("204 No Content", [])
            return []
        if registry.is_meant(environ):  # it has a login of its own
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
            if not self._clients.made(environ):
                self._faults.apply(call)
            operation = self._operations.get((call.service, call.operation))
            if operation and call.service in _QUERY:
                answer = operation(read_form(environ), call.region)
                return answer_xml(start, call.operation, answer or {}, _QUERY[call.service])
            if operation and (answer := operation(read_json(environ), call.region)) is not None:
                if not reads(call, environ):
                    self._keeping.settle()
                return answer_json(start, answer)
            if (environ["REQUEST_METHOD"], path.rstrip("/")) == ("POST", "/moto-api/reset"):
                self._control.reset()
            if reads(call, environ):
                answered: Body = self._moto(environ, start)
                return answered
            return self._keeping.perform(REQUEST, environ, start, self._moto)
        except AwsError as error:
            if path.startswith(control.PREFIX):
                return control.refuse(start, error)
            return answer_error(start, environ, call, error)

    def _admit(self, environ: Environ, call: Call, payload: Payload) -> None:
        """Raises AwsError unless the request is signed, and its body is what it says."""
        try:
            signed = self._gate.admit(environ, payload.sha256)
            form_key = self._gate.key_of if is_form(environ) else None
            payload.check(signed, from_anybody=form_key is not None)
            credential = signed.credential if signed else ""
            if form_key:
                credential = check_form(environ, environ["PATH_INFO"].strip("/"), form_key)
            if credential:  # moto takes the service from here, or else from what nobody has signed
                environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, {_SEEN}"
        except AwsError as error:
            raise in_words_of(call, error) from None


def _without_gaps(moto: Wsgi) -> Wsgi:
    """moto, where what it lacks is an error in the service's own protocol, and not a page of HTML."""

    def answer(environ: Environ, start: StartResponse) -> Body:
        try:
            return moto(environ, start)
        except NotImplementedError:
            call: Call = environ.get(_CALL) or read_call(environ)
            what = f"The embedded AWS has no {call.service} {call.operation or 'operation of this kind'}."
            return answer_error(start, environ, call, AwsError("NotImplemented", what, 501))

    return answer


def _backend(service: str | None) -> Any:
    """moto's application of one service, out of which what moto lacks comes as an exception."""
    if service is None:  # moto knows no such service; `_without_gaps` says so to the client
        raise NotImplementedError
    made = create_backend_app(service)
    made.config["PROPAGATE_EXCEPTIONS"] = True
    return made
