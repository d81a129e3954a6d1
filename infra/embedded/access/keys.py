"""The access keys that are accepted: the server's own, those created by IAM, and those of sessions."""

import base64
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from infra.embedded.access.signatures import Key
from infra.embedded.http.protocols import ACCOUNT, AwsError

_SESSION_SECONDS = 12 * 3600


class Keys:
    """`own` is the key that the server prints, of the root user, derived from the secret `seed`.

    Without a seed, for a server that accepts any key, it is test/test.
    """

    def __init__(self, seed: bytes | None) -> None:
        self.own = ("test", "test") if seed is None else _key("AKIA", seed)
        self._sessions: dict[str, tuple[str, Key]] = {}  # by access key id: the token, the key

    @property
    def operations(self) -> dict[tuple[str, str], Callable[[dict[str, Any], str], dict[str, Any] | None]]:
        """The operations of STS for which moto gives everybody the same key."""
        return {
            ("sts", "GetSessionToken"): self.session_token,
            ("sts", "GetFederationToken"): self.federation_token,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The own key as environment variables."""
        return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), self.own, strict=True))

    def find(self, name: str, token: str) -> Key:
        """The key with this access key id. Raises AwsError with the codes of S3."""
        if name == self.own[0]:
            return Key(self.own[1])
        found = self._sessions.get(name) or _of_moto(name)
        if found is None:
            raise AwsError(
                "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403
            )
        wanted, key = found
        if not hmac.compare_digest(wanted.encode(), token.encode()):
            raise AwsError("InvalidToken", "The provided token is malformed or otherwise invalid.")
        if key.expires and key.expires < datetime.now(UTC):
            raise AwsError("ExpiredToken", "The provided token has expired.")
        return key

    def session_token(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """GetSessionToken."""
        seconds = request.get("DurationSeconds", _SESSION_SECONDS)
        if not 900 <= seconds <= 129_600:
            raise AwsError("ValidationError", f"DurationSeconds must be from 900 to 129600 (got {seconds})")
        (name, secret), token = _key("ASIA", secrets.token_bytes()), secrets.token_urlsafe(96)
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        self._sessions[name] = token, Key(secret, expires)
        key = {"AccessKeyId": name, "SecretAccessKey": secret, "SessionToken": token}
        return {"Credentials": key | {"Expiration": expires}}

    def federation_token(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """GetFederationToken."""
        name = request.get("Name", "")
        if not re.fullmatch(r"[\w+=,.@-]{2,32}", name):
            raise AwsError("ValidationError", "Name must be of 2 to 32 letters, digits, or of the characters _+=,.@-")
        user = {
            "FederatedUserId": f"{ACCOUNT}:{name}",
            "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/{name}",
        }
        return self.session_token(request, region) | {"FederatedUser": user, "PackedPolicySize": 0}

    def forget(self) -> None:
        """End all sessions but those of roles, which are moto's."""
        self._sessions.clear()


def _of_moto(name: str) -> tuple[str, Key] | None:
    """The session token and the key of this access key id, if moto created it."""
    for partitions in list(sts_backends.values()):
        for backend in list(partitions.values()):
            for role in list(backend.assumed_roles):
                if role.access_key_id == name:
                    return role.session_token, Key(role.secret_access_key, role.expiration.replace(tzinfo=UTC))
    for partitions in list(iam_backends.values()):
        for backend in list(partitions.values()):
            for user in list(backend.users.values()):
                for key in list(user.access_keys):
                    if key.access_key_id == name and key.status == "Active":
                        return "", Key(key.secret_access_key)
    return None


def _key(prefix: str, seed: bytes) -> tuple[str, str]:
    """An access key id and a secret access key, of the lengths of AWS's."""
    name, secret = (hmac.digest(seed, what, "sha256") for what in (b"access key id", b"secret access key"))
    return prefix + base64.b32encode(name).decode()[:16], base64.b64encode(secret).decode()[:40]
