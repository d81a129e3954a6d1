"""What travels: which operation of which service is called, and answers and errors as each protocol writes them."""

import json
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"  # the one account there is: moto's

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Body = Iterable[bytes]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_MAX_FORM = 1 << 20  # no request of a query protocol is longer


class AwsError(Exception):
    """A refusal as AWS words it. `code` is the error's name there, `status` the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Call:
    """One request: the service by its signing name, the region, the operation ("" where that cannot be told)."""

    service: str
    region: str
    operation: str
    protocol: str  # json, cbor, rest (S3) or query


def read_call(environ: Environ) -> Call:
    """Which operation `environ` calls: from its signature, and from where its protocol, told by headers, says it."""
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or _CREDENTIAL.search(
        "Credential=" + _query(environ).get("X-Amz-Credential", "")
    )
    region, service = (signed[2], signed[3]) if signed else ("us-east-1", "s3")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-amz-json"):
        return Call(service, region, environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2], "json")
    if service == "s3":
        return Call(service, region, _s3_operation(environ), "rest")
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return Call(service, region, environ.get("PATH_INFO", "").rpartition("/")[2], "cbor")
    return Call(service, region, read_form(environ).get("Action", ""), "query")


_READS = ("Get", "List", "Describe", "Head", "BatchGet", "Simulate", "Query", "Search", "Filter", "Lookup")
_WAITS = ("ReceiveMessage", "Invoke")  # may take long; of what they change, nothing was promised


def reads(call: Call, environ: Environ) -> bool:
    """Whether a call changes nothing that is to be kept, as far as its name or method says."""
    if call.operation and call.service != "s3":
        return call.operation.startswith((*_READS, *_WAITS))
    invokes = call.service in ("lambda", "sagemaker") and environ["PATH_INFO"].endswith("/invocations")
    return invokes or environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS")


def read_body(environ: Environ) -> bytes:
    """The body of the request, which stays readable for whoever comes next."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = BytesIO(body)
    return body


def read_json(environ: Environ) -> dict[str, Any]:
    """The body of a JSON protocol, in which null is the same as nothing. Raises AwsError where it is not an object."""
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
    raise ValueError(f"{name} is no number of JSON")


def read_form(environ: Environ) -> dict[str, str]:
    """The body of a query protocol, or the query string; the first value of each name."""
    form = _query(environ)
    is_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    if is_form and int(environ.get("CONTENT_LENGTH") or 0) <= _MAX_FORM:
        form |= _first(read_body(environ).decode("utf-8", "replace"))
    return form


def answer_json(start: StartResponse, result: dict[str, Any]) -> Body:
    """A result of a JSON protocol."""
    return _send(start, 200, "application/x-amz-json-1.1", json.dumps(result).encode())


def answer_text(start: StartResponse, status: int, text: str) -> Body:
    """A sentence for whoever is no client of AWS."""
    return _send(
        start, status, "text/plain; charset=utf-8", text.encode() + b"\n", [("X-Content-Type-Options", "nosniff")]
    )


def answer_xml(start: StartResponse, operation: str, result: dict[str, Any], namespace: str) -> Body:
    """A result of a query protocol."""
    text = (
        f'<{operation}Response xmlns="{namespace}"><{operation}Result>{_xml(result)}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return _send(start, 200, "text/xml", text.encode())


def answer_error(start: StartResponse, environ: Environ, call: Call, error: AwsError) -> Body:
    """`error` as the protocol of `call` writes it."""
    if environ.get("REQUEST_METHOD") == "HEAD":
        return _send(start, error.status, "text/plain", b"")
    if call.protocol == "cbor":
        body = _cbor_map({"__type": error.code, "message": error.message})
        return _send(start, error.status, "application/cbor", body, [("smithy-protocol", "rpc-v2-cbor")])
    code, message = escape(error.code), escape(error.message)
    if call.service == "s3":
        code = "InternalError" if code == "InternalFailure" else code
        return _send(start, error.status, "application/xml", _s3_error(code, message).encode())
    if call.protocol == "json":
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        return _send(start, error.status, "application/x-amz-json-1.1", body, [("x-amzn-ErrorType", error.code)])
    kind = "Sender" if error.status < 500 else "Receiver"
    text = f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return _send(
        start, error.status, "text/xml", f"{text}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>".encode()
    )


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(inner)}</member>" for inner in value)
    return str(value).lower() if isinstance(value, bool) else escape(str(value))


def _send(start: StartResponse, status: int, kind: str, body: bytes, more: Iterable[tuple[str, str]] = ()) -> Body:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid.uuid4()))]
    start(f"{status} {'OK' if status == 200 else 'Error'}", [*headers, *more])
    return [body]


def _s3_error(code: str, message: str) -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{head}<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{uuid.uuid4()}</RequestId></Error>"


def _query(environ: Environ) -> dict[str, str]:
    return _first(environ.get("QUERY_STRING", ""))


def _first(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


_S3_PLAIN = {
    ("GET", 0): "ListBuckets",
    ("GET", 1): "ListObjects",
    ("HEAD", 1): "HeadBucket",
    ("PUT", 1): "CreateBucket",
    ("POST", 1): "DeleteObjects",
    ("DELETE", 1): "DeleteBucket",
    ("GET", 2): "GetObject",
    ("HEAD", 2): "HeadObject",
    ("PUT", 2): "PutObject",
    ("DELETE", 2): "DeleteObject",
}
_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}
# Names that do not follow from the method and the sub-resource.
_S3_NAMED = {
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "versions"): "ListObjectVersions",
    ("GET", "uploads"): "ListMultipartUploads",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "uploadId"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("PUT", "lifecycle"): "PutBucketLifecycleConfiguration",
    ("GET", "lifecycle"): "GetBucketLifecycleConfiguration",
}
_S3_BUCKET = {
    "acl",
    "cors",
    "encryption",
    "location",
    "logging",
    "policy",
    "tagging",
    "versioning",
    "ownershipControls",
}


def _s3_operation(environ: Environ) -> str:
    """The name of an S3 operation, path style, as boto3 calls it."""
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "").lstrip("/")
    depth = 0 if not path else 2 if path.partition("/")[2] else 1
    query = _query(environ)
    for name in query:
        if named := _S3_NAMED.get((method, name)):
            return named
        if name == "publicAccessBlock":
            return f"{_VERBS.get(method, method)}PublicAccessBlock"
        if name in _S3_BUCKET and method in _VERBS:
            return f"{_VERBS[method]}{'Bucket' if depth == 1 else 'Object'}{name[0].upper()}{name[1:]}"
    if method == "PUT" and depth == 2 and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    return _S3_PLAIN.get((method, depth), "")


def _cbor_map(texts: dict[str, str]) -> bytes:
    """A CBOR map (RFC 8949) of fewer than 24 texts."""
    return bytes([0xA0 + len(texts)]) + b"".join(_cbor_text(word) for pair in texts.items() for word in pair)


def _cbor_text(text: str) -> bytes:
    raw = text.encode()
    head = bytes([0x60 + len(raw)]) if len(raw) < 24 else b"\x79" + len(raw).to_bytes(2, "big")
    return head + raw
