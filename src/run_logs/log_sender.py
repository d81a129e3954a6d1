"""Sends lines to CloudWatch Logs: watchtower collects them into batches, and each is sent until it is taken.

watchtower 3.4.0 gives a batch up after five attempts in a row. It sends through the client that it is given, so it is
given one (`LogSender`) that repeats an attempt until the batch is taken or refused, or time is up.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from logging import LogRecord
from typing import Any, TypeVar

import watchtower

from run_logs.cloudwatch import FAILURES, LogEvent, RefusedError, Stream, events, explain, may_pass
from run_logs.delivery_status import DeliveryStatus

# Seconds between attempts: at first, at most, and once the status is closing.
FIRST_PAUSE, LONGEST_PAUSE, CLOSING_PAUSE = 1.0, 60.0, 0.5

T = TypeVar("T")


class LogSender:
    """Sends lines to the stream `name` of the log group `group`, and counts in `status` those that were accepted."""

    def __init__(self, group: str, name: str, status: DeliveryStatus) -> None:
        self._group, self._name, self._status = group, name, status
        self._stream: Stream | None = None
        self._handler = _Handler(
            log_group_name=group,
            log_stream_name=name.replace("{", "{{").replace("}", "}}"),  # watchtower formats it
            boto3_client=self,
            create_log_group=False,
            create_log_stream=False,
        )

    def connect(self) -> bool:
        """Make the stream, with as many attempts as needed. False when time is up before it exists."""

        def make() -> Stream:
            stream = Stream(self._group, self._name)
            stream.prepare()
            return stream

        self._stream = self._attempt(make)
        return self._stream is not None

    def send(self, lines: Iterable[tuple[str, int]]) -> None:
        """Send lines, each with its time in milliseconds since 1970. Returns when they are sent, or time is up."""
        for message, timestamp in lines:
            for event in events(message):
                record = LogRecord("ahx", 20, "", 0, event, None, None)
                record.created = (timestamp + 0.5) / 1000
                self._handler.emit(record)
        self._handler.send_all()

    def put_log_events(self, logEvents: Sequence[dict[str, Any]], **_: object) -> dict[str, Any]:
        """What watchtower calls, in a thread of its own: sends a batch until it is taken or refused, or time is up."""
        assert self._stream is not None
        stream = self._stream
        try:
            outcome = self._attempt(lambda: stream.put(logEvents))
        except RefusedError as refused:
            if len(logEvents) > 1:  # one that is refused, or a day from first to last, must not hold up the others
                self.put_log_events(logEvents[: len(logEvents) // 2])
                self.put_log_events(logEvents[len(logEvents) // 2 :])
                return {}
            outcome = ([], str(refused))
        if outcome is not None:
            taken, complaint = outcome
            self._status.delivered += sum(event["message"].ends_line for event in taken)
            self._status.reason = complaint or self._status.reason
        return {}

    def _attempt(self, call: Callable[[], T]) -> T | None:
        """Call until it succeeds, with growing pauses. None when time is up before it does."""
        status, pause = self._status, FIRST_PAUSE
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


class _Handler(watchtower.CloudWatchLogHandler):  # type: ignore[misc]  # its types are unknown
    """watchtower's queue of one stream, which does not delay the end of the process."""

    FLUSH_TIMEOUT = None  # `put_log_events` knows when time is up

    def format(self, record: LogRecord) -> LogEvent:
        assert isinstance(record.msg, LogEvent)
        return record.msg

    def send_all(self) -> None:
        """Send the queue, regardless of the batch's age by the wall clock."""
        super().flush()

    def flush(self) -> None:
        """Nothing: `logging` calls this at exit, after the delivery has ended or was given up."""

    def close(self) -> None:
        """Nothing, for the same reason."""
