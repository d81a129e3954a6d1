"""State that survives a restart: every change is saved before it is answered, and not made if it cannot be saved.

    DIR/snapshot-N     the whole state at one instant (snapshot.py)
    DIR/journal-N      the changes after it (journal.py), and DIR/journal-N+1 while the next snapshot is written
    DIR/objects/NAME   the contents of S3 objects in the snapshot; later ones are in the journal
    DIR/registry       layers of images

A request that may change moto's state is journalled before it is executed, one at a time, with the time and the seed of
its identifiers (moto_patches/deterministic.py); at a start, those after the snapshot are replayed. Of our own state,
which is small, the journal holds the new values.
"""

import errno
import hmac
import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ahx.errors import StorageError
from ahx.safe_files.atomic import reason, sync
from infra.embedded.http.protocols import AwsError, Body, Environ, StartResponse
from infra.embedded.http.recorded_request import Request
from infra.embedded.moto_patches import deterministic
from infra.embedded.state import journal as journal_file
from infra.embedded.state import snapshot
from infra.embedded.state.folder import take
from infra.embedded.state.journal import Journal
from infra.embedded.state.persistence import Wsgi

_LEAST_WORK_SECONDS = 5.0  # a snapshot is due when replaying the journal takes that long,
_LEAST_BYTES = 64 << 20  # or when the journal has that length,
_COST = 10  # but not before the journal cost this many times as much as the last snapshot
_BUGS = (OSError, LookupError, ArithmeticError, AssertionError, AttributeError, RuntimeError, TypeError, ValueError)
_PAUSE_SECONDS, _RETRY_SECONDS = 0.5, 30.0
_SEED_BYTES = 16
_NUMBERED = re.compile(r"(snapshot|journal)-(\d+)")
_UNREPEATED = ".unrepeated"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}  # errors of moto's own files


