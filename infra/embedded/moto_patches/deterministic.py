"""Makes requests to moto replayable: the same identifiers and times, and no HTTP request sent twice.

moto draws identifiers from its own generator and from the system's, and reads the clock. While a thread is in a
`moment`, it gets both from the seed and the time of that moment. A backend is created at its first use, possibly by a
request that changes nothing, so its identifiers come from a moment of its own.
"""

import datetime as dt
import hashlib
import importlib.abc
import importlib.machinery
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto.core.base_backend import AccountSpecificBackend
from moto.moto_api._internal.moto_random import MotoRandom

_FREEZE_SECONDS = 60.0  # after which its clock advances, for code that polls without sleeping


class Moment:
    """A clock that only sleeping advances, and a source of random numbers.

    `nondeterministic` says that a result depends on something else. During a replay (`replayed`), nothing sleeps or is
    sent; `unlocked` releases the lock of requests while another server is called.
    """

    def __init__(self, seed: bytes, now: float) -> None:
        self._now, self._begun = now, _monotonic()
        self._stream = random.Random(seed)
        self.nondeterministic = self.replayed = False
        self.unlocked: Callable[[], Any] | None = None

    def now(self) -> float:
        return self._now + max(0.0, _monotonic() - self._begun - _FREEZE_SECONDS)

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        if not self.replayed:
            _sleep(seconds)

    def bits(self, count: int) -> int:
        return self._stream.getrandbits(count)


class _Here(threading.local):
    moment: Moment | None = None


_here = _Here()
_monotonic, _time, _sleep, _urandom = time.monotonic, time.time, time.sleep, os.urandom
_backend_of = AccountSpecificBackend.__getitem__
_send = requests.Session.send
_origin: tuple[bytes, float] = (b"", 0.0)


@contextmanager
def moment(seed: bytes, now: float) -> Iterator[Moment]:
    """The calling thread uses this seed and time until the context ends."""
    before, _here.moment = _here.moment, Moment(seed, now)
    try:
        yield _here.moment
    finally:
        _here.moment = before


@contextmanager
def outside() -> Iterator[None]:
    """For values that are drawn once in a process, and so belong to no moment."""
    before, _here.moment = _here.moment, None
    try:
        yield
    finally:
        _here.moment = before


def install(seed: bytes, now: float) -> None:
    """Patch this process. moto's backends are created with this seed and time."""
    global _origin
    _origin = seed, now
    if time.time is _now:
        return
    time.time, time.sleep, os.urandom = _now, _slept, _random_bytes  # type: ignore[assignment]
    random._urandom = _random_bytes  # type: ignore[attr-defined]  # of SystemRandom and secrets
    MotoRandom.getrandbits = _bits
    MotoRandom.random = _random
    AccountSpecificBackend.__getitem__ = _made_in_a_moment
    requests.Session.send = _send_once  # type: ignore[method-assign, assignment]
    rsa.generate_private_key = _marking(rsa.generate_private_key)
    ec.generate_private_key = _marking(ec.generate_private_key)
    for module in [module for name, module in sys.modules.items() if name.startswith("moto.")]:
        _patch_module(module)
    sys.meta_path.insert(0, _PatchingFinder())


def _now() -> float:
    here = _here.moment
    return here.now() if here else _time()


def _slept(seconds: float) -> None:
    here = _here.moment
    here.sleep(seconds) if here else _sleep(seconds)


def _random_bytes(count: int) -> bytes:
    here = _here.moment
    return here.bits(8 * count).to_bytes(count, "big") if here and count else _urandom(count)


def _bits(self: MotoRandom, count: int) -> int:
    here = _here.moment
    return here.bits(count) if here else random.Random.getrandbits(self, count)


def _random(self: MotoRandom) -> float:
    here = _here.moment
    return here.bits(53) / (1 << 53) if here else random.Random.random(self)


def _made_in_a_moment(held: Any, region: str) -> Any:
    if dict.__contains__(held, "aws" if region == "global" else region):
        return _backend_of(held, region)
    seed, now = _origin
    name = f"{held.service_name} {held.account_id} {region}"
    with moment(hashlib.sha256(seed + name.encode()).digest(), now):
        return _backend_of(held, region)


def _send_once(session: Any, request: Any, **options: Any) -> Any:
    """Receivers of notifications (SNS) get them once, and may call us while they are notified."""
    here = _here.moment
    if here and here.replayed:
        raise requests.ConnectionError("it was sent before the restart")
    if here is None or here.unlocked is None:
        return _send(session, request, **options)
    with here.unlocked():
        return _send(session, request, **options)


def _marking(generate: Callable[..., Any]) -> Callable[..., Any]:
    """OpenSSL draws keys from its own source."""

    def marked(*words: Any, **options: Any) -> Any:
        if _here.moment:
            _here.moment.nondeterministic = True
        return generate(*words, **options)

    return marked


class _When(type):
    def __instancecheck__(cls, one: Any) -> bool:
        return isinstance(one, dt.datetime)


class _Datetime(dt.datetime, metaclass=_When):
    """Replaces `datetime` in moto's modules; its instances are real datetimes."""

    def __new__(cls, *words: Any, **options: Any) -> Any:
        return dt.datetime(*words, **options)

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return dt.datetime.fromtimestamp(_now(), tz)

    @classmethod
    def today(cls) -> Any:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(dt.UTC).replace(tzinfo=None)


_module = ModuleType("datetime")
_module.__dict__.update(dt.__dict__, datetime=_Datetime)


def _patch_module(module: ModuleType) -> None:
    for name, value in list(module.__dict__.items()):
        for old, new in _REPLACED:
            if value is old:
                module.__dict__[name] = new


_REPLACED = [(dt, _module), (dt.datetime, _Datetime), (_time, _now), (_sleep, _slept), (_urandom, _random_bytes)]


class _PatchingFinder(importlib.abc.MetaPathFinder):
    """Patches modules of moto that are imported later, when a service is first used."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name.startswith("moto.") else None
        if spec and spec.loader:
            run = spec.loader.exec_module

            def run_and_patch(module: ModuleType) -> None:
                with outside():
                    run(module)
                _patch_module(module)

            spec.loader.exec_module = run_and_patch  # type: ignore[method-assign]
        return spec
