"""Keeps what a command prints in a file, and copies it to CloudWatch Logs.

The file is the truth: each line is there before it is on the screen, whatever becomes of the process. The copies are
delivered by a thread that nothing waits for, but for a few seconds at the end; the last line that is printed says how
many lines arrived. Inside SageMaker all of it is off: SageMaker itself takes to CloudWatch what a job prints.
"""

import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TextIO, cast

from ahx.errors import InputError
from ahx.text.printing import guard, raw
from run_logs.delivery import Delivery
from run_logs.log_file import LogFile, Tee

GROUP, STREAM, FILE = "AHX_LOG_GROUP", "AHX_LOG_STREAM", "AHX_LOG_FILE"
#: Set for processes that this one starts. Those of a group (RANK) write to AHX_LOG_FILE too; this one delivers.
DELIVERED_BY = "AHX_LOG_DELIVERED_BY"
#: Seconds that the end of a command may wait for its last lines to be delivered.
CLOSING_SECONDS = 5.0
_SOURCES = ("stdout", "stderr")


@dataclass(frozen=True)
class LogSettings:
    """Where a log goes: to `file`, and from there to the stream `stream` of the log group `group`, if there is one."""

    file: Path
    group: str | None
    stream: str


def settings_from(environ: Mapping[str, str], name: str, usual: Path | None = None) -> LogSettings | None:
    """The log of the command `name`, by AHX_LOG_GROUP, AHX_LOG_STREAM and AHX_LOG_FILE; None where it is off.

    Without AHX_LOG_FILE, the file is `usual`, or logs/STREAM.jsonl. Raises InputError for names that CloudWatch refuses
    (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html).
    """
    group, file = environ.get(GROUP), environ.get(FILE)
    # SageMaker sets TRAINING_JOB_ARN in its jobs; its imitations on other machines do not.
    if "TRAINING_JOB_ARN" in environ or not (group or file):
        return None
    if environ.get(DELIVERED_BY):
        if "RANK" not in environ:
            return None  # whoever has started this process sees what it prints
        group = None
    elif environ.get("RANK", "0") != "0":
        return None  # torchrun has started several: the first of them keeps the log
    if group and not re.fullmatch(r"[.\-_/#A-Za-z0-9]{1,512}", group):
        raise InputError(f"{GROUP}: {group!r} is not a log group's name; use letters, digits and . - _ / #")
    stream = environ.get(STREAM) or environ.get("TRAINING_JOB_NAME")
    stream = stream or f"{name}-{time.strftime('%Y%m%dT%H%M%S')}-{socket.gethostname()}-{os.getpid()}"
    if not re.fullmatch(r"[^:*]{1,512}", stream):
        raise InputError(f"{STREAM}: {stream!r} is not a log stream's name; leave out the characters : and *")
    path = Path(file) if file else usual or Path("logs", f"{stream.replace('/', '-')}.jsonl")
    return LogSettings(path, group or None, stream)


def open_log(environ: Mapping[str, str], name: str, usual: Path | None = None) -> AbstractContextManager[object]:
    """While the result is active, what this process prints is kept, if `environ` asks for it. Raises AhxError."""
    settings = settings_from(environ, name, usual)
    return nullcontext() if settings is None else Recording(settings)


class Recording:
    """While active, what this process prints also goes to the log that `settings` describe."""

    def __init__(self, settings: LogSettings) -> None:
        """Raises StorageError when the file cannot be written."""
        self._settings, self._file = settings, LogFile(settings.file)
        self._open = self._hurried = False

    def __enter__(self) -> Self:
        settings = self._settings
        self._streams = sys.stdout, sys.stderr
        self._tees = [Tee(raw(stream), self._file, name) for stream, name in zip(self._streams, _SOURCES, strict=True)]
        sys.stdout, sys.stderr = (cast(TextIO, tee) for tee in self._tees)
        guard()
        self._process, self._open = os.getpid(), True
        self._delivery = None
        if settings.group:
            self._delivery = Delivery(self._file, settings.group, settings.stream)
            self._delivery.start()
        self._before = _environ({DELIVERED_BY: str(self._process), FILE: str(settings.file.resolve())})
        self._handles_sigterm = (
            threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        )
        if self._handles_sigterm:
            signal.signal(signal.SIGTERM, self._terminated)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open and os.getpid() == self._process:  # a fork that leaves by this way leaves the log alone
            if error is not None and not isinstance(error, SystemExit):
                for line in "".join(traceback.format_exception(error)).splitlines():
                    self._file.append("exception", line)
            self._close()
            if self._handles_sigterm and signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _close(self) -> None:
        """Deliver what is left and say how that went, once."""
        self._open = False
        for tee in self._tees:
            tee.finish()
        sys.stdout, sys.stderr = self._streams
        produced = self._file.count()
        ended = self._delivery is None
        if self._delivery is not None:
            with suppress(KeyboardInterrupt):  # whoever is too impatient to wait for it
                ended = self._delivery.finish(CLOSING_SECONDS, lambda: self._hurried)
        _environ(self._before)
        if self._before[DELIVERED_BY] is None:
            with suppress(OSError, ValueError):  # the one line that may be lost
                print(f"logs: {self._conclusion(produced)}", file=sys.stderr, flush=True)
        if ended:  # else a thread still reads from it
            self._file.close()

    def _conclusion(self, produced: int) -> str:
        file, lost = self._file, ""
        if file.lost:
            lost = f"; {file.lost} more could not be written ({file.complaint or 'the disk is full'})"
        if self._delivery is None:
            return f"{produced} lines in {file.path}{lost}"
        status = self._delivery.status
        produced = max(produced, status.delivered)  # a forked process may have added some meanwhile
        told = f"delivered {status.delivered}/{produced} lines to {self._settings.group}/{self._settings.stream}"
        if status.delivered < produced:
            told += f": {status.reason}; all of them are in {file.path}"
        return told + lost

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM that nobody else handles: the lines so far are delivered, and the process dies as it would have."""
        if os.getpid() == self._process and not self._open:
            self._hurried = True  # it is about to end anyway
            return
        if os.getpid() == self._process:
            self._close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(128 + number)  # the first process of a container, which signals without a handler do not end


def _environ(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set variables of the environment, or remove them (None); gives what they were."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
