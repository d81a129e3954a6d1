"""Carries lines to CloudWatch Logs: watchtower collects them into batches, and each is sent until it is taken.

watchtower 3.4.0 by itself gives a batch up after five attempts in a row, drops what it is handed while it makes a
stream, cuts long lines, and waits at exit; all of it silently. So the stream is made beforehand, sending is replaced,
and nothing of watchtower's is left to run at exit.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from logging import LogRecord
from typing import Any, TypeVar

import watchtower

from run_logs.cloudwatch import FAILURES, LogEvent, RefusedError, Stream, events, explain, may_pass
from run_logs.delivery_status import DeliveryStatus

# Seconds. A batch waits SEND_INTERVAL for more lines. Pauses between attempts: at first, at most, and at the end.
SEND_INTERVAL = 1
FIRST_PAUSE, LONGEST_PAUSE, CLOSING_PAUSE = 1.0, 60.0, 0.5
# Bytes of lines that may be under way; whoever carries more has to wait.
MOST_AHEAD = 4 << 20

T = TypeVar("T")


class _Clock:
    """For watchtower, which takes a batch's deadline from the wall clock: set back by hours, it would wait as long."""

    time = staticmethod(time.monotonic)


watchtower.time = _Clock


class LogSender:
    """Takes lines to the stream `name` of the log group `group`, and books them in `account`."""

    def __init__(self, group: str, name: str, status: DeliveryStatus) -> None:
        self._group, self._name, self._account = group, name, status
        self._ahead, self._room = 0, threading.Condition()
        self._stream: Stream | None = None
        self._batcher: _Batcher | None = None

    def connect(self) -> bool:
        """Make the stream, however often it takes. False when the account is closed before it is there."""

        def make() -> Stream:
            stream = Stream(self._group, self._name)
            stream.prepare()
            return stream

        self._stream = self._attempt(make)
        if self._stream is not None:
            self._batcher = _Batcher(self._stream, self._send)
        return self._stream is not None

    def carry(self, message: str, timestamp: int) -> None:
        """Take a line of `timestamp` (milliseconds since 1970) along. Waits while too many are under way."""
        assert self._batcher is not None
        for event in events(message):
            with self._room:
                while self._ahead > MOST_AHEAD and not self._account.given_up():
                    self._room.wait(SEND_INTERVAL)
                self._ahead += event.size
            if not self._account.given_up():
                self._batcher.put(event, timestamp)

    def drain(self) -> None:
        """Wait until all is sent, or the account has given up."""
        assert self._batcher is not None
        self._batcher.drain(self._account.seconds_left())

    def _send(self, events: Sequence[dict[str, Any]]) -> None:
        """Send a batch until it is taken or refused, or time is up."""
        assert self._stream is not None
        stream = self._stream
        try:
            outcome = self._attempt(lambda: stream.put(events))
        except RefusedError as refused:
            if len(events) > 1:  # one that is refused, or a day from first to last, must not hold up the others
                self._send(events[: len(events) // 2])
                self._send(events[len(events) // 2 :])
                return
            outcome = ([], str(refused))
        if outcome is not None:
            taken, complaint = outcome
            self._account.delivered += sum(event["message"].ends_line for event in taken)
            self._account.reason = complaint or self._account.reason
        with self._room:
            self._ahead -= sum(event["message"].size for event in events)
            self._room.notify()

    def _attempt(self, call: Callable[[], T]) -> T | None:
        """Call until it succeeds, with growing pauses. None when time is up before it does."""
        status, pause = self._account, FIRST_PAUSE
        while not status.given_up():
            try:
                return call()
            except FAILURES as error:
                status.failures += 1
                status.reason = explain(error)
                if status.closing.is_set() and not may_pass(error):
                    status.close(0)
                    return None
            if status.closing.wait(pause * random.uniform(0.5, 1.0)):
                time.sleep(CLOSING_PAUSE)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None


class _Batcher(watchtower.CloudWatchLogHandler):  # type: ignore[misc]  # its types are unknown
    """watchtower's queue of one stream. It hands every batch to `send`, in a daemon thread of its own."""

    def __init__(self, stream: Stream, send: Callable[[Sequence[dict[str, Any]]], None]) -> None:
        super().__init__(
            log_group_name=stream.group,
            log_stream_name=stream.name,
            boto3_client=stream.client,
            create_log_group=False,
            create_log_stream=False,
            send_interval=SEND_INTERVAL,
        )
        self._send = send

    def put(self, event: LogEvent, timestamp: int) -> None:
        record = LogRecord("ahx", 20, "", 0, event, None, None)
        record.created = (timestamp + 0.5) / 1000
        self.emit(record)

    def format(self, message: LogRecord) -> LogEvent:
        assert isinstance(message.msg, LogEvent)
        return message.msg

    def drain(self, seconds: float) -> None:
        for queue in self.queues.values():
            queue.put(self.END)
        for thread in self.threads:
            thread.join(seconds)

    def flush(self) -> None:
        """Nothing: `logging` calls this at exit, when all has been done that could be."""

    def close(self) -> None:
        """Nothing, for the same reason."""

    def _get_stream_name(self, message: LogRecord) -> str:
        return str(self.log_stream_name)  # as it is: braces in it are no fields

    def _submit_batch(self, batch: list[dict[str, Any]], log_stream_name: str, max_retries: int = 5) -> None:
        if batch:
            self._send(sorted(batch, key=lambda event: event["timestamp"]))
