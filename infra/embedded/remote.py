"""Speaks to a running embedded AWS through its control API, at AWS_ENDPOINT_URL."""

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


def get(what: str) -> dict[str, Any]:
    return _call("GET", what)


def delete(what: str) -> dict[str, Any]:
    return _call("DELETE", what)


def post(what: str, body: dict[str, Any]) -> dict[str, Any]:
    return _call("POST", what, json.dumps(body).encode())


def _call(method: str, what: str, body: bytes | None = None) -> dict[str, Any]:
    """Raises InputError with the server's words, or ServiceError when there is none."""
    base = endpoint() or _DEFAULT
    signed = AWSRequest(method, base + PREFIX + what, data=body)
    if key := credentials():
        SigV4Auth(key, "ahx", "us-east-1").add_auth(signed)
    request = urllib.request.Request(signed.url, data=body, headers=dict(signed.headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told
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
