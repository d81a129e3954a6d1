"""Injected faults: calls that are throttled, fail, hang, are slow or denied, reproducibly by a seed.

A rule applies to a service and an operation (both may be patterns such as "*" or "Put*") at a rate, up to a count.
Rules are tried in the order in which they were added; at most one applies to a call.
"""

import fnmatch
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from infra.embedded.http.protocols import AwsError, Call

KINDS = ("throttle", "error", "hang", "slow", "denied")
MAX_SECONDS = 300.0

# The code and status of throttling, by service, if not ThrottlingException.
_THROTTLES = {"s3": ("SlowDown", 503), "iam": ("Throttling", 400), "monitoring": ("ThrottlingException", 400)}
_RATE = "Rate exceeded"


@dataclass
class Fault:
    """One rule. `seconds` is how long `slow` and `hang` take; `status` is the HTTP status of `error`."""

    kind: str
    service: str = "*"
    operation: str = "*"
    rate: float = 1.0
    count: int = 1_000_000
    seconds: float = 0.0
    status: int = 500
    seed: int = 0
    hits: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate: must be from 0 to 1 (got {self.rate})")
        if self.count < 1:
            raise ValueError(f"count: must be 1 or more (got {self.count})")
        if not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds: must be from 0 to {MAX_SECONDS:g} (got {self.seconds})")
        if not 500 <= self.status <= 599:
            raise ValueError(f"status: must be from 500 to 599 (got {self.status})")
        self._random = random.Random(self.seed)

    def applies_to(self, call: Call) -> bool:
        """Whether it applies to this call; its random numbers advance with each call that matches."""
        matches = fnmatch.fnmatchcase(call.service, self.service) and fnmatch.fnmatchcase(
            call.operation, self.operation
        )
        if not matches or self.hits >= self.count or self._random.random() >= self.rate:
            return False
        self.hits += 1
        return True

    def shown(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Faults:
    """The rules in force."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._lock, self._sleep = threading.Lock(), sleep
        self.rules: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self.rules.append(fault)

    def clear(self) -> None:
        with self._lock:
            self.rules.clear()

    def shown(self) -> list[dict[str, Any]]:
        with self._lock:
            return [rule.shown() for rule in self.rules]

    def apply(self, call: Call) -> None:
        """Apply the first rule that matches. Raises AwsError, or Dropped after a hang."""
        with self._lock:
            rule = next((rule for rule in self.rules if rule.applies_to(call)), None)
        if rule is None:
            return
        if rule.kind == "slow":
            self._sleep(rule.seconds or 1.0)
        elif rule.kind == "hang":
            self._sleep(rule.seconds or MAX_SECONDS)
            raise Dropped
        elif rule.kind == "throttle":
            code, status = _THROTTLES.get(call.service, ("ThrottlingException", 400))
            raise AwsError(code, _RATE if code != "SlowDown" else "Please reduce your request rate.", status)
        elif rule.kind == "denied":
            where = f"{call.service}:{call.operation}"
            code = "AccessDenied" if call.service in ("s3", "iam", "sts", "monitoring") else "AccessDeniedException"
            raise AwsError(code, f"User: test is not authorized to perform: {where} with an explicit deny", 403)
        else:
            code = "InternalError" if call.service == "s3" else "InternalServerError"
            raise AwsError(code, "We encountered an internal error. Please try again.", rule.status)


class Dropped(Exception):
    """The connection must be closed without an answer."""
