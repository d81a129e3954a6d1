"""The way to AWS: clients with one set of timeouts and retries, and its errors as sentences.

The region, the credentials and, for the embedded AWS, the address (AWS_ENDPOINT_URL) come from where every AWS tool
takes them: the environment and ~/.aws.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ahx.errors import ServiceError

try:
    import boto3
    from botocore import exceptions
    from botocore.config import Config
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

# What the commonest refusals mean, and the next step.
_REFUSALS = {
    "301": "it is in another region; set AWS_REGION to that of the bucket",
    "403": "permission denied; `ahx infra doctor` says which permission is missing",
    "AccessDenied": "permission denied; `ahx infra doctor` says which permission is missing",
    "AccessDeniedException": "permission denied; `ahx infra doctor` says which permission is missing",
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
    with sentences(f"use {service}"):
        return boto3.Session(region_name=region).client(service, config=_CONFIG)


def endpoint() -> str | None:
    """The address of an AWS that is not Amazon's, where one is set."""
    return os.environ.get("AWS_ENDPOINT_URL") or None


def code(error: exceptions.ClientError) -> str:
    """What AWS calls the error: "NoSuchBucket", "ValidationException" and so on."""
    return str(error.response["Error"].get("Code", ""))


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Errors of AWS inside become a ServiceError: "cannot `doing`: the reason; the next step"."""
    try:
        yield
    except exceptions.ClientError as error:
        told = error.response["Error"].get("Message") or code(error)
        raise ServiceError(f"cannot {doing}: {_REFUSALS.get(code(error)) or told}") from error
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
    except exceptions.BotoCoreError as error:
        raise ServiceError(f"cannot {doing}: {error}") from error