class Store:
    """Persistence in a folder of one server. With `durable`, answers wait for the disk, simultaneous ones together."""

    def __init__(self, folder: str, durable: bool) -> None:
        self.folder, self._durable = Path(folder), durable
        self._objects = self.folder / "objects"
        self._one_request = threading.Lock()  # requests are executed one at a time, as in a replay
        self._one_snapshot = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._snapshot_when_due, daemon=True)
        self._number, self._unrepeated = 0, -1
        self._work, self._cost, self._retry_at = 0.0, 0.0, 0.0

    def load(
        self,
        apps: dict[bytes, Wsgi],
        own: Callable[[], dict[str, Any]],
        changing: AbstractContextManager[Any],
    ) -> dict[str, Any]:
        """Lock the folder, restore moto's state, and return our own: dictionaries by section.

        From now on `own` returns our state, which changes under the lock `changing`. `apps` replay records by their
        kind. Raises StorageError.
        """
        self._own, self._changing = own, changing
        self._lock = take(self.folder)
        try:
            return self._restore(apps)
        except StorageError:
            os.close(self._lock)
            raise

    def _restore(self, apps: dict[bytes, Wsgi]) -> dict[str, Any]:
        self._key = snapshot.key_of_user()
        found = self._numbers("snapshot")
        if not found:
            self._begin()
            return {}
        self._number = found[-1]
        place = self._path("snapshot", self._number)
        head, moto = snapshot.load(place, self._key)
        self._seed, self._created = bytes.fromhex(head["seed"]), head["born"]
        deterministic.install(self._seed, self._created)
        snapshot.restore(place, moto)
        held: dict[str, Any] = head["own"]
        numbers = [number for number in self._numbers("journal") if number >= self._number]
        if numbers != list(range(self._number, self._number + len(numbers))) or not numbers:
            raise StorageError(f"a journal that belongs to {place} is missing; put it back, or choose another folder")
        records = lost = 0
        for number in numbers:
            for kind, payload in journal_file.read(self._path("journal", number), number == numbers[-1]):
                records += 1
                if kind == journal_file.OWN:
                    _merge(held, json.loads(payload))
                else:
                    lost += not self._replay(apps[kind], Request.from_bytes(payload))
        if lost:
            self._unrepeated = numbers[-1]
            print(
                f"# {lost:,} of {records:,} changes in {self.folder} could not be made again: another version "
                f"saved them; the journals stay as {self._path('journal', numbers[-1])}{_UNREPEATED}",
                file=sys.stderr,
            )
        self._journal = Journal(self._path("journal", numbers[-1]))
        return held

    def start(self) -> None:
        """Begin a new journal, after everything is restored."""
        self._try_snapshot()
        self._thread.start()

    def stop(self) -> None:
        """Release the folder; changes that no snapshot could hold are in the journal."""
        self._stopped.set()
        self._thread.join()
        self._try_snapshot()
        os.close(self._lock)

    def perform(self, kind: bytes, environ: Environ, start: StartResponse, app: Wsgi) -> Body:
        request = Request.read(environ, os.urandom(_SEED_BYTES))
        with self._one_request:
            journal, begun = self._journal, time.monotonic()
            with self._aws_errors():
                where = journal.append(kind, *request.to_bytes())
            done = False
            try:
                with deterministic.moment(request.seed, request.now) as moment, self._aws_errors(_FULL):
                    moment.unlocked = self._unlocked
                    answer = request.run(app)
                done = answer.is_success
            finally:
                if not done:
                    with self._aws_errors():
                        journal.void(where)
                self._work += time.monotonic() - begun
        if done:
            with self._aws_errors():
                self._sync(journal) if not moment.nondeterministic else self._snapshot_for(journal, where)
        return answer.send(start)

    def save(self, change: dict[str, Any]) -> None:
        with self._aws_errors():
            self._journal.append(journal_file.OWN, json.dumps(change).encode())

    def sync(self) -> None:
        with self._aws_errors():
            self._sync(self._journal)

    def sync_file(self, path: Path) -> None:
        if self._durable:
            sync(path)

    def _sync(self, journal: Journal) -> None:
        if self._durable:
            journal.sync()

    @contextmanager
    def _aws_errors(self, only: Container[int | None] | None = None) -> Iterator[None]:
        """Turns disk errors, all or those with the numbers `only`, into AwsErrors that name the remedy."""
        try:
            yield
        except (OSError, snapshot.Impossible) as error:
            if only is not None and getattr(error, "errno", None) not in only:
                raise
            remedy = "free some space and try again" if not self._journal.is_broken else "restart the server"
            how = f"({reason(error)}); {remedy}" if isinstance(error, OSError) else f"({error})"
            message = f"We encountered an internal error: the change cannot be kept in {self.folder} {how}."
            raise AwsError("InternalFailure", message, 500) from error

    @contextmanager
    def _unlocked(self) -> Iterator[None]:
        self._one_request.release()
        try:
            yield
        finally:
            self._one_request.acquire()

    def _replay(self, app: Wsgi, request: Request) -> bool:
        with deterministic.moment(request.seed, request.now) as moment:
            moment.replayed = True
            try:
                return request.run(app).is_success
            except _BUGS:  # another version of moto may fail
                traceback.print_exc()
                return False

    # Snapshots.

    def _snapshot_when_due(self) -> None:
        while not self._stopped.wait(_PAUSE_SECONDS):
            worth = self._work > _LEAST_WORK_SECONDS or self._journal.size > _LEAST_BYTES
            if worth and self._work > _COST * self._cost and time.monotonic() >= self._retry_at:
                self._try_snapshot()

    def _try_snapshot(self) -> None:
        """Replace snapshot and journal by a new snapshot, unless the journal is empty. A failure changes nothing."""
        if self._journal.is_empty and self._numbers("journal") == [self._number]:
            return
        try:
            self._take_snapshot()
        except (OSError, snapshot.Impossible) as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            why = reason(error) if isinstance(error, OSError) else error
            print(f"# the journal of {self.folder} grows: no snapshot can be made ({why})", file=sys.stderr)

    def _snapshot_for(self, journal: Journal, where: int) -> None:
        """Save a request whose replay would have another outcome."""
        try:
            self._take_snapshot()
        except (OSError, snapshot.Impossible):
            journal.void(where)
            raise

    def _take_snapshot(self) -> None:
        """Capture the state and begin the next journal while nothing changes; then write the snapshot."""
        with self._one_snapshot:
            number = max(self._numbers("journal"), default=self._number) + 1
            with self._one_request, self._changing:
                begun = time.monotonic()
                taken = self._capture(number)
                self._work = 0.0
            taken.write(self._path("snapshot", number))
            self._number = number
            self._tidy(taken.used)
            self._cost = time.monotonic() - begun

    def _capture(self, number: int) -> snapshot.Snapshot:
        head = {"seed": self._seed.hex(), "born": self._created, "own": self._own()}
        taken = snapshot.Snapshot(head, self._key, self._objects)
        try:
            if self._number:
                self._sync(self._journal)
            self._journal = Journal(self._path("journal", number))
            sync(self.folder)
        except OSError:
            taken.forget()
            raise
        return taken

    def _tidy(self, used: set[str]) -> None:
        """Remove the files that the snapshot replaces."""
        for what in ("snapshot", "journal"):
            for number in self._numbers(what):
                path = self._path(what, number)
                if number < self._number and what == "journal" and number <= self._unrepeated:
                    path.rename(f"{path}{_UNREPEATED}")
                elif number < self._number:
                    path.unlink()
        for draft in self.folder.glob("*.draft"):
            draft.unlink()
        for contents in self._objects.iterdir():
            if contents.name not in used:
                contents.unlink()

    # The folder.

    def seed(self) -> bytes:
        """A secret of this user and this folder. Raises StorageError."""
        return hmac.digest(snapshot.key_of_user(), os.fsencode(self.folder.resolve()), "sha256")

    def _begin(self) -> None:
        """Begin an empty folder, or one whose first server died before its first snapshot."""
        for number in self._numbers("journal"):
            place = self._path("journal", number)
            if any(True for _ in journal_file.read(place, is_last=True)):
                raise StorageError(f"the snapshot that belongs to {place} is missing; put it back")
            place.unlink()
        self._seed, self._created = os.urandom(_SEED_BYTES), time.time()
        deterministic.install(self._seed, self._created)
        try:
            self._take_snapshot()
        except OSError as error:
            raise StorageError(f"cannot keep state in {self.folder}: {reason(error)}; choose another folder") from error

    def _path(self, what: str, number: int) -> Path:
        return self.folder / f"{what}-{number:08}"

    def _numbers(self, what: str) -> list[int]:
        found = map(_NUMBERED.fullmatch, os.listdir(self.folder))
        return sorted(int(match[2]) for match in found if match and match[1] == what)


def _merge(held: dict[str, Any], change: dict[str, Any]) -> None:
    for section, values in change.items():
        there = held.setdefault(section, {})
        for name, value in values.items():
            there.pop(name, None) if value is None else there.__setitem__(name, value)
