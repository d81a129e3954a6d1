"""Verification of signatures.

Signature Version 4 in headers, presigned URLs and forms, for all services; for S3 also Version 2, boto3's default for
presigned URLs. After "AWS Signature Version 4 for API requests" of the IAM User Guide,
"Authenticating Requests" of the S3 API Reference, and "Signing and authenticating REST requests" of the S3 User Guide.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from botocore.auth import HmacV1Auth

from infra.embedded.http.protocols import AwsError, Environ
from infra.embedded.http.target import Query, bucket_of_host, pairs, quoted, target

HEADERS = "ahx.headers"  # key in the WSGI environment: the headers as they were sent

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()

_ALGORITHM = "AWS4-HMAC-SHA256"
_HEADER = re.compile(rf"{_ALGORITHM} +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{{64}})")
_SCOPE = re.compile(r"([^/]+)/((\d{8})/[a-z0-9-]+/([A-Za-z0-9._-]+)/aws4_request)")
_STAMP = re.compile(r"\d{8}T\d{6}Z")
_SKEW = timedelta(minutes=15)
_WEEK = timedelta(days=7)
_SKEWED = "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."

# Query parameters that Version 2 signs, and two that must not be added to a presigned URL.
_SUBRESOURCES = {*HmacV1Auth.QSAOfInterest, "encryption", "publicAccessBlock"}

KeyOf = Callable[[str, str], "Key"]


@dataclass(frozen=True)
class Key:
    """A secret access key, and when it expires."""

    secret: str
    expires: datetime | None = None


@dataclass(frozen=True)
class Signed:
    """A valid signature. `payload` is x-amz-content-sha256: the SHA-256 of the body, or a keyword.

    `credential` is KEY/DAY/REGION/SERVICE/aws4_request; the other fields begin the chain of the chunks' signatures.
    """

    payload: str
    credential: str
    secret: str = ""
    scope: str = ""
    stamp: str = ""
    signature: str = ""

    def of_chunk(self, previous: str, data: bytes) -> str:
        """The signature of a chunk that follows the one with the signature `previous`."""
        return self._next("AWS4-HMAC-SHA256-PAYLOAD", previous, EMPTY, _sha256(data))

    def of_trailer(self, previous: str, data: bytes) -> str:
        """The signature of the trailing headers."""
        return self._next("AWS4-HMAC-SHA256-TRAILER", previous, _sha256(data))

    def _next(self, *parts: str) -> str:
        kind, *rest = parts
        return _sign(self.secret, self.scope, "\n".join([kind, self.stamp, self.scope, *rest]))


def verify(environ: Environ, key_of: KeyOf, body_hash: Callable[[], str]) -> Signed:
    """Verify a request. Raises AwsError, with the codes of S3, if its signature is missing or wrong.

    `key_of` finds the key of an access key id and a session token, or raises AwsError; `body_hash` computes the SHA-256
    of the body if no header states it.
    """
    query = pairs(environ)
    given, authorization = dict(query), environ[HEADERS].get_all("Authorization", [])
    if len(given) != len(query) and {b"X-Amz-Signature", b"Signature"} & given.keys():
        raise _refusal("AuthorizationQueryParametersError", "A query parameter of the signature is given twice.", 400)
    ways = len(authorization) + (b"X-Amz-Signature" in given) + (b"Signature" in given and b"AWSAccessKeyId" in given)
    if ways > 1:
        raise _refusal("InvalidArgument", "Only one auth mechanism allowed", 400)
    if ways == 0:
        raise _refusal("AccessDenied", "Access Denied")
    if b"X-Amz-Signature" in given:
        return _presigned(
            environ, query, {name.decode("latin-1"): value.decode("latin-1") for name, value in query}, key_of
        )
    if not authorization:
        return _version_2(
            environ, query, given[b"AWSAccessKeyId"], given[b"Signature"], given.get(b"Expires", b""), key_of
        )
    if authorization[0].startswith("AWS "):
        name, _, signature = authorization[0].removeprefix("AWS ").strip().partition(":")
        return _version_2(environ, query, name.encode(), signature.encode(), None, key_of)
    return _in_headers(environ, query, authorization[0], key_of, body_hash)


def verify_form(form: Mapping[str, str], key_of: KeyOf) -> str:
    """The credential that signed the policy of a form that is posted to a bucket. Raises AwsError."""
    policy = form.get("policy", "")
    if "x-amz-signature" in form:
        scope = _scope(form.get("x-amz-credential", ""))
        name, key = scope[1], key_of(scope[1], form.get("x-amz-security-token", ""))
        wanted, signature = _sign(key.secret, scope[2], policy), form["x-amz-signature"]
    else:
        name = form.get("AWSAccessKeyId", "")
        key = key_of(name, form.get("x-amz-security-token", ""))
        wanted, signature = _sign_2(key.secret, policy.encode()), form.get("signature", "")
    if not policy or not _equal(wanted, signature):
        raise _mismatch()
    return s3_credential(name)


def _in_headers(
    environ: Environ, query: Query, authorization: str, key_of: KeyOf, body_hash: Callable[[], str]
) -> Signed:
    headers: Message = environ[HEADERS]
    found = _HEADER.fullmatch(authorization.strip())
    if found is None:
        raise _refusal(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; it must be of Signature Version 4.",
            400,
        )
    scope = _scope(found[1])
    key = key_of(scope[1], headers.get("X-Amz-Security-Token", ""))
    stamp = headers.get("X-Amz-Date") or _stamp_of(headers.get("Date", ""))
    if abs(datetime.now(UTC) - _time(stamp)) > _SKEW:
        raise _refusal(*_SKEWED)
    payload = headers.get("X-Amz-Content-Sha256") or body_hash()
    _compare(key, scope, stamp, _canonical(environ, query, found[2], payload, scope[4]), found[3])
    return Signed(payload, scope[0], key.secret, scope[2], stamp, found[3])


def _presigned(environ: Environ, query: Query, given: Mapping[str, str], key_of: KeyOf) -> Signed:
    scope, lasts = _scope(given.get("X-Amz-Credential", "")), given.get("X-Amz-Expires", "")
    if (
        given.get("X-Amz-Algorithm") != _ALGORITHM
        or not re.fullmatch(r"\d{1,6}", lasts)
        or timedelta(seconds=int(lasts)) > _WEEK
    ):
        raise _refusal("AuthorizationQueryParametersError", "X-Amz-Algorithm or X-Amz-Expires is not valid.", 400)
    key = key_of(scope[1], given.get("X-Amz-Security-Token", ""))
    stamp = given.get("X-Amz-Date", "")
    payload = given.get("X-Amz-Content-Sha256") or environ[HEADERS].get("X-Amz-Content-Sha256")
    payload = payload or (UNSIGNED if scope[4] == "s3" else EMPTY)
    rest = [(name, value) for name, value in query if name != b"X-Amz-Signature"]
    canonical = _canonical(environ, rest, given.get("X-Amz-SignedHeaders", ""), payload, scope[4])
    _compare(key, scope, stamp, canonical, given["X-Amz-Signature"])
    now, sent = datetime.now(UTC), _time(stamp)
    if sent - now > _SKEW:
        raise _refusal("AccessDenied", "Request is not valid yet")
    if now > sent + timedelta(seconds=int(lasts)):
        raise _refusal("AccessDenied", "Request has expired")
    return Signed(payload, scope[0])


def _version_2(
    environ: Environ, query: Query, name: bytes, signature: bytes, expires: bytes | None, key_of: KeyOf
) -> Signed:
    """Verify a request to S3's REST API; `expires` is that of a presigned URL."""
    headers: Message = environ[HEADERS]
    amazon = {
        name.lower(): ",".join(headers.get_all(name, [])) for name in headers if name.lower().startswith("x-amz-")
    }
    if expires is not None:
        amazon |= {
            n.decode("latin-1").lower(): v.decode("latin-1") for n, v in query if n.lower().startswith(b"x-amz-")
        }
        if not expires.isdigit() or len(expires) > 12:
            raise _refusal(
                "AccessDenied",
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            )
    key = key_of(name.decode("latin-1"), amazon.get("x-amz-security-token", ""))
    date = "" if "x-amz-date" in amazon else headers.get("Date", "")
    signed = sorted((name, value) for name, value in query if name.decode("latin-1") in _SUBRESOURCES)
    resource = bucket_of_host(environ) + target(environ)[0]
    if signed:
        resource += b"?" + b"&".join(name + (b"=" + value if value else b"") for name, value in signed)
    lines = [environ["REQUEST_METHOD"], headers.get("Content-MD5", ""), headers.get("Content-Type", "")]
    lines += [date if expires is None else expires.decode(), *(f"{n}:{v.strip()}" for n, v in sorted(amazon.items()))]
    if not _equal(
        _sign_2(key.secret, "\n".join(lines).encode("latin-1") + b"\n" + resource), signature.decode("latin-1")
    ):
        raise _mismatch()
    now = datetime.now(UTC)
    if expires is not None and now.timestamp() > int(expires):
        raise _refusal("AccessDenied", "Request has expired")
    if expires is None and abs(now - _time(_stamp_of(amazon.get("x-amz-date") or date))) > _SKEW:
        raise _refusal(*_SKEWED)
    return Signed(UNSIGNED, s3_credential(name.decode("latin-1")))


