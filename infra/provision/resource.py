"""What all resources share: each has a name, an ARN and the permissions it needs, and is read, compared with what
is wanted, written one attribute at a time, and deleted. Until `api` is used, nothing here imports boto3."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from infra.provision.stack_id import OWNER_TAG, StackId
from infra.provision.statements import Statement

Attributes = dict[str, Any]

# The user's choices are kept on the resource itself, so that drift from them is seen later.
LIMIT_TAG, EMAIL_TAG, MLFLOW_TAG = "ahx:limit", "ahx:email", "ahx:mlflow"
NO_MLFLOW = "none"


@dataclass(frozen=True)
class Choices:
    """What the user may choose. None keeps the earlier choice, or else the default."""

    spend: float | None = None  # USD of the month at which the alarm goes off
    budget: float | None = None  # USD a month
    email: str | None = None  # recipient of mail from alarms and the budget
    mlflow: str | None = None  # ARN of the managed MLflow that jobs report to, or NO_MLFLOW


class Resource(ABC):
    """One resource in AWS. An attribute is what one call can write; its value is plain JSON."""

    kind: str  # as it is printed
    service: str  # as boto3 calls it
    name_format: str  # with fields of StackId
    arn_format: str  # and with {name}
    untagged = "it may be somebody else's"  # why one of this name can lack our tag
    tag_members = "ResourceARN", "Tags"  # what the service calls them in TagResource and ListTagsForResource

    def __init__(self, stack_id: StackId, choices: Choices = Choices(), region: str | None = None) -> None:
        self.stack_id = stack_id
        self.choices = choices
        self.region = region or stack_id.region

    @property
    def name(self) -> str:
        return self.name_format.format(**asdict(self.stack_id))

    @property
    def arn(self) -> str:
        return self.arn_format.format(**asdict(self.stack_id) | {"region": self.region, "name": self.name})

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
        """What they should be, "tags" among them; None when the resource neither exists nor is wanted."""

    @abstractmethod
    def create(self, wanted: Attributes) -> Iterable[str]:
        """Create it, tagged in the same call; the names of the attributes that this sets."""

    @abstractmethod
    def write(self, attribute: str, value: Any) -> None:
        """Set one attribute and no other; `write_tags` sets the tags."""

    def write_tags(self, tags: Mapping[str, str]) -> None:
        arn, member = self.tag_members
        self.api.tag_resource(**{arn: self.arn, member: tag_list(tags)})

    def tags(self) -> dict[str, str]:
        """Those of its tags that this project sets."""
        arn, member = self.tag_members
        return our_tags(self.stack_id, self.api.list_tags_for_resource(**{arn: self.arn})[member])

    @abstractmethod
    def delete(self) -> None:
        """Delete it with its contents. What does not exist any more is no error."""

    def contents(self) -> str | None:
        """What would be lost with it, in words, or None."""
        return None

    @property
    def title(self) -> str:
        """Its name in sentences, such as "bucket ahx-..."."""
        elsewhere = "" if self.region == self.stack_id.region else f" in {self.region}"
        return f"{self.kind} {self.name}{elsewhere}"

    @cached_property
    def api(self) -> Any:
        """The boto3 client."""
        from infra import aws_clients  # names and policies need no boto3

        return aws_clients.client(self.service, self.region)

    def chosen(self, choice: Any, tag: str, live: Attributes | None) -> Any:
        """The user's choice now or, by its tag, an earlier one; else None."""
        return choice if choice is not None else live["tags"].get(tag) if live else None

    def owned(self, live: Attributes) -> bool:
        """Whether it carries our tag."""
        return bool(live["tags"].get(OWNER_TAG) == self.stack_id.prefix)


class Replaced(Resource):
    """A resource that one call, `put`, writes as a whole, apart from its tags."""

    @abstractmethod
    def put(self, values: Attributes, **more: Any) -> None: ...

    def create(self, wanted: Attributes) -> Iterable[str]:
        self.put(wanted, Tags=tag_list(wanted["tags"]))
        return list(wanted)

    def write(self, attribute: str, value: Any) -> None:
        self.put({**(self.read() or {}), attribute: value})


def unless(codes: Container[str], call: Callable[..., Any], **arguments: Any) -> Any:
    """What `call(**arguments)` returns, or None where AWS answers with one of these error codes."""
    from infra import aws_clients

    return aws_clients.unless(codes, call, **arguments)


def our_tags(stack_id: StackId, tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Those of a resource's tags that this project sets; all others are left alone."""
    found = {tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value", "")) for tag in tags}
    return {key: value for key, value in sorted(found.items()) if key in stack_id.tags or key.startswith("ahx:")}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the form that most services take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def document(text: str | Mapping[str, Any]) -> Any:
    """A policy or event pattern in one form, so that equal ones compare equal: AWS returns ["x"] as "x"."""
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
