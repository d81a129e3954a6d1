"""Filters, order and pages of the List operations, and of Search."""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from infra.embedded.http.protocols import AwsError

Item = TypeVar("Item")
Key = Callable[[Item], Any]


def seconds(value: Any) -> float:
    """A timestamp of a request, a number of seconds or a text, in seconds. Raises AwsError if it is neither."""
    try:
        return float(value) if isinstance(value, (int, float)) else datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        raise AwsError("SerializationException", f"{value} cannot be converted to a timestamp") from None


def within(request: dict[str, Any], name: str, when: float) -> bool:
    """Whether `when` is between NAMEAfter and NAMEBefore of the request, if present."""
    after, before = request.get(f"{name}After"), request.get(f"{name}Before")
    return (after is None or when > seconds(after)) and (before is None or when < seconds(before))


def page(
    items: Iterable[Item], order: Key[Item], name: Key[Item], request: dict[str, Any], descending: bool, most: int = 100
) -> tuple[list[Item], dict[str, str]]:
    """One page in the order of `order`, then `name`, and {"NextToken": ...} if there are more.

    A token holds the position of a page's last item, not a count, so that no item appears twice or never when others
    are added or removed between two requests.
    """
    keyed = sorted((([order(item), name(item)], item) for item in items), key=lambda pair: pair[0], reverse=descending)
    if token := request.get("NextToken"):
        last = _read(token)
        try:
            keyed = [pair for pair in keyed if (pair[0] < last if descending else pair[0] > last)]
        except TypeError:
            raise _bad_token() from None
    size = min(int(request.get("MaxResults") or 10), most)
    more = {}
    if len(keyed) > size:
        more["NextToken"] = base64.urlsafe_b64encode(json.dumps(keyed[size - 1][0]).encode()).decode()
    return [item for _, item in keyed[:size]], more


def _read(token: str) -> list[Any]:
    try:
        last = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        raise _bad_token() from None
    if not isinstance(last, list):
        raise _bad_token()
    return last


def _bad_token() -> AwsError:
    return AwsError(
        "ValidationException", "Invalid pagination token: NextToken is not one that this operation returned."
    )
