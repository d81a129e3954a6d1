"""What all resources have in common: they are read, compared, written one attribute at a time, and deleted."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra import aws_clients
from infra.provision.names import OWNER_TAG, Names

Attributes = dict[str, Any]

# What the user chose, kept on the resource itself, so that a drift from it is seen without being told again.
LIMIT_TAG, EMAIL_TAG = "ahx:limit", "ahx:email"


@dataclass(frozen=True)
class Choices:
    """What the user may choose. None keeps what was chosen before or, where nothing was, takes the default."""

    spend: float | None = None  # USD of the month at which the alarm goes off
    budget: float | None = None  # USD a month
    email: str | None = None  # who hears of alarms and of the budget


class Resource(ABC):
    """One thing in AWS. An attribute is whatever one call can write; their values are plain JSON."""

    kind: str  # as it is printed
    service: str  # as boto3 calls it
    untagged = "it may be somebody else's"  # what one of its name without our tag may be

    def __init__(self, names: Names, choices: Choices, region: str | None = None) -> None:
        self.names = names
        self.choices = choices
        self.region = region or names.region

    @property
    @abstractmethod
    def arn(self) -> str: ...

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
    def name(self) -> str:
        return self.arn.replace("/", ":").rpartition(":")[2]

    @property
    def title(self) -> str:
        """What it is called in sentences, such as "bucket ahx-..."."""
        elsewhere = "" if self.region == self.names.region else f" in {self.region}"
        return f"{self.kind} {self.name}{elsewhere}"

    @cached_property
    def api(self) -> Any:
        """The boto3 client."""
        return aws_clients.client(self.service, self.region)

    def chosen(self, choice: Any, tag: str, live: Attributes | None) -> Any:
        """What the user says now or, by its tag, said before; None when neither."""
        return choice if choice is not None else live["tags"].get(tag) if live else None

    def owned(self, live: Attributes) -> bool:
        """Whether it carries our tag."""
        return bool(live["tags"].get(OWNER_TAG) == self.names.prefix)


def our_tags(names: Names, tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Of a resource's tags those that are this project's business; others may be anybody's and are left alone."""
    found = {tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value", "")) for tag in tags}
    return {key: value for key, value in sorted(found.items()) if key in names.tags or key.startswith("ahx:")}


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
