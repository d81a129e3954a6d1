"""The constraints in botocore's service models: lengths, patterns, ranges, enumerations.

Clients check few of them. The service reports all violations in one ValidationException.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn

from moto.core.utils import get_service_model

from infra.embedded.http.protocols import AwsError

_SHOWN = 10  # violations in one answer


def check(operation: str, request: dict[str, Any], service: str = "sagemaker") -> None:
    """Raises AwsError (ValidationException) that names each member of `request` that breaks a constraint."""
    found = list(_structure(get_service_model(service).operation_model(operation).input_shape, request, ""))
    if found:
        plural = "s" if len(found) > 1 else ""
        shown = "; ".join(found[:_SHOWN])
        raise AwsError("ValidationException", f"{len(found)} validation error{plural} detected: {shown}")


def shape_of_answer(operation: str, service: str = "sagemaker") -> Any:
    """botocore's shape of the answer of `operation`; None if it is empty."""
    return get_service_model(service).operation_model(operation).output_shape


def refuse(message: str) -> NoReturn:
    raise AwsError("ValidationException", message)


def _structure(shape: Any, value: Any, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_below(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _any(member, value[name], _below(path, name))


def _any(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if not _is_a(kind, value):
        raise AwsError("SerializationException", f"{type(value).__name__} cannot be converted to {kind} at '{path}'")
    for rule in _broken(shape, value):
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {rule}"
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        for number, item in enumerate(value, 1):
            yield from _any(shape.member, item, f"{path}.{number}.member")
    elif kind == "map":
        for key, item in value.items():
            for part, rules in (("key", _broken(shape.key, key)), ("value", _broken(shape.value, item))):
                if text := ", ".join(rules):
                    of = f"Map {part} must satisfy constraint: [{text}]"
                    yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {of}"


def _is_a(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES.get(kind, object)) and not (kind in _NUMBERS and isinstance(value, bool))


_NUMBERS = ("integer", "long", "float", "double")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
}


def _broken(shape: Any, value: Any) -> Iterator[str]:
    """The constraints of `shape` that `value` itself, not its members, violates."""
    rules = shape.metadata
    sized, what = (value, "value") if shape.type_name in _NUMBERS else (None, "length")
    if sized is None and hasattr(value, "__len__"):
        sized = len(value)
    if sized is not None and shape.type_name != "structure":
        if "min" in rules and sized < rules["min"]:
            yield f"Member must have {what} greater than or equal to {rules['min']}"
        if "max" in rules and sized > rules["max"]:
            yield f"Member must have {what} less than or equal to {rules['max']}"
    if isinstance(value, str):
        if "pattern" in rules and not _pattern(rules["pattern"]).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {rules['pattern']}"
        if shape.type_name == "string" and rules.get("enum") and value not in rules["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]"


# Java's character classes that Python's `re` lacks.
_JAVA = {r"\p{L}": r"^\W\d_", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{Alnum}": "a-zA-Z0-9", r"\p{ASCII}": r"\x00-\x7F"}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    if text == r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)":  # a Python character class cannot contain \p{L}
        return re.compile(r"[\w\s.:/=+\-@]*")
    for java, python in _JAVA.items():
        text = text.replace(java, python)
    return re.compile(text)


def _below(path: str, name: str) -> str:
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={item}" for key, item in value.items()) + "}"
    return str(value)
