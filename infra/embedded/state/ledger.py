"""The lock under which jobs change; it saves every change before anyone can see it."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from infra.embedded.http.protocols import AwsError


@dataclass
class Persisted:
    """A training or tuning job. `section` names its part of saved state. In a ledger, setting an attribute saves it."""

    section: ClassVar[str]
    request: dict[str, Any]
    region: str
    arn: str

    def __setattr__(self, name: str, value: Any) -> None:
        before = self.__dict__.get(name)
        object.__setattr__(self, name, value)
        if before is value or before != value:  # an equal copy is no change; `a |= b` changes the object in place
            self.touch()

    def join(self, ledger: "Ledger") -> None:
        """Save changes in this ledger from now on."""
        self.__dict__["_ledger"] = ledger

    def touch(self) -> None:
        """Save the job: the value of an attribute has changed in place."""
        if ledger := self.__dict__.get("_ledger"):
            ledger.touch(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """The inverse of `to_json`, also of a version with other attributes."""
        return cls(**{one.name: saved[one.name] for one in fields(cls) if one.name in saved})

    def to_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


class Ledger(threading.Condition):
    """Saves changed jobs and notifies waiting threads when it is released; if saving fails, at a later release.

    An operation uses `record` or `changing` instead, which report the failure to its client.
    """

    def __init__(self, save: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(threading.RLock())
        self._save, self._warned = save, False
        self._touched: dict[str, Persisted] = {}

    def touch(self, job: Persisted) -> None:
        self._touched[job.arn] = job

    def save(self, section: str, name: str, value: Any) -> None:
        """Save a value that is not a job. Raises AwsError."""
        self._save({section: {name: value}})

    def record(self, job: Persisted, gone: bool = False) -> None:
        """Save a job, or that it is `gone`. Raises AwsError."""
        self.save(job.section, job.arn, None if gone else job.to_json())
        self._touched.pop(job.arn, None)
        self.notify_all()
        if gone:
            job.__dict__.pop("_ledger", None)

    @contextmanager
    def changing(self, job: Persisted) -> Iterator[None]:
        """A change of a job's attributes or tags, undone if it cannot be saved. Raises AwsError."""
        with self:
            before = {name: _copied(value) for name, value in job.__dict__.items()}
            yield
            try:
                self.record(job)
            except AwsError:
                job.__dict__.update(before)
                self._touched.pop(job.arn, None)
                raise

    def wait(self, timeout: float | None = None) -> bool:
        self._flush()
        return super().wait(timeout)

    def __exit__(self, *error: Any) -> None:
        try:
            self._flush()
        finally:
            super().__exit__(*error)

    def _flush(self) -> None:
        if not self._touched:
            return
        self.notify_all()
        change: dict[str, dict[str, Any]] = {}
        for job in self._touched.values():
            change.setdefault(job.section, {})[job.arn] = job.to_json()
        try:
            self._save(change)
        except AwsError as error:
            if not self._warned:
                print(f"# {error.message}", file=sys.stderr)
            self._warned = True
        else:
            self._touched.clear()
            self._warned = False


def _copied(value: Any) -> Any:
    """A copy of nested dictionaries and lists."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value
