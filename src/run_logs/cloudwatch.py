"""A log stream of CloudWatch Logs: creating it, writing to it, and its errors as sentences."""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError

from ahx.text.chunks import pieces as split

# One attempt each: the caller makes the pauses between attempts, and can be asked to stop.
_CONFIG = Config(
    connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1}, user_agent_extra="ahx-transformer"
)
# SageMaker's toolkit shows INFO of all loggers, and botocore logs its configuration with each client.
logging.getLogger("botocore").setLevel(logging.WARNING)
# CloudWatch accepts events of 1 MB since 2025, 256 KiB before; moto still refuses more.
MOST_BYTES = 250_000


class NotCloudWatchError(Exception):
    """Something else answers instead of CloudWatch, such as a proxy."""


class RefusedError(Exception):
    """CloudWatch refuses the whole batch because of one event, or because of their span of time."""


#: What an attempt may fail with. All may pass: a network comes back, a permission can be granted.
FAILURES = (ClientError, BotoCoreError, ResponseParserError, NotCloudWatchError, OSError)


class LogEvent(str):
    """A line of the log, or a part of one that is too long for an event."""

    ends_line: bool  # it is the last part


def events(line: str) -> Iterator[LogEvent]:
    """`line` as events that CloudWatch accepts: none empty, none longer than MOST_BYTES in UTF-8, nothing lost."""
    parts = [LogEvent(part) for part in split(line or " ", MOST_BYTES)]
    for event in parts:
        event.ends_line = event is parts[-1]
    yield from parts


class Stream:
    """The log stream `group`/`name`."""

    def __init__(self, group: str, name: str) -> None:
        """Raises one of FAILURES when there is no region."""
        self.group, self.name = group, name
        # SageMaker and most programs set AWS_REGION; botocore reads AWS_DEFAULT_REGION only.
        region = os.environ.get("AWS_REGION") or None
        self.client = boto3.Session(region_name=region).client("logs", config=_CONFIG)

    def prepare(self) -> None:
        """Create the group and the stream where they are missing. Raises one of FAILURES.

        Who may not create them may still be allowed to write to them: sending will show.
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
        """Send a batch; the events that were accepted, and why others were not.

        Raises RefusedError, which would happen again, or one of FAILURES.
        """
        try:
            answer = self._put(events)
        except self.client.exceptions.ResourceNotFoundException:  # the group or the stream was deleted
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
    """Whether another attempt within seconds makes sense; missing credentials or permissions need a person."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        return status >= 500 or status == 429 or "Throttling" in _code(error)
    return not isinstance(error, NoCredentialsError | NoRegionError)


def explain(error: BaseException) -> str:
    """Why an attempt failed, and the next step where it is known."""
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
