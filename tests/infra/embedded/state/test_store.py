"""Snapshots that fail or are interrupted at each step, replays, and hostile pickles."""

import errno
import io
import os
import pickle
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

import pytest

from ahx.errors import StorageError
from infra.embedded.http.protocols import AwsError, Body, Environ, StartResponse
from infra.embedded.http.recorded_request import Request
from infra.embedded.state import journal as journal_file
from infra.embedded.state.journal import REQUEST
from infra.embedded.state.pickles import StatePickler, StateUnpickler, backend_of
from infra.embedded.state.store import Store, snapshot


class Folder:
    """Kept state with our own part only, in this process, which can be killed at a step of its work."""

    def __init__(self, folder: Path, durable: bool = False, answers: Callable[..., Body] | None = None) -> None:
        self.state, self.own = Store(str(folder), durable), {}
        self.own = self.state.load({REQUEST: answers or app}, lambda: self.own, RLock())

    def keep(self, name: str) -> None:
        self.state.save({"things": {name: name}})
        self.own.setdefault("things", {})[name] = name

    def leave(self) -> None:
        """As a process does that dies."""
        os.close(self.state._lock)


def failing_at(step: str, number: int, fail: Callable[[], Any]) -> Callable[..., Any]:
    """A function of `os` that fails at one of its calls."""
    calls, real = iter(range(1_000)), getattr(os, step)

    def failing(*words: Any, **options: Any) -> Any:
        return fail() if next(calls) == number else real(*words, **options)

    return failing


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


STEPS = ["open", "fsync", "replace", "unlink", "listdir"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("step", STEPS)
def test_a_server_may_be_killed_at_each_step_of_a_new_snapshot(tmp_path: Path, step: str) -> None:
    number, died = 0, True
    while died:
        folder = tmp_path / str(number)
        if (child := os.fork()) == 0:
            kept = Folder(folder)
            kept.keep("before")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, step, failing_at(step, number, lambda: os._exit(9)))
                kept.state._take_snapshot()
            kept.keep("after")
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        again = Folder(folder)
        assert set(again.own["things"]) == ({"before"} if died else {"before", "after"})
        again.keep("more")
        again.leave()
        third = Folder(folder)
        assert set(third.own["things"]) >= {"before", "more"}
        third.leave()
        number += 1
    assert number > 1


@pytest.mark.parametrize("step", STEPS)
def test_a_snapshot_that_fails_at_any_step_loses_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Folder(tmp_path / "state")
    for number in range(10):
        kept.keep(f"before {number}")
        with monkeypatch.context() as patch:
            patch.setattr(os, step, failing_at(step, number, full))
            kept.state._try_snapshot()
        kept.keep(f"after {number}")
    assert "no snapshot can be made (no space left on device)" in capsys.readouterr().err
    kept.leave()
    again = Folder(tmp_path / "state")
    assert len(again.own["things"]) == 20
    again.state._try_snapshot()
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "state").iterdir()) == [
        "journal",
        "lock",
        "objects",
        "snapshot",
    ]
    again.leave()


def test_with_durable_an_answer_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    kept = Folder(tmp_path / "durable", durable=True)
    kept.state.perform(REQUEST, environ(), lambda status, headers: None, app)
    assert len(synced) == 1
    kept.keep("x")
    kept.state.sync()
    assert len(synced) == 2
    kept.leave()

    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    broken = Folder(tmp_path / "broken", durable=True)
    for _ in range(2):
        with pytest.raises(AwsError, match=r"\(input/output error\); restart the server") as told:
            broken.state.perform(REQUEST, environ(), lambda status, headers: None, app)
        assert (told.value.code, told.value.status) == ("InternalFailure", 500)
    broken.leave()


def environ() -> Environ:
    return {"REQUEST_METHOD": "PUT", "PATH_INFO": "/", "CONTENT_LENGTH": "0"}


def app(environ: Environ, start: StartResponse) -> Body:
    start("200 OK", [])
    return [b""]


def test_changes_that_another_version_cannot_make_again_are_told_and_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, answers = tmp_path / "state", iter(["404 Not Found", "200 OK", "500 Internal Server Error"])

    def other(environ: Environ, start: StartResponse) -> Body:
        start(next(answers), [])
        return [b""]

    kept = Folder(folder)
    for _ in range(3):
        kept.state.perform(REQUEST, environ(), lambda status, headers: None, app)
    kept.leave()
    again = Folder(folder, answers=other)
    assert capsys.readouterr().err.startswith(f"# 2 of 3 changes in {folder} could not be made again")
    again.keep("x")
    again.state._try_snapshot()
    again.leave()
    (there,) = folder.glob("*.unrepeated")
    assert len(list(journal_file.read(there, is_last=True))) == 4
    assert Folder(folder).own == {"things": {"x": "x"}}


