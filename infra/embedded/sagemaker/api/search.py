"""Search by any property of training jobs and tuning jobs, after API_Search and API_Filter."""

import operator
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.api.listing import page

_MAX_DEPTH = 10
_ORDERED: dict[str, Callable[[float, float], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def search(records: list[dict[str, Any]], request: dict[str, Any], name: str) -> dict[str, Any]:
    """The matching records of one resource, by default the last modified first, by the name property `name`."""
    resource, expression = request["Resource"], request.get("SearchExpression")
    found = [record for record in records if expression is None or _matches(record, expression, 0)]
    by = request.get("SortBy", "LastModifiedTime")
    descending = request.get("SortOrder", "Descending") == "Descending"
    rows, more = page(found, lambda one: _sortable(one, by), lambda one: one[name], request, descending)
    total = {"TotalHits": {"Value": len(found), "Relation": "EqualTo"}}
    return {"Results": [{resource: record} for record in rows]} | total | more


def _matches(record: dict[str, Any], expression: dict[str, Any], depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise AwsError("ValidationException", "The search expression is nested too deeply.")
    tests: list[bool] = []
    for one in expression.get("Filters", []):
        tests.append(_passes(list(_values(record, one["Name"])), one))
    for nested in expression.get("NestedFilters", []):
        prefix = nested["NestedPropertyName"]
        items = [item for value in _values(record, prefix) for item in (value if isinstance(value, list) else [value])]
        inner = [one | {"Name": one["Name"].removeprefix(f"{prefix}.")} for one in nested["Filters"]]
        tests.append(any(all(_passes(list(_values(item, one["Name"])), one) for one in inner) for item in items))
    tests += [_matches(record, inner, depth + 1) for inner in expression.get("SubExpressions", [])]
    if not tests:
        raise AwsError(
            "ValidationException", "SearchExpression needs at least one filter, nested filter or subexpression."
        )
    return any(tests) if expression.get("Operator") == "Or" else all(tests)


def _values(record: Any, path: str) -> Iterator[Any]:
    """The values at a dotted property name. Names of hyperparameters and tags may contain dots themselves."""
    if isinstance(record, list):
        for item in record:
            yield from _values(item, path)
    elif isinstance(record, dict):
        if path in record:
            yield record[path]
            return
        first, _, rest = path.partition(".")
        if first == "Tags" and rest:
            yield from (tag["Value"] for tag in record.get("Tags", []) if tag["Key"] == rest)
        elif first == "Metrics" and rest:
            metrics = record.get("FinalMetricDataList", [])
            yield from (metric["Value"] for metric in metrics if metric["MetricName"] == rest)
        elif first in record and rest:
            yield from _values(record[first], rest)


def _passes(values: list[Any], one: dict[str, Any]) -> bool:
    name, wanted = str(one.get("Operator", "Equals")), str(one.get("Value", ""))
    if name in ("Exists", "NotExists"):
        return bool(values) == (name == "Exists")
    if name == "NotEquals":
        return not any(_same(value, wanted) for value in values)
    if name == "In":
        return any(str(value) in wanted.split(",") for value in values)
    if name == "Contains":
        return any(wanted in str(value) for value in values)
    if name in _ORDERED:
        pairs = [(_number(value), _number(wanted)) for value in values]
        compare = _ORDERED[name]
        return any(a is not None and b is not None and compare(a, b) for a, b in pairs)
    return any(_same(value, wanted) for value in values)


def _same(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, (int, float)):
        return bool(value == _number(wanted))
    return str(value) == wanted


def _number(value: Any) -> float | None:
    """A number, or a time in seconds; None if it is neither."""
    try:
        return float(value)
    except (TypeError, ValueError):
        try:
            return datetime.fromisoformat(str(value)).timestamp()
        except ValueError:
            return None


def _sortable(record: dict[str, Any], by: str) -> list[Any]:
    """A sort key: first records without the property, then numbers, then texts."""
    value = next(_values(record, by), None)
    if isinstance(value, (int, float)):
        return [1, float(value), ""]
    return [0, 0.0, ""] if value is None else [2, 0.0, str(value)]
