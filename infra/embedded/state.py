"""What survives a restart: moto's state and ours, in a folder, saved within about a second of a change and at the end.

    DIR/s3.pickle, iam.pickle, ...   moto's state of each service that was used, without the contents of objects
    DIR/objects/NAME                 the contents of S3's objects, each written once
    DIR/sagemaker.json               training jobs, tuning jobs and quotas

Every file is replaced as a whole, so that a crash leaves the last state but never half of one. The folder belongs to
one server, and is as trustworthy as whoever can write to it: it holds pickles.
"""

import fcntl
import hashlib
import io
import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict

from ahx.errors import StorageError
from infra.embedded.pickles import StatePickler, StateUnpickler, backend_of, service_of

_LEAST_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_EVERYTHING = "*"
_MOTO_NAMES = {"monitoring": "cloudwatch"}
_COST = 10  # saving may take this part of the time at most: one tenth


class State:
    """Saves in a thread. `own` gives our own state as JSON."""

    def __init__(self, folder: str, own: Callable[[], dict[str, Any]]) -> None:
        self.folder, self._own = Path(folder), own
        self._gate = threading.Condition()
        self._writers, self._saving = 0, False
        self._dirty: set[str] = set()
        self._stopped = threading.Event()
        self._complained: set[str] = set()
        self._written: dict[str, bytes] = {}  # the digest of each file
        self._objects = self.folder / "objects"
        self._thread = threading.Thread(target=self._keep_saving, daemon=True)

    def load(self) -> dict[str, Any]:
        """Take the folder, put moto's state back, and return ours. Raises StorageError."""
        self._take()
        used: set[str] = set()
        try:
            for place in sorted(self.folder.glob("*.pickle")):
                with open(place, "rb") as file:
                    reader = StateUnpickler(file, self._objects)
                    for account, region, state in reader.load():
                        backend_of(place.stem, account, region).__dict__.update(state)
                used |= reader.used
            for contents in self._objects.iterdir():
                if contents.name not in used:  # of an object that has been deleted
                    contents.unlink()
            own = self.folder / "sagemaker.json"
            told: dict[str, Any] = json.loads(own.read_text("utf-8")) if own.exists() else {}
            return told
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
            raise StorageError(
                f"{self.folder} holds no state that can be read ({error}); choose another folder, or remove it"
            ) from error

    def _take(self) -> None:
        try:
            self._objects.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StorageError(f"cannot keep state in {self.folder}: {reason}; choose another folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StorageError(
                f"{self.folder} is in use by another `ahx aws`; stop that, or choose another folder"
            ) from None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Save what is left, and let go of the folder."""
        self._stopped.set()
        self._thread.join()
        with self._gate:
            self._dirty.add(_EVERYTHING)
        self._save()
        os.close(self._lock)

    @contextmanager
    def writing(self, service: str) -> Iterator[None]:
        """A change to a service's state: it is not saved in the middle of that, and soon after it."""
        with self._gate:
            self._gate.wait_for(lambda: not self._saving)
            self._writers += 1
        try:
            yield
        finally:
            with self._gate:
                self._writers -= 1
                self._dirty.add(service)
                self._gate.notify_all()

    def _keep_saving(self) -> None:
        pause = _LEAST_SECONDS
        while not self._stopped.wait(pause):
            begun = time.monotonic()
            self._save()
            pause = max(_LEAST_SECONDS, _COST * (time.monotonic() - begun))

    def _save(self) -> None:
        with self._gate:
            self._saving = True
            if not self._gate.wait_for(lambda: self._writers == 0, _PATIENCE_SECONDS) and not self._stopped.is_set():
                self._saving = False  # a client that stalls in the middle of an upload must not hold up all others
                self._gate.notify_all()
                return
            dirty, self._dirty = self._dirty, set()
        try:
            if dirty:
                self._save_moto(dirty)
            self._replace("sagemaker.json", json.dumps(self._own()).encode())
        except OSError as error:
            print(f"# cannot save to {self.folder}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
            self._dirty |= dirty
        finally:
            with self._gate:
                self._saving = False
                self._gate.notify_all()

    def _save_moto(self, dirty: set[str]) -> None:
        """Save the services named by their signing names; all of them where one of these tells nothing."""
        held = {service_of(backend.backend): backend for backend in list(BackendDict._instances)}
        named = {_MOTO_NAMES.get(name, name) for name in dirty}
        for service, backend in held.items():
            if named <= held.keys() and service not in named:
                continue
            states = [(account, region, one.__dict__) for account, region, one in backend.iter_backends()]
            out = io.BytesIO()
            try:
                StatePickler(out, self._objects).dump(states)
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                if service not in self._complained:
                    self._complained.add(service)
                    print(f"# the state of {service} cannot be kept ({error})", file=sys.stderr)
                continue
            self._replace(f"{service}.pickle", out.getvalue())

    def _replace(self, name: str, data: bytes) -> None:
        """Write a file as a whole, if it has changed."""
        file, digest = self.folder / name, hashlib.sha256(data).digest()
        if self._written.get(name) != digest:
            draft = file.with_suffix(".draft")
            draft.write_bytes(data)
            os.replace(draft, file)
            self._written[name] = digest
