"""Lookups in moto's state: roles, buckets, KMS keys, subnets and security groups."""

from typing import Any

from moto.backends import get_backend
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from infra.embedded.http.protocols import ACCOUNT


def backend(backends: Any, partition: str = "aws") -> Any:
    """The state of a service without regions."""
    return backends[ACCOUNT][partition]


def role(arn: str) -> Any | None:
    """The role of this ARN."""
    roles = backend(iam_backends, arn.split(":")[1]).roles.values()
    return next((role for role in roles if role.arn == arn), None)


def bucket(name: str) -> Any | None:
    """The bucket of this name, in any region."""
    return backend(s3_backends).buckets.get(name)


def has_key(name: str, prefix: str) -> bool:
    """Whether the bucket has an object whose key begins with `prefix`."""
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
