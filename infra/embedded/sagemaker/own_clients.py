"""The embedded AWS's own clients, with which it reads a job's inputs and writes its logs, metrics and artifacts.

They send HTTP requests to the server like any other client, but injected faults do not apply to them.
"""

import secrets
import threading
from typing import Any

import boto3
from botocore.config import Config


class OwnClients:
    """One client for each service and region, created when first needed. `key` is an access key id and its secret."""

    def __init__(self, endpoint: str, key: tuple[str, str]) -> None:
        self.endpoint, self._key = endpoint, key
        self.mark = f"ahx-own/{secrets.token_hex(8)}"
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._made:
                config = Config(
                    user_agent_extra=self.mark,
                    retries={"total_max_attempts": 3},
                    max_pool_connections=32,
                    s3={"addressing_style": "path"},
                )
                self._made[service, region] = boto3.Session(region_name=region).client(
                    service,
                    endpoint_url=self.endpoint,
                    aws_access_key_id=self._key[0],
                    aws_secret_access_key=self._key[1],
                    config=config,
                )
            return self._made[service, region]

    def made(self, environ: dict[str, Any]) -> bool:
        """Whether a request comes from one of these clients."""
        return self.mark in environ.get("HTTP_USER_AGENT", "")
