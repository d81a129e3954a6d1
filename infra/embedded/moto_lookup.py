"""The few places where we look inside moto, which is pinned for that: roles, buckets and policies, keys, networks."""

from typing import Any

from moto.backends import get_backend
from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.moto_server.utilities import RegexConverter
from moto.s3.models import FakeBucket, s3_backends
from werkzeug.routing import BaseConverter

from infra.embedded.http.wire import ACCOUNT
from infra.embedded.iam.policy import Decision, decide


def backend(backends: Any, partition: str = "aws") -> Any:
    """The state of a service that knows no regions."""
    return backends[ACCOUNT][partition]


def role(arn: str) -> Any | None:
    """moto's role of this ARN."""
    roles = backend(iam_backends, arn.split(":")[1]).roles.values()
    return next((role for role in roles if role.arn == arn), None)


def bucket(name: str) -> Any | None:
    """moto's bucket of this name, in any region."""
    return backend(s3_backends).buckets.get(name)


def has_key(name: str, prefix: str) -> bool:
    """Whether an object of the bucket has this key, or a key that begins so."""
    held = bucket(name)
    return held is not None and any(key.startswith(prefix) for key in held.keys)


def has_kms_key(name: str, region: str) -> bool:
    """Whether there is an enabled key of this identifier, alias or ARN."""
    if name.startswith("arn:") and name.split(":")[3:5] != [region, ACCOUNT]:
        return False
    keys = get_backend("kms")[ACCOUNT][region]
    alias = keys.get_alias_name(name)
    held = keys.get_key_id_from_alias(alias) if alias.startswith("alias/") else keys.get_key_id(name)
    return held in keys.keys and keys.keys[held].enabled


def has_network_part(kind: str, name: str, region: str) -> bool:
    """Whether there is a subnet, or a security group, of this identifier."""
    ec2 = get_backend("ec2")[ACCOUNT][region]
    if kind == "Subnets":
        return any(name in zone for zone in ec2.subnets.values())
    return ec2.get_security_group_from_id(name) is not None


def take_any_key() -> None:
    """Have moto's routes take keys with line breaks: they are regular expressions, whose dot takes none."""
    RegexConverter.__init__ = _set_regex


def _set_regex(self: Any, url_map: Any, *items: Any) -> None:
    BaseConverter.__init__(self, url_map)
    self.regex = f"(?s:{items[0]})"


def obey_bucket_policies() -> None:
    """Have moto judge bucket policies with their conditions.

    It ignores conditions, so that a policy which denies what comes without TLS denies everything. Here every request
    counts as TLS: whoever calls is on this machine, and plain HTTP stands in for HTTPS.
    """
    FakeBucket.get_permission = _permission


def _permission(held: Any, action: str, resource: str) -> PermissionResult:
    if held.policy is None:
        return PermissionResult.NEUTRAL
    context = {"aws:SecureTransport": "true", "aws:PrincipalAccount": ACCOUNT}
    decision = decide([held.policy.decode()], action, resource, context, principal=f"arn:aws:iam::{ACCOUNT}:root")
    return _PERMISSIONS[decision.outcome]


_PERMISSIONS = {
    Decision.ALLOWED: PermissionResult.PERMITTED,
    Decision.EXPLICIT_DENY: PermissionResult.DENIED,
    Decision.IMPLICIT_DENY: PermissionResult.NEUTRAL,
}
