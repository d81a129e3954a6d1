"""Copies what is appended to a log file to CloudWatch Logs, in a daemon thread.

The file is the queue: however long CloudWatch is away, memory holds no more than a few megabytes of lines, and whoever
prints knows nothing of it. Lines that other processes append to the file are delivered likewise.
"""

import concurrent.futures.thread  # noqa: F401
import json
import logging  # noqa: F401
import threading
import time
from collections.abc import Callable, Iterator

from run_logs.delivery_status import DeliveryStatus
from run_logs.log_file import LogFile

# The two imports that nothing here uses are what boto3 needs and what hooks into os.fork: a fork at the very moment of
# their first import, in the thread, would find their locks held by nobody.

POLL = 0.5  # seconds between looks at the file


class Delivery:
    """The copying of all new lines of `file` to the stream `name` of the log group `group`."""

    def __init__(self, file: LogFile, group: str, name: str) -> None:
        self.status = DeliveryStatus()
        self._file, self._group, self._name = file, group, name
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, seconds: float, hurried: Callable[[], bool]) -> bool:
        """Deliver what is left, in at most `seconds`, or until `hurried()`. False when that was not enough."""
        self.status.close(seconds)
        while self._thread.is_alive() and not hurried() and not self.status.given_up():
            self._thread.join(0.05)
        self.status.reason = self.status.reason or "CloudWatch Logs has not answered in time"
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._deliver()
        except Exception:  # Python, which ends by now, takes from under a thread what it needs
            if not self.status.given_up():
                raise

    def _deliver(self) -> None:
        try:
            # boto3 and watchtower take half a second to import: here, where training does not wait for it.
            from run_logs.log_sender import LogSender
        except ModuleNotFoundError as missing:
            self.status.reason = f"{missing.name} is not installed; run: pip install 'ahx-transformer[cloud]'"
            return
        sender = LogSender(self._group, self._name, self.status)
        if sender.connect():
            for message, timestamp in self._lines():
                sender.carry(message, timestamp)
            sender.drain()

    def _lines(self) -> Iterator[tuple[str, int]]:
        """(message, timestamp) of each line of the file, as they come, until no more will."""
        at = self._file.start
        while True:
            closing = self.status.closing.is_set()  # asked before the file is: what was printed before is there
            lines, at = self._file.read(at)
            yield from map(_event, lines)
            if not lines:
                if closing:
                    return
                self.status.closing.wait(POLL)


def _event(line: bytes) -> tuple[str, int]:
    """(message, timestamp in ms) of a line of the file; one that a full disk has cut short is taken as it is."""
    try:
        event = json.loads(line)
        return str(event["message"]), int(event["timestamp"])
    except (ValueError, KeyError, TypeError):
        return line.decode("utf-8", "replace"), time.time_ns() // 1_000_000
