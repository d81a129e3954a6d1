"""Copies what is appended to a log file to CloudWatch Logs, in a daemon thread.

The file is the queue: about a megabyte of it is read at a time, and sent before more is read, so that memory does not
grow while CloudWatch does not answer, and printing never waits. Lines that other processes append are delivered too.
"""

import concurrent.futures.thread  # noqa: F401
import json
import logging  # noqa: F401
import threading
import time
from collections.abc import Callable

from run_logs.delivery_status import DeliveryStatus
from run_logs.log_file import LogFile

# boto3 needs the two imports that nothing here uses, and both register hooks for os.fork. They are imported before the
# thread starts: a fork during their first import would copy locks that no thread of the child releases.

POLL = 1.0  # seconds between reads of the file


class Delivery:
    """The copying of all new lines of `file` to the stream `name` of the log group `group`."""

    def __init__(self, file: LogFile, group: str, name: str) -> None:
        self.status = DeliveryStatus()
        self._file, self._group, self._name = file, group, name
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, seconds: float, hurried: Callable[[], bool]) -> bool:
        """Deliver the rest in at most `seconds`, or until `hurried()`. False when time was too short."""
        self.status.close(seconds)
        while self._thread.is_alive() and not hurried() and not self.status.given_up():
            self._thread.join(0.05)
        self.status.reason = self.status.reason or "CloudWatch Logs has not answered in time"
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._deliver()
        except Exception:  # at exit, Python clears modules that the thread still uses
            if not self.status.given_up():
                raise

    def _deliver(self) -> None:
        try:
            # boto3 and watchtower take half a second to import: here, where training does not wait for it.
            from run_logs.log_sender import LogSender
        except ModuleNotFoundError as missing:
            self.status.reason = f"{missing.name} is not installed; run: pip install 'ahx-transformer[cloud]'"
            return
        sender, at = LogSender(self._group, self._name, self.status), self._file.start
        if not sender.connect():
            return
        while not self.status.given_up():
            closing = self.status.closing.is_set()  # asked before the file is read: what was printed before is in it
            lines, at = self._file.read(at)
            if lines:
                sender.send(map(_event, lines))
            elif closing:
                return
            else:
                self.status.closing.wait(POLL)


def _event(line: bytes) -> tuple[str, int]:
    """(message, timestamp in ms) of a line of the file; a line that a full disk has cut short is its own message."""
    try:
        event = json.loads(line)
        return str(event["message"]), int(event["timestamp"])
    except (ValueError, KeyError, TypeError):
        return line.decode("utf-8", "replace"), time.time_ns() // 1_000_000