def test_a_bug_of_moto_is_one(tmp_path: Path) -> None:
    kept = Folder(tmp_path / "state")

    def wrong(environ: Environ, start: StartResponse) -> Body:
        raise KeyError("a bug")

    def full_too(environ: Environ, start: StartResponse) -> Body:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(KeyError, match="a bug"):
        kept.state.perform(REQUEST, environ(), lambda status, headers: None, wrong)
    with pytest.raises(AwsError, match="no space left on device"):
        kept.state.perform(REQUEST, environ(), lambda status, headers: None, full_too)
    kept.leave()
    assert list(journal_file.read(tmp_path / "state/journal-00000001", is_last=True)) == []


def test_what_a_journal_holds_is_refused_with_its_snapshot_gone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    kept = Folder(folder)
    kept.keep("x")
    kept.leave()
    (there,) = folder.glob("snapshot-*")
    there.rename(tmp_path / "aside")
    with pytest.raises(StorageError, match=r"the snapshot that belongs to .*journal-00000001 is missing"):
        Folder(folder)
    (tmp_path / "aside").rename(there)
    (folder / "journal-00000001").unlink()
    with pytest.raises(StorageError, match=r"a journal that belongs to .*snapshot-00000001 is missing"):
        Folder(folder)


class Hostile:
    """A pickle of it calls what it is made with."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call[0], self._call[1:]


HOSTILE: list[Callable[[str], Any]] = [
    lambda command: Hostile(os.system, command),
    lambda command: Hostile(subprocess.getoutput, command),
    lambda command: Hostile(eval, f"__import__('os').system({command!r})"),
    lambda command: Hostile(getattr, "x", "upper"),
    lambda command: Hostile(__import__, "os"),
    lambda command: Hostile(io.open, command.removeprefix("touch "), "w"),
    lambda command: defaultdict(list, {"k": [Hostile(os.system, command)]}),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_pickle_that_names_anything_else_is_not_loaded(tmp_path: Path, hostile: Callable[[str], Any]) -> None:
    note = tmp_path / "note"
    data = pickle.dumps(hostile(f"touch {note}"))
    with pytest.raises(pickle.UnpicklingError, match="is not allowed in saved state"):
        StateUnpickler(io.BytesIO(data), tmp_path).load()
    folder = tmp_path / "state"
    Folder(folder).leave()
    (there,) = folder.glob("snapshot-*")
    head = there.read_bytes().split(b"\n")[2]
    for key, told in ((b"k" * 32, "was not written by you"), (snapshot.key_of_user(), "is not allowed in saved state")):
        body = head + b"\n" + data
        signed = snapshot.hmac.new(key, body, "sha256").hexdigest().encode()
        there.write_bytes(b"ahx-aws snapshot 1\n" + signed + b"\n" + body)
        with pytest.raises(StorageError, match=told):
            Folder(folder)
    assert not note.exists()


def test_pickles_of_earlier_versions_name_functions_where_they_were(tmp_path: Path) -> None:
    data = b"cinfra.embedded.pickles\nbackend_of\n."
    assert StateUnpickler(io.BytesIO(data), tmp_path).load() is backend_of


@pytest.mark.parametrize("other", [os.system, eval, Path, subprocess.Popen])
def test_what_would_not_be_loaded_is_not_written(tmp_path: Path, other: Any) -> None:
    with pytest.raises(pickle.PicklingError, match="is not allowed in saved state"):
        StatePickler(io.BytesIO(), tmp_path).dump({"k": [other]})


def test_a_request_made_again_draws_and_dates_the_same(tmp_path: Path) -> None:
    import secrets
    import time
    import uuid

    from infra.embedded.moto_patches import deterministic

    deterministic.install(b"folder", 1e9)
    request = Request.read(environ(), b"seed")
    with deterministic.moment(request.seed, request.now):
        first = uuid.uuid4(), secrets.token_hex(8), time.time()
    elsewhere = uuid.uuid4(), secrets.token_hex(8), time.time()
    with deterministic.moment(
        *(lambda again: (again.seed, again.now))(Request.from_bytes(b"".join(request.to_bytes())))
    ):
        assert (uuid.uuid4(), secrets.token_hex(8), time.time()) == first
    assert all(one != other for one, other in zip(first, elsewhere, strict=True))
