"""moto's state as pickles, with the contents of S3 objects in separate files, each written once.

A pickle may name only moto's classes and plain ones: any other is neither written nor loaded.
"""

import importlib
import io
import os
import pickle
import re
import secrets
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509 import Certificate, load_der_x509_certificate
from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend
from moto.s3.models import FakeKey
from moto.s3.utils import _VersionedKeyStore
from moto.settings import get_s3_default_key_buffer_size

_PIECE = 1 << 20
_MAKERS: tuple[Callable[[], Any], ...] = (threading.Lock, threading.RLock, threading.Condition, threading.Event)
_LOCKS: dict[type, Callable[[], Any]] = {type(make()): make for make in _MAKERS}
_PRIVATE_KEYS = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
_OF_ALL_BACKENDS = {"backend", "service_name", "_use_boto3_regions", "_additional_regions", "_id"}
_LOCAL = ".<locals>."
_NAME = re.compile("[0-9a-f]{32}")

_ALLOWED = {
    "builtins": "set frozenset list dict tuple str bytes bytearray int float complex bool object range slice",
    "collections": "OrderedDict defaultdict deque Counter",
    "datetime": "datetime date time timedelta timezone",
    "decimal": "Decimal",
    "uuid": "UUID SafeUUID",
    "weakref": "WeakValueDictionary",
    "_thread": "allocate_lock RLock",
    "threading": "RLock Condition Event",
    "re": "_compile",
    "ipaddress": "IPv4Address IPv4Network IPv6Address IPv6Network",
    "requests.structures": "CaseInsensitiveDict",
    "werkzeug.datastructures.headers": "Headers EnvironHeaders",
    "dateutil.tz.tz": "tzutc tzlocal",
    "joserfc._rfc7518.rsa_key": "RSAKey",
    "infra.embedded.state.pickles": "backend_of _refill_key _refill_dict _new _private_key _method _local _certificate",
}

_MOVED = {"infra.embedded.pickles": "infra.embedded.state.pickles"}  # as earlier versions wrote it


class StatePickler(pickle.Pickler):
    """Writes the contents of S3 objects to files of their own, and references instead of whole backends.

    `used` are the names of all these files, `written` those of new ones.
    """

    def __init__(self, out: io.BytesIO, objects: Path) -> None:
        super().__init__(out, protocol=5)
        self._objects = objects
        self.used: set[str] = set()
        self.written: list[str] = []

    def persistent_id(self, one: Any) -> str | None:
        return one.name if isinstance(one, _Contents) else None

    def reducer_override(self, one: Any) -> Any:
        kind = type(one)
        if kind in _LOCKS:
            return _LOCKS[kind], ()
        if kind is FunctionType and _LOCAL in one.__qualname__ and not one.__closure__:
            return _local, (one.__module__, one.__qualname__, one.__code__.co_firstlineno)
        if isinstance(one, type | FunctionType | BuiltinFunctionType):
            if not _is_allowed(one.__module__, one.__qualname__, one):
                raise pickle.PicklingError(f"{one.__module__}.{one.__qualname__} is not allowed in saved state")
        elif isinstance(one, _VersionedKeyStore):  # a dict that makes a version of what is set
            return _VersionedKeyStore, (), (list(dict.items(one)), {}), None, None, _refill_dict
        elif isinstance(one, BaseBackend):
            return backend_of, (service_of(type(one)), one.account_id, one.region_name)
        elif isinstance(one, _PRIVATE_KEYS):
            return _private_key, (one.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)
        elif isinstance(one, Certificate):
            return _certificate, (one.public_bytes(Encoding.DER),)
        elif kind is MethodType:
            return _method, (one.__self__, one.__name__)
        elif kind is WeakValueDictionary:
            return WeakValueDictionary, (dict(one),)
        elif isinstance(one, defaultdict) and kind is not defaultdict:  # its constructor's arguments are unknown
            state = list(one.items()), one.__dict__ | {"default_factory": one.default_factory}
            return _new, (kind,), state, None, None, _refill_dict
        elif isinstance(one, FakeKey):
            state = one.__dict__ | {"_value_buffer": self._stored(one)}
            return _new, (FakeKey,), state, None, None, _refill_key
        return NotImplemented

    def _stored(self, key: FakeKey) -> "_Contents":
        held = key.__dict__
        with key.lock:
            if held.get("kept_as", ("",))[1:] != (key.etag, key.contentsize):
                held["kept_as"] = (secrets.token_hex(16), key.etag, key.contentsize)
            name = held["kept_as"][0]
            if not (self._objects / name).exists():
                self.written.append(name)
                with private_file(self._objects / name) as out:
                    if not key._value_buffer.closed:
                        key._value_buffer.seek(0)
                        shutil.copyfileobj(key._value_buffer, out, _PIECE)
        self.used.add(name)
        return _Contents(name)


