"""The log of a run on disk: one JSON object a line, written at once, so that it survives a killed process."""

import json
import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from ahx.errors import StorageError

# Escape sequences that move a terminal's cursor or change its colours: CSI and OSC (ECMA-48).
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


class LogFile:
    """Lines appended to a file: `{"timestamp": ms since 1970, "source": "stdout", "message": ...}`, each in one write.

    Processes and threads may share the file: their lines do not mix. A line that cannot be written is counted in
    `lost`, with the reason in `complaint`; printing goes on.
    """

    def __init__(self, path: Path) -> None:
        """Raises StorageError when the file cannot be opened for appending."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self.start = os.fstat(self._file).st_size
        except OSError as error:
            reason = f"cannot write the log {path}: {error.strerror}; name another file in AHX_LOG_FILE"
            raise StorageError(reason) from error
        self.path = path
        self.lost, self.complaint = 0, ""
        self._torn = False

    def append(self, source: str, message: str) -> None:
        event = {"timestamp": time.time_ns() // 1_000_000, "source": source, "message": message}
        line = b"\n" * self._torn + json.dumps(event).encode() + b"\n"
        try:
            self._torn = os.write(self._file, line) < len(line)
            self.lost += self._torn
        except OSError as error:
            self.lost += 1
            self.complaint = error.strerror or str(error)

    def read(self, at: int) -> tuple[list[bytes], int]:
        """The complete lines from byte `at` on, about a megabyte of them, and the offset after them."""
        size = 1 << 20
        while True:
            block = os.pread(self._file, size, at)
            end = block.rfind(b"\n") + 1
            if end or len(block) < size:
                return block[:end].split(b"\n")[:-1], at + end
            size *= 2

    def count(self) -> int:
        """Lines written to the file by all processes since it was opened here."""
        count, at = 0, self.start
        while block := os.pread(self._file, 1 << 20, at):
            count, at = count + block.count(b"\n"), at + len(block)
        return count

    def close(self) -> None:
        os.close(self._file)


class Tee:
    """A text stream whose lines also go to a log file.

    The file gets what a terminal shows in the end: no colours, and the last state of a line that is redrawn. There are
    no locks, so a fork or a signal in the middle of a line cannot block: each thread has an unfinished line of its own.
    """

    def __init__(self, stream: TextIO, file: LogFile, source: str) -> None:
        self.stream = stream
        self._file, self._source = file, source
        self._unfinished = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        *lines, rest = text.split("\n")
        parts: list[str] = self._unfinished.__dict__.setdefault("parts", [])
        for line in lines:
            parts.append(line)
            self._finish_line()
        if rest:
            if rest.rpartition("\r")[2] != rest and not rest.endswith("\r"):
                parts.clear()  # the line starts again
            parts.append(rest)
        return self.stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def log(self, line: str) -> None:
        """Add a line to the log alone."""
        self._file.append(self._source, line)

    def finish(self) -> None:
        """Keep this thread's unfinished line."""
        if self._unfinished.__dict__.get("parts"):
            self._finish_line()

    def _finish_line(self) -> None:
        parts = self._unfinished.parts
        line = _CONTROL.sub("", "".join(parts)).rstrip("\r").rpartition("\r")[2]
        parts.clear()
        self._file.append(self._source, line)
