"""Speaks to a running embedded AWS through its control API, at AWS_ENDPOINT_URL."""

import json
import urllib.error
import urllib.request
from typing import Any

from ahx.errors import InputError, ServiceError
from infra.aws import endpoint
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
    request = urllib.request.Request(base + PREFIX + what, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told
    except urllib.error.HTTPError as error:
        with error:
            try:
                reason = json.loads(error.read())["error"]
            except (ValueError, KeyError, TypeError):
                raise ServiceError(f"{base} is not an embedded AWS; start one with `ahx aws`") from None
        raise InputError(reason) from None
    except (OSError, ValueError) as error:
        raise ServiceError(f"no embedded AWS answers at {base}; start one with `ahx aws`") from error
