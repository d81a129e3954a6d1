"""The journal: records that are cut off, damaged, void, or not written."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from ahx.errors import StorageError
from infra.embedded.state import journal as journal_file
from infra.embedded.state.journal import OWN, REQUEST, Journal

RECORDS = [(REQUEST, b"first" * 9), (OWN, b""), (REQUEST, bytes(range(256)))]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal")
    for kind, payload in RECORDS:
        journal.append(kind, payload[:3], payload[3:])
    return journal.path


def test_a_record_that_is_cut_off_anywhere_is_dropped_and_the_next_takes_its_place(written: Path) -> None:
    whole = written.read_bytes()
    last = len(whole) - len(RECORDS[2][1]) - 17
    for cut in range(last, len(whole)):
        written.write_bytes(whole[:cut])
        assert list(journal_file.read(written, is_last=True)) == RECORDS[:2]
        Journal(written).append(OWN, b"next")
        assert list(journal_file.read(written, is_last=True)) == [*RECORDS[:2], (OWN, b"next")]
    written.write_bytes(whole[:last] + bytes(4096))  # room that was given, but not yet written, as the power went
    assert list(journal_file.read(written, is_last=True)) == RECORDS[:2]
    written.write_bytes(whole[: last + 20])
    with pytest.raises(StorageError, match="is damaged"):
        list(journal_file.read(written, is_last=False))


def test_damage_is_told_with_the_file_and_the_place(written: Path) -> None:
    whole = written.read_bytes()
    last = len(whole) - len(RECORDS[2][1]) - 17
    for at in range(last):
        written.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StorageError) as told:
            list(journal_file.read(written, is_last=True))
        assert f"{written} is damaged at byte" in str(told.value)
        assert "run: truncate -s " in str(told.value)


def test_what_came_to_nothing_is_not_read(written: Path) -> None:
    journal = Journal(written)
    where = journal.append(REQUEST, b"refused")
    journal.append(OWN, b"after")
    journal.void(where)
    assert list(journal_file.read(written, is_last=True)) == [*RECORDS, (OWN, b"after")]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_record_that_cannot_be_written_leaves_nothing(
    written: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    journal, before, pwrite = Journal(written), written.read_bytes(), os.pwrite

    def write_some(file: int, data: Any, at: int) -> int:
        if at > len(before):
            raise OSError(code, os.strerror(code))
        return pwrite(file, data[:5], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", write_some)
        with pytest.raises(OSError, match=os.strerror(code)):
            journal.append(OWN, b"lost")
    assert written.read_bytes() == before
    journal.append(OWN, b"kept")
    assert list(journal_file.read(written, is_last=True)) == [*RECORDS, (OWN, b"kept")]


def test_those_who_wait_for_the_disk_wait_together(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, calls = Journal(written), []
    entered, go_on = threading.Event(), threading.Event()

    def sync(file: int) -> None:
        calls.append(file)
        entered.set()
        assert go_on.wait(30)

    monkeypatch.setattr(os, "fdatasync", sync)

    def write() -> None:
        journal.append(OWN, b"x")
        journal.sync()

    first = threading.Thread(target=write)
    first.start()
    assert entered.wait(30)
    appended = threading.Semaphore(0)
    monkeypatch.setattr(journal, "sync", lambda: (appended.release(), Journal.sync(journal)))
    others = [threading.Thread(target=write) for _ in range(20)]
    for other in others:
        other.start()
    for _ in others:
        assert appended.acquire(timeout=30)
    go_on.set()
    for thread in (first, *others):
        thread.join(30)
    assert 2 <= len(calls) <= 3


def test_a_disk_that_fails_to_sync_ends_all_writing(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(written)

    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    journal.append(OWN, b"x")
    for attempt in (journal.sync, lambda: journal.append(OWN, b"y"), journal.sync):
        with pytest.raises(OSError, match="Input/output error"):
            attempt()
