"""A host's output goes to CloudWatch Logs line by line, and the values of its metric definitions to CloudWatch.

Follows "Log Amazon SageMaker Events with CloudWatch" (group and stream names) and "Define training metrics" of the
SageMaker Developer Guide.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from ahx.text.chunks import pieces

GROUP = "/aws/sagemaker/TrainingJobs"
_FLUSH_SECONDS = 0.5
# PutLogEvents' limits. Longer lines are split as CloudWatch's agent does: at 256 KiB, with 26 bytes an event.
_MAX_EVENTS, _MAX_BYTES, _MAX_LINE = 10_000, 1_048_576, 262_144 - 26
_MAX_SPAN = 24 * 3600 * 1000  # milliseconds from the first event of a batch to the last
_MAX_DATA = 500  # of PutMetricData

Report = Callable[[str, float, float], None]  # a metric's name, its value, and when


class Shipper:
    """Reads one host's lines in a thread, and sends them twice a second."""

    def __init__(
        self,
        lines: Iterable[str],
        clients: Callable[[str], Any],
        job: str,
        host: str,
        definitions: Iterable[dict[str, str]],
        report: Report,
    ) -> None:
        self._clients, self._job = clients, job
        self.stream = f"{job}/{host}-{int(time.time())}"
        self._definitions = [(one["Name"], re.compile(one["Regex"])) for one in definitions]
        self._report = report
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._data: list[dict[str, Any]] = []
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._open()
        self._reader.start()
        self._sender.start()

    def finish(self, timeout: float = 60) -> None:
        """Wait until all output is sent."""
        self._reader.join(timeout)
        self._ended.set()
        self._sender.join(timeout)

    def _open(self) -> None:
        logs = self._clients("logs")
        _create(logs.create_log_group, logGroupName=GROUP)
        _create(logs.create_log_stream, logGroupName=GROUP, logStreamName=self.stream)

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            now = time.time()
            found = [(name, match) for name, regex in self._definitions if (match := regex.search(line))]
            with self._lock:
                for part in pieces(line or " ", _MAX_LINE):
                    self._events.append({"timestamp": int(now * 1000), "message": part})
            for name, match in found:
                with suppress(ValueError, TypeError, IndexError):
                    value = float(match[1])
                    if math.isfinite(value):
                        self._report(name, value, now)
                        with self._lock:
                            self._data.append(_datum(name, value, now, self._job))

    def _send(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(_FLUSH_SECONDS)
            with self._lock:
                events, self._events = self._events, []
                data, self._data = self._data, []
            for batch in _batches(events):
                with suppress(ClientError):  # the group or the stream was deleted
                    self._clients("logs").put_log_events(logGroupName=GROUP, logStreamName=self.stream, logEvents=batch)
            for at in range(0, len(data), _MAX_DATA):
                self._clients("cloudwatch").put_metric_data(Namespace=GROUP, MetricData=data[at : at + _MAX_DATA])


def _create(call: Callable[..., Any], **names: str) -> None:
    """Create something that may exist."""
    try:
        call(**names)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _datum(name: str, value: float, when: float, job: str) -> dict[str, Any]:
    dimensions = [{"Name": "TrainingJobName", "Value": job}]
    return {"MetricName": name, "Dimensions": dimensions, "Value": value, "Timestamp": when}


def _batches(events: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Batches of events in order of time, within PutLogEvents' limits. No single event exceeds a batch."""
    batch: list[dict[str, Any]] = []
    size = 0
    for event in sorted(events, key=lambda event: event["timestamp"]):  # a clock may have been set back
        more = len(event["message"].encode()) + 26
        late = bool(batch) and event["timestamp"] - batch[0]["timestamp"] >= _MAX_SPAN
        if late or len(batch) == _MAX_EVENTS or size + more > _MAX_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += more
    if batch:
        yield batch
