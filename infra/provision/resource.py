"""What all resources share: each knows its name, its ARN and the permissions it takes, and is read, compared with what
is wanted, written one attribute at a time, and deleted. Until `api` is used, nothing here imports boto3."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.provision.stack_id import OWNER_TAG, StackId

Attributes = dict[str, Any]
Statement = dict[str, Any]  # of a policy
Policy = dict[str, Any]

# What the user chose, kept on the resource itself, so that a drift from it is seen without being told again.
LIMIT_TAG, EMAIL_TAG = "ahx:limit", "ahx:email"

TAGGING = ("ListTagsForResource", "TagResource")  # the actions of most services


@dataclass(frozen=True)
class Choices:
    """What the user may choose. None keeps what was chosen before or, where nothing was, takes the default."""

    spend: float | None = None  # USD of the month at which the alarm goes off
    budget: float | None = None  # USD a month
    email: str | None = None  # who is mailed by alarms and by the budget


class Resource(ABC):
    """One thing in AWS. An attribute is whatever one call can write; their values are plain JSON."""

    kind: str  # as it is printed
    service: str  # as boto3 calls it
    untagged = "it may be somebody else's"  # what one of its name without our tag may be

    def __init__(self, stack_id: StackId, choices: Choices = Choices(), region: str | None = None) -> None:
        self.stack_id = stack_id
        self.choices = choices
        self.region = region or stack_id.region

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def arn(self) -> str: ...

    @abstractmethod
    def provisioner_permissions(self) -> list[Statement]:
        """To read, write and delete it. Statements with the same Sid become one."""

    def user_permissions(self) -> list[Statement]:
        """To use it from a laptop."""
        return []

    def job_permissions(self) -> list[Statement]:
        """To use it in a training job."""
        return []

    @abstractmethod
    def read(self) -> Attributes | None:
        """The attributes that AWS has now, "tags" among them; None when there is no such resource."""

    @abstractmethod
    def wanted(self, live: Attributes | None) -> Attributes | None:
        """What they should be; None when it is neither there nor asked for. Includes those of `tags`."""

    @abstractmethod
    def create(self, wanted: Attributes) -> Iterable[str]:
        """Make it, tagged in the same call, and return the names of the attributes that are right from the start."""

    @abstractmethod
    def write(self, attribute: str, value: Any) -> None:
        """Set one attribute and leave the others as they are."""

    @abstractmethod
    def delete(self) -> None:
        """Delete it with all that is in it. Anything that is gone already is fine."""

    def contents(self) -> str | None:
        """What would be lost with it, in words; None when nothing would."""
        return None

    @property
    def title(self) -> str:
        """What it is called in sentences, such as "bucket ahx-..."."""
        elsewhere = "" if self.region == self.stack_id.region else f" in {self.region}"
        return f"{self.kind} {self.name}{elsewhere}"

    @cached_property
    def api(self) -> Any:
        """The boto3 client."""
        from infra import aws_clients  # names and policies need no boto3

        return aws_clients.client(self.service, self.region)

    def chosen(self, choice: Any, tag: str, live: Attributes | None) -> Any:
        """What the user says now or, by its tag, said before; None when neither."""
        return choice if choice is not None else live["tags"].get(tag) if live else None

    def owned(self, live: Attributes) -> bool:
        """Whether it carries our tag."""
        return bool(live["tags"].get(OWNER_TAG) == self.stack_id.prefix)


def unless(codes: Container[str], call: Callable[..., Any], **arguments: Any) -> Any:
    """What `call(**arguments)` returns, or None where AWS answers with one of these error codes."""
    from infra import aws_clients

    return aws_clients.unless(codes, call, **arguments)


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


def our_tags(stack_id: StackId, tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Those of a resource's tags that this project sets; all others are left alone."""
    found = {tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value", "")) for tag in tags}
    return {key: value for key, value in sorted(found.items()) if key in stack_id.tags or key.startswith("ahx:")}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def document(text: str | Mapping[str, Any]) -> Any:
    """A policy, an event pattern and the like, so that equal ones compare equal: AWS returns ["x"] as "x"."""
    value = json.loads(text) if isinstance(text, str) else text
    return _canonical(value)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        if not all(isinstance(item, str) for item in items):
            return items
        return items[0] if len(items) == 1 else sorted(items)
    return value
