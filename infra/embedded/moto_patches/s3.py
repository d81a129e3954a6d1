"""S3: tags at CreateBucket (API_CreateBucketConfiguration), conditions of bucket policies, keys with line breaks, and
the version "null" of objects in a bucket without versioning (S3 User Guide, "Using versioning in S3 buckets").
"""

from typing import Any
from xml.etree import ElementTree as ET

from moto.iam.access_control import PermissionResult
from moto.moto_server.utilities import RegexConverter
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from werkzeug.routing import BaseConverter

from infra.embedded.http.protocols import ACCOUNT
from infra.embedded.iam.policy import Decision, decide

_put_bucket = S3Response._bucket_response_put
_head_object, _post_object = S3Response.head_object, S3Response._key_response_post

_PERMISSIONS = {
    Decision.ALLOWED: PermissionResult.PERMITTED,
    Decision.EXPLICIT_DENY: PermissionResult.DENIED,
    Decision.IMPLICIT_DENY: PermissionResult.NEUTRAL,
}


def patch() -> None:
    S3Response._bucket_response_put = _put_bucket_with_tags
    S3Response.head_object = _head_null_version
    S3Response._key_response_post = _post_without_version
    FakeBucket.get_permission = _permission
    RegexConverter.__init__ = _match_line_breaks


def _put_bucket_with_tags(self: Any, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
    answer = _put_bucket(self, request, bucket_name, querystring)
    if not querystring and self.body:
        found = ET.fromstring(self.body).iterfind("{*}Tags/{*}Tag")
        tags = {tag.findtext("{*}Key"): tag.findtext("{*}Value") for tag in found}
        if tags:
            self.backend.put_bucket_tagging(bucket_name, tags)
    return answer


def _head_null_version(self: Any, bucket_name: str, query: dict[str, Any], *more: Any, **named: Any) -> Any:
    if query.get("versionId") == ["null"] and not self.backend.get_bucket(bucket_name).is_versioned:
        query = {name: values for name, values in query.items() if name != "versionId"}
    return _head_object(self, bucket_name, query, *more, **named)


def _post_without_version(self: Any, *args: Any, **named: Any) -> Any:
    status, headers, body = _post_object(self, *args, **named)
    if headers.get("x-amz-version-id") == "null":
        del headers["x-amz-version-id"]
    return status, headers, body


def _permission(held: Any, action: str, resource: str) -> PermissionResult:
    """Evaluates conditions, which moto ignores: a policy that denies requests without TLS would deny all.

    Every request counts as one over TLS: plain HTTP on this machine replaces HTTPS.
    """
    if held.policy is None:
        return PermissionResult.NEUTRAL
    context = {"aws:SecureTransport": "true", "aws:PrincipalAccount": ACCOUNT}
    decision = decide([held.policy.decode()], action, resource, context, principal=f"arn:aws:iam::{ACCOUNT}:root")
    return _PERMISSIONS[decision.outcome]


def _match_line_breaks(self: Any, url_map: Any, *items: Any) -> None:
    """moto's routes are regular expressions, in which a dot matches no line break."""
    BaseConverter.__init__(self, url_map)
    self.regex = f"(?s:{items[0]})"
