"""A log stream of CloudWatch Logs: made, written to, and its errors as sentences."""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError

from ahx.text.chunks import pieces as split

# One attempt each: pauses between attempts are the business of whoever calls, who can also be asked to stop.
_CONFIG = Config(
    connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1}, user_agent_extra="ahx-transformer"
)
# SageMaker's toolkit shows everybody's INFO, and botocore tells with each client where it found its settings.
logging.getLogger("botocore").setLevel(logging.WARNING)
# CloudWatch takes events of 1 MB since 2025, of 256 KiB before; stands-in for it still refuses more.
MOST_BYTES = 250_000


class NotCloudWatchError(Exception):
    """Something answers in CloudWatch's place, a proxy for one."""


class RefusedError(Exception):
    """CloudWatch takes nothing of a batch as long as one of its events, or their span, is wrong."""


#: What an attempt may fail with. All of it may pass: a network comes back, and a permission can be given meanwhile.
FAILURES = (ClientError, BotoCoreError, ResponseParserError, NotCloudWatchError, OSError)


class LogEvent(str):
    """A line of the log, or a part of one that is too long for an event."""

    ends_line: bool  # it is the last part
    size: int  # in CloudWatch's accounts: bytes of UTF-8, and 26


def events(line: str) -> Iterator[LogEvent]:
    """`line` in events that CloudWatch takes: none empty, none longer than MOST_BYTES in UTF-8, nothing lost."""
    parts = [LogEvent(part) for part in split(line or " ", MOST_BYTES)]
    for event in parts:
        event.ends_line, event.size = event is parts[-1], len(event.encode()) + 26
    yield from parts


class Stream:
    """The log stream `group`/`name`."""

    def __init__(self, group: str, name: str) -> None:
        """Raises one of FAILURES when there is no region."""
        self.group, self.name = group, name
        # SageMaker and most programs speak of AWS_REGION, botocore reads AWS_DEFAULT_REGION only.
        region = os.environ.get("AWS_REGION") or None
        self.client = boto3.Session(region_name=region).client("logs", config=_CONFIG)

    def prepare(self) -> None:
        """Make the group and the stream where they are missing. Raises one of FAILURES.

        Whoever may not make them may still be allowed to write to them, which sending will show.
        """
        group = {"logGroupName": self.group}
        for make, names in (
            (self.client.create_log_group, group),
            (self.client.create_log_stream, group | {"logStreamName": self.name}),
        ):
            try:
                make(**names)
            except ClientError as error:
                if _code(error) not in ("ResourceAlreadyExistsException", "AccessDeniedException"):
                    raise

    def put(self, events: Sequence[dict[str, Any]]) -> tuple[Sequence[dict[str, Any]], str]:
        """Send a batch; gives the events that were taken, and why others were not.

        Raises RefusedError, which another attempt does not mend, or one of FAILURES.
        """
        try:
            answer = self._put(events)
        except self.client.exceptions.ResourceNotFoundException:  # somebody has deleted the group or the stream
            self.prepare()
            answer = self._put(events)
        except self.client.exceptions.InvalidParameterException as error:
            raise RefusedError(_message(error)) from error
        rejected = answer.get("rejectedLogEventsInfo") or {}
        begin = max(rejected.get("tooOldLogEventEndIndex", 0), rejected.get("expiredLogEventEndIndex", 0))
        taken = events[begin : rejected.get("tooNewLogEventStartIndex", len(events))]
        wrong = "CloudWatch finds them too old or in the future; set this machine's clock"
        return taken, "" if len(taken) == len(events) else wrong

    def _put(self, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.put_log_events(
            logGroupName=self.group, logStreamName=self.name, logEvents=events
        )
        if "RequestId" not in answer["ResponseMetadata"]:
            raise NotCloudWatchError(f"what answers at {self.client.meta.endpoint_url} is not CloudWatch Logs")
        return answer


def may_pass(error: BaseException) -> bool:
    """Whether another attempt within seconds makes sense; what is missing or denied takes a person to mend."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        return status >= 500 or status == 429 or "Throttling" in _code(error)
    return not isinstance(error, NoCredentialsError | NoRegionError)


def explain(error: BaseException) -> str:
    """Why an attempt failed, and what to do where that is known."""
    if isinstance(error, ClientError):
        if _code(error) == "AccessDeniedException":
            return f"permission denied; allow logs:{error.operation_name} on the log group"
        return f"{_code(error)}: {_message(error)}"
    if isinstance(error, NoCredentialsError):
        return "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, NoRegionError):
        return "no AWS region is set; set AWS_REGION"
    return str(error) or type(error).__name__


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message") or "").strip() or _code(error)
