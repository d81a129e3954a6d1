"""Prefixes of streams and identifiers of log groups in FilterLogEvents (API_FilterLogEvents)."""

import json
import re
from typing import Any

from moto.logs.exceptions import InvalidParameterException
from moto.logs.responses import LogsResponse

_IDENTIFIER = re.compile(r"[\w#+=/:,.@-]*")
_filter_log_events = LogsResponse.filter_log_events


def patch() -> None:
    LogsResponse.filter_log_events = _filter_by_group_and_prefix


def _filter_by_group_and_prefix(self: Any) -> str:
    given = json.loads(self.body)
    identifier, prefix = given.get("logGroupIdentifier"), given.get("logStreamNamePrefix")
    if identifier and not _IDENTIFIER.fullmatch(identifier):
        raise InvalidParameterException(
            "1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: Member must "
            f"satisfy regular expression pattern: {_IDENTIFIER.pattern}"
        )
    if identifier and given.get("logGroupName"):
        raise InvalidParameterException("logGroupName and logGroupIdentifier cannot both be given")
    if identifier:
        given["logGroupName"] = identifier.rpartition(":")[2]
    if prefix is not None:
        if given.get("logStreamNames"):
            raise InvalidParameterException("logStreamNames and logStreamNamePrefix cannot both be given")
        group = self.logs_backend.groups.get(given.get("logGroupName"))
        names = [name for name in group.streams if name.startswith(prefix)] if group else []
        given["logStreamNames"] = names or [""]  # no names would mean all
    self.body = json.dumps(given)
    return str(_filter_log_events(self))
