"""A client of the control API of a running embedded AWS, at AWS_ENDPOINT_URL."""

import json
import urllib.error
import urllib.request
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ahx.errors import InputError, ServiceError
from infra.aws_clients import credentials, endpoint
from infra.embedded.control import PREFIX

_DEFAULT = "http://127.0.0.1:4566"


def get(path: str) -> dict[str, Any]:
    return _call("GET", path)


def delete(path: str) -> dict[str, Any]:
    return _call("DELETE", path)


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return _call("POST", path, json.dumps(body).encode())


def _call(method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """Raises InputError with the server's message, or ServiceError if no server answers."""
    base = endpoint() or _DEFAULT
    signed = AWSRequest(method, base + PREFIX + path, data=body)
    if key := credentials():
        SigV4Auth(key, "ahx", "us-east-1").add_auth(signed)
    request = urllib.request.Request(signed.url, data=body, headers=dict(signed.headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            parsed: dict[str, Any] = json.loads(answer.read())
            return parsed
    except urllib.error.HTTPError as error:
        with error:
            try:
                reason = str(json.loads(error.read())["error"])
            except (ValueError, KeyError, TypeError):
                raise ServiceError(f"{base} is not an embedded AWS; start one with `ahx aws`") from None
            if error.code == 403:
                raise ServiceError(
                    f"{base}: {reason.rstrip('.')}; export what `ahx aws` printed when it started"
                ) from None
        raise InputError(reason) from None
    except (OSError, ValueError) as error:
        raise ServiceError(f"no embedded AWS answers at {base}; start one with `ahx aws`") from error