def s3_credential(name: str) -> str:
    """The credential of a signature of Version 2, which names no service and is for S3 only."""
    return f"{name}/20060301/us-east-1/s3/aws4_request"


def _canonical(environ: Environ, query: Query, signed: str, payload: str, service: str) -> Iterator[bytes]:
    """The canonical request, with the path in each encoding that clients use."""
    headers: dict[str, list[str]] = {}
    for name, value in environ[HEADERS].items():
        headers.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = signed.lower().split(";")
    needed = {"host"} | {name for name in headers if name.startswith("x-amz-")} - {"x-amz-content-sha256"}
    if missing := sorted(needed - set(names)):
        raise _refusal(
            "AccessDenied", f"There were headers present in the request which were not signed: {', '.join(missing)}"
        )
    lines = "".join(f"{name}:{','.join(headers.get(name, []))}\n" for name in names).encode("latin-1")
    text = b"&".join(sorted(quoted(name) + b"=" + quoted(value) for name, value in query))
    path = target(environ)[0]
    once = quoted(unquote_to_bytes(path), b"/")
    for written in dict.fromkeys((once, path) if service == "s3" else (quoted(path, b"/"), quoted(once, b"/"), once)):
        head = [environ["REQUEST_METHOD"].encode(), written or b"/", text]
        yield b"\n".join([*head, lines, signed.encode("latin-1"), payload.encode("latin-1")])


