"""AWS's protocols: which operation a request calls, its input, and results and errors in the protocol's form."""

import json
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import parse_qs

import xmltodict
from awscrt.cbor import AwsCborEncoder
from moto.core.parse import QueryParser
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.serialize import QuerySerializer, SerializationContext
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

ACCOUNT = "123456789012"  # moto's only account

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Body = Iterable[bytes]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_MAX_FORM = 1 << 20  # bytes of a request of a query protocol


class AwsError(Exception):
    """An error of AWS: its `code`, and the HTTP `status`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Call:
    """One request: the service's signing name, the region, and the operation ("" if unknown)."""

    service: str
    region: str
    operation: str
    protocol: str  # json, cbor, rest (S3) or query


def read_call(environ: Environ) -> Call:
    """Service and region from the signature, the operation from where the protocol puts it; not yet that of S3."""
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or _CREDENTIAL.search(
        "Credential=" + _query(environ).get("X-Amz-Credential", "")
    )
    region, service = (signed[2], signed[3]) if signed else ("us-east-1", "s3")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-amz-json"):
        return Call(service, region, environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2], "json")
    if service == "s3":
        return Call(service, region, "", "rest")
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return Call(service, region, environ.get("PATH_INFO", "").rpartition("/")[2], "cbor")
    return Call(service, region, read_form(environ).get("Action", ""), "query")


def with_operation(call: Call, environ: Environ) -> Call:
    """`call` with the operation of S3, which takes longer to find."""
    if call.service != "s3" or call.operation:
        return call
    try:
        return replace(call, operation=str(get_service_router("s3").match(Request(environ))[0].name))
    except NotFound:
        return call


_READS = ("Get", "List", "Describe", "Head", "BatchGet", "Simulate", "Query", "Search", "Filter", "Lookup")
_WAITS = ("ReceiveMessage", "Invoke")  # may take long, and promise nothing about what they change


def reads(call: Call, environ: Environ) -> bool:
    """Whether a call changes no state, judged by its name or its HTTP method."""
    if call.operation and call.service != "s3":
        return call.operation.startswith((*_READS, *_WAITS))
    invokes = call.service in ("lambda", "sagemaker") and environ["PATH_INFO"].endswith("/invocations")
    return invokes or environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS")


def read_body(environ: Environ) -> bytes:
    """The body of the request, which stays readable."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = BytesIO(body)
    return body


def read_json(environ: Environ) -> dict[str, Any]:
    """The body in a JSON protocol, without members that are null. Raises AwsError unless it is an object."""
    try:
        text = read_body(environ) or b"{}"
        request = json.loads(text, parse_constant=_no_number, object_pairs_hook=_without_nulls)
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "The request body is not valid JSON.") from None
    if not isinstance(request, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected.")
    return request


def _without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def read_query(environ: Environ, call: Call) -> dict[str, Any]:
    """The input of `call` in a query protocol. Raises AwsError if it is malformed."""
    try:
        operation = get_service_model(call.service).operation_model(call.operation)
        parsed: dict[str, Any] = QueryParser(operation).parse({"values": read_form(environ)})
    except ValueError as error:
        raise AwsError("MalformedInput", f"The request is malformed: {error}.") from None
    return parsed


def read_form(environ: Environ) -> dict[str, str]:
    """The parameters in a query protocol, from the query string and the body; the first value of each name."""
    form = _query(environ)
    is_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    if is_form and int(environ.get("CONTENT_LENGTH") or 0) <= _MAX_FORM:
        form |= _first(read_body(environ).decode("utf-8", "replace"))
    return form


def answer_json(start: StartResponse, result: dict[str, Any]) -> Body:
    """A result in a JSON protocol."""
    return _send(start, 200, "application/x-amz-json-1.1", json.dumps(result).encode())


def answer_text(start: StartResponse, status: int, text: str) -> Body:
    """A sentence for a client that is not one of AWS."""
    nosniff = [("X-Content-Type-Options", "nosniff")]
    return _send(start, status, "text/plain; charset=utf-8", text.encode() + b"\n", nosniff)


def answer_query(start: StartResponse, call: Call, result: dict[str, Any]) -> Body:
    """A result in a query protocol."""
    operation = get_service_model(call.service).operation_model(call.operation)
    serialized = QuerySerializer(operation, SerializationContext(str(uuid.uuid4()))).serialize(result)
    return _send(start, 200, "text/xml", serialized["body"].encode())


def answer_error(start: StartResponse, environ: Environ, call: Call, error: AwsError) -> Body:
    """`error` in the protocol of `call`."""
    if environ.get("REQUEST_METHOD") == "HEAD":
        return _send(start, error.status, "text/plain", b"")
    plain = {"__type": error.code, "message": error.message}
    if call.protocol == "cbor":
        encoder = AwsCborEncoder()
        encoder.write_data_item(plain)
        return _send(
            start, error.status, "application/cbor", encoder.get_encoded_data(), [("smithy-protocol", "rpc-v2-cbor")]
        )
    if call.protocol == "json" and call.service != "s3":
        body = json.dumps(plain).encode()
        return _send(start, error.status, "application/x-amz-json-1.1", body, [("x-amzn-ErrorType", error.code)])
    details, request = {"Code": error.code, "Message": error.message}, {"RequestId": str(uuid.uuid4())}
    if call.service == "s3":
        details["Code"] = "InternalError" if error.code == "InternalFailure" else error.code
        return _send(start, error.status, "application/xml", xmltodict.unparse({"Error": details | request}).encode())
    kind = "Sender" if error.status < 500 else "Receiver"
    xml = xmltodict.unparse({"ErrorResponse": {"Error": {"Type": kind} | details} | request}, full_document=False)
    return _send(start, error.status, "text/xml", xml.encode())


def _send(start: StartResponse, status: int, kind: str, body: bytes, more: Iterable[tuple[str, str]] = ()) -> Body:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid.uuid4()))]
    start(f"{status} {'OK' if status == 200 else 'Error'}", [*headers, *more])
    return [body]


def _query(environ: Environ) -> dict[str, str]:
    return _first(environ.get("QUERY_STRING", ""))


def _first(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
