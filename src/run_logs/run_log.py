"""Keeps what a command prints in a file, and copies it to CloudWatch Logs.

The file is complete: each line is written to it before it is on the screen. A thread delivers the copies; only the end
of the process waits for it, a few seconds, and the last line printed says how many lines arrived. Inside SageMaker all
of this is off: SageMaker itself copies what a job prints.
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
#: Set for child processes. Those of a group (RANK) write to AHX_LOG_FILE too; this process delivers.
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
    # SageMaker sets TRAINING_JOB_ARN in its jobs; local mode and `docker run` do not.
    if "TRAINING_JOB_ARN" in environ or not (group or file):
        return None
    if environ.get(DELIVERED_BY):
        if "RANK" not in environ:
            return None  # the parent process sees what this one prints
        group = None
    elif environ.get("RANK", "0") != "0":
        return None  # of the processes of torchrun, the first keeps the log
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
        if self._open and os.getpid() == self._process:  # a forked child does not close the log
            if error is not None and not isinstance(error, SystemExit):
                for line in "".join(traceback.format_exception(error)).splitlines():
                    self._file.append("exception", line)
            self._close()
            if self._handles_sigterm and signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _close(self) -> None:
        """Deliver the rest and print the result, once."""
        self._open = False
        for tee in self._tees:
            tee.finish()
        sys.stdout, sys.stderr = self._streams
        produced = self._file.count()
        ended = self._delivery is None
        if self._delivery is not None:
            with suppress(KeyboardInterrupt):  # Ctrl-C ends the wait
                ended = self._delivery.finish(CLOSING_SECONDS, lambda: self._hurried)
        _environ(self._before)
        if self._before[DELIVERED_BY] is None:
            with suppress(OSError, ValueError):  # the one line that may be lost
                print(f"logs: {self._conclusion(produced)}", file=sys.stderr, flush=True)
        if ended:  # otherwise the thread still reads it
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
        """SIGTERM without another handler: deliver the lines so far, then die of the signal."""
        if os.getpid() == self._process and not self._open:
            self._hurried = True  # it is ending already
            return
        if os.getpid() == self._process:
            self._close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(128 + number)  # process 1 of a container does not die of a signal without a handler


def _environ(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set variables of the environment, or remove them (None); returns their former values."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
