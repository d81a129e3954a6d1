"""Clients of AWS with one set of timeouts and retries, and their errors as sentences.

The region, the credentials and, for the embedded AWS, the address (AWS_ENDPOINT_URL) come from the environment and
~/.aws, as for every AWS tool.
"""

import os
import re
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ahx.errors import ServiceError
from infra.provision.stack_id import StackId

try:
    import boto3
    from botocore import exceptions as exceptions
    from botocore.config import Config
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError as missing:
    raise ServiceError(
        f"this needs the package {missing.name}, which is not installed; run: pip install 'ahx-transformer[cloud]'"
    ) from None

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},  # throttling and 5xx, with growing pauses
    user_agent_extra="ahx-transformer",
)

_MAKING = threading.Lock()  # a session makes one client at a time

_DENIED = re.compile(r"not authorized to perform: (\w+:\w+(?: on resource: \S+)?)")
_HELP = "`ahx infra policy` prints what is needed, and `ahx infra doctor` what is missing"

# What the most common errors mean, and the next step.
_REFUSALS = {
    "301": "it is in another region; set AWS_REGION to that of the bucket",
    "403": "permission denied; `ahx infra doctor` says which permission is missing",
    "AccessDenied": f"permission denied; {_HELP}",
    "AccessDeniedException": f"permission denied; {_HELP}",
    "AuthFailure": "the credentials are not valid; log in again, or run `aws configure`",
    "ExpiredToken": "the credentials have expired; log in again",
    "ExpiredTokenException": "the credentials have expired; log in again",
    "InvalidAccessKeyId": "the credentials are not valid; log in again, or run `aws configure`",
    "InvalidClientTokenId": "the credentials are not valid; log in again, or run `aws configure`",
    "AuthorizationHeaderMalformed": "it is in another region; set AWS_REGION to that of the bucket",
    "NoSuchBucket": "there is no such bucket; check the name, or make one with `ahx infra apply`",
    "PermanentRedirect": "it is in another region; set AWS_REGION to that of the bucket",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "SignatureDoesNotMatch": "the secret key is not valid; log in again, or run `aws configure`",
    "UnrecognizedClientException": "the credentials are not valid; log in again, or run `aws configure`",
}


def client(service: str, region: str | None = None) -> Any:
    """A boto3 client of `service`. Raises ServiceError when no region is known."""
    # boto3 reads AWS_DEFAULT_REGION only; all other SDKs and the CLI read AWS_REGION too.
    region = region or os.environ.get("AWS_REGION")
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    with _MAKING, sentences(f"use {service}"):
        return _session(settings).client(service, region_name=region, config=_CONFIG)


def credentials() -> Any | None:
    """The credentials in use, as botocore signs with; None where there are none. Raises ServiceError."""
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    with sentences("find credentials"):
        return _session(settings).get_credentials()


@lru_cache(maxsize=1)
def _session(settings: tuple[tuple[str, str], ...]) -> Any:
    """One session for all clients until the settings change, which halves the time to create them."""
    return boto3.Session()


@dataclass(frozen=True)
class Caller:
    """The identity and region of the credentials in use."""

    account: str
    arn: str  # of the user, or of the role's session
    region: str
    response: dict[str, Any] = field(repr=False, compare=False)  # the whole answer, with its headers

    @property
    def partition(self) -> str:
        """ "aws", "aws-cn" or "aws-us-gov"."""
        return self.arn.split(":")[1]

    def stack_id(self, prefix: str) -> StackId:
        """The stack of this prefix in the caller's account and region. Raises InputError."""
        return StackId(self.account, self.region, self.partition, prefix)


def caller(region: str | None = None) -> Caller:
    """Ask AWS whose credentials these are, which needs no permission. Raises ServiceError."""
    sts = client("sts", region)
    with sentences("find out whose AWS credentials these are"):
        answer = sts.get_caller_identity()
    return Caller(answer["Account"], answer["Arn"], sts.meta.region_name, answer)


def endpoint() -> str | None:
    """The address of an AWS that is not Amazon's, where one is set."""
    return os.environ.get("AWS_ENDPOINT_URL") or None


def code(error: exceptions.ClientError) -> str:
    """The error's code: "NoSuchBucket", "ValidationException" and so on."""
    return str(error.response["Error"].get("Code", ""))


def unless(codes: Container[str], call: Callable[..., Any], **arguments: Any) -> Any:
    """What `call(**arguments)` returns, or None where AWS answers with one of these error codes."""
    try:
        return call(**arguments)
    except exceptions.ClientError as error:
        if code(error) in codes:
            return None
        raise


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Errors of AWS inside become a ServiceError: "cannot `doing`: the reason; the next step"."""
    try:
        yield
    except exceptions.ClientError as error:
        message = error.response["Error"].get("Message") or code(error)
        denied = _DENIED.search(message)
        reason = f"{denied[1]} is not allowed; {_HELP}" if denied else _REFUSALS.get(code(error)) or message
        raise ServiceError(f"cannot {doing}: {reason}") from error
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
    ) as error:
        reason = "no AWS credentials were found; run `aws configure`, or `ahx aws` for an AWS on this machine"
        raise ServiceError(f"cannot {doing}: {reason}") from error
    except exceptions.NoRegionError as error:
        reason = "no AWS region is set; give --region, or set AWS_REGION"
        raise ServiceError(f"cannot {doing}: {reason}") from error
    except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError) as error:
        where = endpoint() or "AWS"
        raise ServiceError(
            f"cannot {doing}: {where} does not answer; check the network, and AWS_ENDPOINT_URL"
        ) from error
    except ResponseParserError as error:
        where = endpoint() or "something between here and AWS"
        raise ServiceError(
            f"cannot {doing}: {where} answers, but not as AWS does; check the network, proxies, and AWS_ENDPOINT_URL"
        ) from error
    except exceptions.BotoCoreError as error:
        raise ServiceError(f"cannot {doing}: {error}") from error
