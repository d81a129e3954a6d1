"""Policies of IAM, from statements. Pure."""

from collections.abc import Iterable
from typing import Any

Statement = dict[str, Any]
Policy = dict[str, Any]

TAGGING = ("ListTagsForResource", "TagResource")  # the actions of most services


def allow(sid: str, actions: Iterable[str], *resources: str) -> Statement:
    """A statement that allows `actions` on ARNs."""
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources)}


def policy(*statements: Statement) -> Policy:
    """A policy. Statements with the same Sid differ in their resources only, and become one."""
    merged: dict[str, Statement] = {}
    for one in statements:
        first = merged.setdefault(one["Sid"], one)
        if first is not one:
            first["Resource"] = sorted({*first["Resource"], *one["Resource"]})
    return {"Version": "2012-10-17", "Statement": list(merged.values())}