class StateUnpickler(pickle.Unpickler):
    """Raises UnpicklingError for a name that is not allowed, before creating anything from it.

    With `trial`, the result holds no contents of objects, and is to be discarded.
    """

    def __init__(self, file: io.BytesIO, objects: Path, trial: bool = False) -> None:
        super().__init__(file)
        self._objects, self._trial = objects, trial

    def find_class(self, module: str, name: str) -> Any:
        module = _MOVED.get(module, module)
        found: Any = importlib.import_module(module) if module.partition(".")[0] in _PACKAGES else None
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is None or not _is_allowed(module, name, found):
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in saved state")
        return _discard_key if self._trial and found is _refill_key else found

    def persistent_load(self, name: str) -> Any:
        if not _NAME.fullmatch(name):
            raise pickle.UnpicklingError(f"{name!r} is not the name of an object's file")
        buffer = tempfile.SpooledTemporaryFile(get_s3_default_key_buffer_size())  # noqa: SIM115  # the object's own
        if not self._trial:
            with open(self._objects / name, "rb") as held:
                shutil.copyfileobj(held, buffer, _PIECE)
        return buffer


class _Contents:
    """In a pickle: the name of the file with an object's contents."""

    def __init__(self, name: str) -> None:
        self.name = name


def private_file(path: Path) -> Any:
    """A new file that only its owner may read, open for writing."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")


def moto_state() -> list[tuple[str, list[tuple[str, str, dict[str, Any]]], dict[str, Any]]]:
    """For each service in use: its name, its backends by account and region, and the state that they share."""
    return [
        (
            service_of(held.backend),
            [(account, region, one.__dict__) for account, region, one in held.iter_backends()],
            {name: value for name, value in held.__dict__.items() if name not in _OF_ALL_BACKENDS},
        )
        for held in list(BackendDict._instances)
    ]


def restore_moto(state: Any) -> None:
    """The inverse of `moto_state`."""
    for service, backends, shared in state:
        get_backend(service).__dict__.update(shared)
        for account, region, held in backends:
            backend_of(service, account, region).__dict__.update(held)


def backend_of(service: str, account: str, region: str) -> Any:
    return get_backend(service)[account][region]


def service_of(backend: type) -> str:
    """moto's name of the service of a backend's class."""
    return backend.__module__.split(".")[1]


def _is_allowed(module: str, name: str, one: Any) -> bool:
    if module.startswith("moto."):
        return isinstance(one, type)
    return name in _ALLOWED.get(module, "").split()


def _new(kind: Any) -> Any:
    return kind.__new__(kind)


def _method(one: Any, name: str) -> Any:
    if name.startswith("_") or not type(one).__module__.startswith("moto."):
        raise pickle.UnpicklingError(f"{type(one).__name__}.{name} is not allowed in saved state")
    return getattr(one, name)


def _local(module: str, name: str, line: int) -> Any:
    """A function defined inside another one of moto, such as the factory of a defaultdict."""
    outer, _, inner = name.rpartition(_LOCAL)
    found: Any = importlib.import_module(module) if module.startswith("moto.") else None
    for part in outer.split("."):
        found = getattr(found, part, None)
    there = (
        [one for one in found.__code__.co_consts if isinstance(one, CodeType)]
        if isinstance(found, FunctionType)
        else []
    )
    made = [one for one in there if one.co_name == inner and not one.co_freevars]
    if not made:
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in saved state")
    return FunctionType(min(made, key=lambda one: abs(one.co_firstlineno - line)), found.__globals__)


def _private_key(der: bytes) -> Any:
    return load_der_private_key(der, None)


def _certificate(der: bytes) -> Any:
    return load_der_x509_certificate(der)


def _refill_key(key: FakeKey, state: dict[str, Any]) -> None:
    key.__dict__.update(state)


def _discard_key(key: FakeKey, state: dict[str, Any]) -> None:
    key.__dict__.update(state, disposed=True)


def _refill_dict(store: dict[Any, Any], state: tuple[list[tuple[Any, Any]], dict[str, Any]]) -> None:
    for key, value in state[0]:
        dict.__setitem__(store, key, value)
    for name, value in state[1].items():
        setattr(store, name, value)


_PACKAGES = {name.partition(".")[0] for name in _ALLOWED} | {"moto"}
