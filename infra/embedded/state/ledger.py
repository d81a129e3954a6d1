"""The lock under which jobs change, and with which every change is kept before anybody sees it."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from infra.embedded.http.wire import AwsError


@dataclass
class Persisted:
    """A job of either sort, which `section` names. Once in a ledger, it is kept whenever an attribute is set."""

    section: ClassVar[str]
    request: dict[str, Any]
    region: str
    arn: str

    def __setattr__(self, name: str, value: Any) -> None:
        before = self.__dict__.get(name)
        object.__setattr__(self, name, value)
        if before is value or before != value:  # an equal copy changes nothing; `a |= b` changes what is there
            self.touch()

    def join(self, ledger: "Ledger") -> None:
        """From now on this ledger keeps what changes."""
        self.__dict__["_ledger"] = ledger

    def touch(self) -> None:
        """Have kept what has changed inside of an attribute."""
        if ledger := self.__dict__.get("_ledger"):
            ledger.touch(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """What `to_json` gave, also in a version with other attributes."""
        return cls(**{one.name: saved[one.name] for one in fields(cls) if one.name in saved})

    def to_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


class Ledger(threading.Condition):
    """Jobs that have changed are kept when the lock is released; those that cannot be, at a later time.

    An operation, which has somebody to tell, uses `record` or `changing` instead.
    """

    def __init__(self, save: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(threading.RLock())
        self._save, self._complained = save, False
        self._touched: dict[str, Persisted] = {}

    def touch(self, job: Persisted) -> None:
        self._touched[job.arn] = job

    def save(self, section: str, name: str, value: Any) -> None:
        """Keep what is no job. Raises AwsError."""
        self._save({section: {name: value}})

    def record(self, job: Persisted, gone: bool = False) -> None:
        """Keep what a job is like now, or that it is `gone`. Raises AwsError."""
        self.save(job.section, job.arn, None if gone else job.to_json())
        self._touched.pop(job.arn, None)
        if gone:
            job.__dict__.pop("_ledger", None)

    @contextmanager
    def changing(self, job: Persisted) -> Iterator[None]:
        """A change of a job's attributes or tags, which is undone where it cannot be kept. Raises AwsError."""
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
        change: dict[str, dict[str, Any]] = {}
        for job in self._touched.values():
            change.setdefault(job.section, {})[job.arn] = job.to_json()
        try:
            self._save(change)
        except AwsError as error:
            if not self._complained:
                print(f"# {error.message}", file=sys.stderr)
            self._complained = True
        else:
            self._touched.clear()
            self._complained = False


def _copied(value: Any) -> Any:
    """Deep enough for what one change does."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value
