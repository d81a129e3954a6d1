"""Support of each member of a request: honoured, refused, or accepted without effect.

One table per operation covers every member of botocore's model. From it come the refusals at create, the tables in
docs/embedded-aws.md, and the test that a newer botocore has no member without an entry.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import botocore
from moto.core.utils import get_service_model

from infra.embedded.http.protocols import AwsError


@dataclass(frozen=True)
class Honoured:
    """`how` it takes effect. With `values`, all others are refused with the sentence `otherwise`."""

    how: str
    values: tuple[Any, ...] = ()
    otherwise: str = ""


@dataclass(frozen=True)
class Refused:
    """`why` is the sentence of the refusal. Empty values (false, an empty list or structure) are accepted."""

    why: str


@dataclass(frozen=True)
class Listed:
    """Accepted without effect: `why`."""

    why: str


Member = Honoured | Refused | Listed


class Members:
    """The members of one operation's request.

    `table` maps paths to their support: "InputDataConfig[].DataSource" is a member of each item of a list, "{}" stands
    for each value of a map. An entry covers all members below it that have no entry. `within` maps the start of a path
    to the members of another operation that are nested there.
    """

    def __init__(
        self, operation: str, table: Mapping[str, Member], within: Mapping[str, "Members"] | None = None
    ) -> None:
        self.operation, self.table, self._within = operation, table, dict(within or {})

    def of(self, path: str) -> Member | None:
        """The entry that covers a member; None if there is none."""
        at = path
        while at:
            if at in self.table:
                return self.table[at]
            at = at[: max(at.rfind("."), at.rfind("["), at.rfind("{"), 0)]
        for start, members in self._within.items():
            if path.startswith(start):
                return members.of(path.removeprefix(start))
        return None

    def walk(self) -> Iterator[str]:
        """The paths of all members without members of their own."""
        yield from _leaves(self._shape, "", ())

    def refuse(self, request: dict[str, Any]) -> None:
        """Raises AwsError (ValidationException) for the first member, or value of one, that is refused."""
        for path, generic, value in _given(self._shape, request, "", ""):
            if value is _UNKNOWN:
                known = f"botocore {botocore.__version__}, with which the embedded AWS knows SageMaker's requests"
                raise AwsError("ValidationException", f"{path}: {known}, has no such member; leave it out.")
            member = self.of(generic)
            if isinstance(member, Refused):
                raise AwsError("ValidationException", f"{path}: {member.why}.")
            if isinstance(member, Honoured) and member.values and value not in member.values:
                raise AwsError("ValidationException", f"{path}: {member.otherwise} (got {value}).")

    def rows(self) -> list[str]:
        """The table in Markdown."""
        rows = ["| member | here | |", "|---|---|---|"]
        for path, member in self.table.items():
            here, text = type(member).__name__.lower(), member.how if isinstance(member, Honoured) else member.why
            if isinstance(member, Honoured) and member.values:
                here += ": " + " or ".join(f"`{value}`" for value in member.values)
            rows.append(f"| `{path}` | {here} | {text} |")
        return rows

    @cached_property
    def _shape(self) -> Any:
        return get_service_model("sagemaker").operation_model(self.operation).input_shape


def shared(one: str, other: str) -> list[str]:
    """The members that two structures of the model both have, in the order of the first."""
    first, second = (get_service_model("sagemaker").shape_for(name).members for name in (one, other))
    return [name for name in first if name in second]


_UNKNOWN = object()


def _inner(shape: Any) -> tuple[Any, str]:
    """The shape within lists and maps, and the marks for these in a path."""
    marks = ""
    while shape.type_name in ("list", "map"):
        shape, mark = (shape.member, "[]") if shape.type_name == "list" else (shape.value, "{}")
        marks += mark
    return shape, marks


def _leaves(shape: Any, path: str, above: tuple[str, ...]) -> Iterator[str]:
    for name, member in shape.members.items():
        below = f"{path}.{name}" if path else name
        inner, marks = _inner(member)
        if inner.type_name != "structure":
            yield below
        elif not inner.members or inner.name in above:  # a recursive structure is visited once
            yield below + marks
        else:
            yield from _leaves(inner, below + marks, (*above, inner.name))


def _given(shape: Any, value: Any, path: str, generic: str) -> Iterator[tuple[str, str, Any]]:
    """Each member with a value: its path with and without the indices and keys of items, and the value."""
    if shape.type_name == "structure":
        for name, item in value.items():
            below = (f"{path}.{name}", f"{generic}.{name}") if path else (name, name)
            if item is None:
                continue
            if name not in shape.members:
                yield *below, _UNKNOWN
            else:
                yield from _given(shape.members[name], item, *below)
    elif shape.type_name == "list" and _inner(shape)[0].type_name == "structure":
        for number, item in enumerate(value):
            yield from _given(shape.member, item, f"{path}[{number}]", f"{generic}[]")
    elif shape.type_name == "map" and _inner(shape)[0].type_name == "structure":
        for key, item in value.items():
            yield from _given(shape.value, item, f"{path}{{{key}}}", f"{generic}{{}}")
    elif value not in (False, {}, [], ""):
        yield path, generic, value
