"""moto's state as pickles, with the contents of S3's objects in files of their own, each written once."""

import io
import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from moto.backends import get_backend
from moto.core.base_backend import BaseBackend
from moto.s3.models import FakeKey
from moto.s3.utils import _VersionedKeyStore
from moto.settings import get_s3_default_key_buffer_size

_PIECE = 1 << 20
_LOCKS: dict[type, Callable[[], Any]] = {type(make()): make for make in (threading.Lock, threading.RLock)}


class _Contents:
    """Stands in a pickle for the contents of an object, which lie in a file of this name."""

    def __init__(self, name: str) -> None:
        self.name = name


class StatePickler(pickle.Pickler):
    """Writes the contents of S3's objects to files of their own, once, and references instead of whole backends."""

    def __init__(self, out: io.BytesIO, objects: Path) -> None:
        super().__init__(out, protocol=5)
        self._objects = objects

    def persistent_id(self, one: Any) -> str | None:
        return one.name if isinstance(one, _Contents) else None

    def reducer_override(self, one: Any) -> Any:
        if type(one) in _LOCKS:
            return _LOCKS[type(one)], ()
        if isinstance(one, _VersionedKeyStore):  # a dict that makes a version of what is set
            return _VersionedKeyStore, (), list(dict.items(one)), None, None, _refill_versions
        if isinstance(one, BaseBackend):
            return backend_of, (service_of(type(one)), one.account_id, one.region_name)
        if not isinstance(one, FakeKey):
            return NotImplemented
        state = one.__dict__ | {"_value_buffer": self._stored(one)}
        return object.__new__, (FakeKey,), state, None, None, _refill_key

    def _stored(self, key: FakeKey) -> _Contents:
        etag = "".join(filter(str.isalnum, key.etag))
        with key.lock:
            name = f"{etag}-{key.contentsize}"
            place = self._objects / name
            if not place.exists() and not key._value_buffer.closed:
                key._value_buffer.seek(0)
                draft = self._objects / f"{name}.draft"
                with open(draft, "wb") as out:
                    shutil.copyfileobj(key._value_buffer, out, _PIECE)
                os.replace(draft, place)
        return _Contents(name)


class StateUnpickler(pickle.Unpickler):
    """The other way; `used` are the names of the files that were needed."""

    def __init__(self, file: BinaryIO, objects: Path) -> None:
        super().__init__(file)
        self._objects = objects
        self.used: set[str] = set()

    def persistent_load(self, name: str) -> Any:
        buffer = tempfile.SpooledTemporaryFile(get_s3_default_key_buffer_size())  # noqa: SIM115  # the object's own
        with open(self._objects / name, "rb") as held:
            shutil.copyfileobj(held, buffer, _PIECE)
        self.used.add(name)
        return buffer


def _refill_key(key: FakeKey, state: dict[str, Any]) -> None:
    key.__dict__.update(state)


def _refill_versions(store: dict[str, Any], items: list[tuple[str, Any]]) -> None:
    for key, versions in items:
        dict.__setitem__(store, key, versions)


def backend_of(service: str, account: str, region: str) -> Any:
    return get_backend(service)[account][region]


def service_of(backend: type) -> str:
    """What moto calls the service of a backend's class."""
    return backend.__module__.split(".")[1]
