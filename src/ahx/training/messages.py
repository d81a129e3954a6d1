"""What a field accepts, in words, and pydantic's errors as sentences."""

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ahx.text.suggest import did_you_mean


def field_type(field: FieldInfo) -> tuple[object, list[object], bool]:
    """The field's type without None, its constraints, and whether None is allowed."""
    annotation, constraints = field.annotation, list(field.metadata)
    parts = [part for part in get_args(annotation) if part is not NoneType]
    optional = get_origin(annotation) is not Literal and len(parts) == 1
    if optional:
        annotation = parts[0]
        if hasattr(annotation, "__metadata__"):  # Annotated[int, Field(...)] | None
            constraints += [part for info in annotation.__metadata__ for part in getattr(info, "metadata", [info])]
            annotation = get_args(annotation)[0]
    return annotation, constraints, optional


def accepted(field: FieldInfo) -> str:
    """What the field accepts: "a whole number from 1 to 1,000", "one of muon, adamw", "true or false"."""
    kind, constraints, _ = field_type(field)
    if field.title:
        return field.title
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    if kind is str:
        return "text" if not _bound(constraints, "min_length") else "text that is not empty"
    return ("a whole number" if kind is int else "a number") + _range(constraints)


def _bound(constraints: Iterable[object], name: str) -> int | float | None:
    return next((bound for c in constraints if (bound := getattr(c, name, None)) is not None), None)


def _range(constraints: list[object]) -> str:
    least, above = _bound(constraints, "ge"), _bound(constraints, "gt")
    most, below = _bound(constraints, "le"), _bound(constraints, "lt")
    if above is not None:
        return f" greater than {above}"
    if least is None:
        return ""
    if most is not None:
        return f" from {least:,} to {most:,}"
    return f" of at least {least:,}" + (f" and less than {below}" if below is not None else "")


def explain(
    error: ValidationError, fields: Mapping[str, FieldInfo], origins: Mapping[str, str] | None = None
) -> list[str]:
    """One sentence for each error. `origins` says where a field's value was written, for fields that have an entry.

    "n_layer: must be a whole number from 1 to 1,000 (got 'zero' from SM_HP_N_LAYER)"
    """
    sentences: list[str] = []
    for one in error.errors(include_url=False):
        if one["type"] == "default_factory_not_called":  # a default that depends on a wrong field
            continue
        if not one["loc"]:  # a check over several fields has its own sentences
            sentences += str(one["ctx"]["error"]).splitlines()
            continue
        name = str(one["loc"][0])
        if name not in fields:
            sentences.append(f"unknown hyperparameter {name!r}" + did_you_mean(name, fields))
            continue
        field, got = fields[name], one["input"]
        origin = (origins or {}).get(name, "")
        source = f" from {origin}" if origin else ""
        shown = repr(got) if isinstance(got, str) else str(got).lower() if isinstance(got, bool) else str(got)
        choices = get_args(field.annotation) if one["type"] == "literal_error" else ()
        hint = did_you_mean(str(got), choices)
        no_text = one["type"] == "string_unicode" or (isinstance(got, str) and "\0" in got)
        wanted = "text in UTF-8, without NUL" if no_text else accepted(field)
        sentences.append(f"{name}: must be {wanted} (got {shown[:80]}{source}){hint}")
    return sentences


def as_list(sentences: list[str]) -> str:
    """One sentence as it is; several as a list with a line each."""
    if len(sentences) == 1:
        return sentences[0]
    return f"{len(sentences)} things are wrong:\n" + "\n".join(f"  - {sentence}" for sentence in sentences)


def default_text(field: FieldInfo) -> str:
    """ "(default: 2)" for help; nothing for None, False, and defaults that depend on other fields."""
    if field.default_factory is not None or field.default is None or field.default is False:
        return ""
    return f" (default: {field.default:g})" if isinstance(field.default, float) else f" (default: {field.default})"


def metavar(field: FieldInfo) -> str:
    """The placeholder of the value in help: N, X, {a,b} or TEXT."""
    kind, _, _ = field_type(field)
    if get_origin(kind) is Literal:
        return "{" + ",".join(get_args(kind)) + "}"
    return {bool: "true|false", int: "N", float: "X"}.get(kind, "TEXT") if isinstance(kind, type) else "TEXT"