def _compare(key: Key, scope: "re.Match[str]", stamp: str, canonical: Iterable[bytes], signature: str) -> None:
    if not stamp.startswith(scope[3]):
        raise _mismatch()
    for request in canonical:
        if _equal(_sign(key.secret, scope[2], "\n".join([_ALGORITHM, stamp, scope[2], _sha256(request)])), signature):
            return
    raise _mismatch()


def _sign(secret: str, scope: str, text: str) -> str:
    return hmac.digest(_signing_key(secret, scope), text.encode(), "sha256").hex()


def _sign_2(secret: str, text: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode()


@lru_cache(maxsize=256)
def _signing_key(secret: str, scope: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):  # the day, the region, the service, aws4_request
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _equal(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _scope(credential: str) -> "re.Match[str]":
    found = _SCOPE.fullmatch(credential)
    if found is None:
        raise _refusal(
            "AuthorizationHeaderMalformed",
            "The authorization is malformed: the credential must be KEY/DAY/REGION/SERVICE/aws4_request.",
            400,
        )
    return found


def _stamp_of(date: str) -> str:
    """An HTTP date in the format of Version 4."""
    if _STAMP.fullmatch(date):
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return ""


def _time(stamp: str) -> datetime:
    try:
        if _STAMP.fullmatch(stamp):
            return datetime.fromisoformat(stamp)
    except ValueError:
        pass
    raise _refusal("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")


def _mismatch() -> AwsError:
    return _refusal(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method.",
    )


def _refusal(code: str, message: str, status: int = 403) -> AwsError:
    return AwsError(code, message, status)
