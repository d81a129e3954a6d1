"""An AWS on this machine, over real HTTP, for the tests of whatever talks to AWS."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.embedded.server import EmbeddedAws

REGION = "eu-west-1"


@contextmanager
def serving(instant: float = 0, **options: Any) -> Iterator[str]:
    """Its address. Jobs run nothing, and are over after `instant` seconds. It stops when the context ends."""
    with EmbeddedAws(port=0, region=REGION, instant=instant, unlocked=True, **options) as embedded:
        yield embedded.endpoint


def settings(address: str) -> dict[str, str]:
    """The environment that leads every AWS client there."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": REGION,
    }


def empty(address: str) -> None:
    """Forget everything there."""
    urllib.request.urlopen(f"{address}/moto-api/reset", data=b"").close()
