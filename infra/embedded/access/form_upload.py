"""Uploads by a form that is posted to a bucket: its signature and its policy.

"Browser-Based Uploads Using POST" of the S3 API Reference; boto3's `generate_presigned_post` makes such policies.
"""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from werkzeug.formparser import FormDataParser

from infra.embedded.access.signatures import KeyOf, verify_form
from infra.embedded.http.protocols import AwsError, Environ

# Fields that need no condition.
_UNCONDITIONED = {"file", "policy", "x-amz-signature", "awsaccesskeyid", "signature"}


def check_form(environ: Environ, bucket: str, key_of: KeyOf) -> str:
    """The credential that signed the form in the body, which stays readable.

    Raises AwsError unless it is signed and meets its policy.
    """
    body = environ["wsgi.input"]
    _, fields, files = FormDataParser().parse_from_environ(environ)
    body.seek(0)
    environ["wsgi.input"] = body
    form = {name: str(value) for name, value in fields.items()}
    lower = {name.lower(): value for name, value in form.items()}
    credential = verify_form(form, key_of)
    try:
        policy = json.loads(base64.b64decode(form["policy"]))
        until = datetime.fromisoformat(policy["expiration"])
        conditions = [_condition(condition) for condition in policy["conditions"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AwsError("InvalidPolicyDocument", f"Invalid Policy: {error}") from None
    if datetime.now(UTC) > until.astimezone(UTC):
        raise AwsError("AccessDenied", "Invalid according to Policy: Policy expired.", 403)
    file = files.get("file")
    size = file.stream.seek(0, 2) if file else len(form.get("file", "").encode())
    named = set()
    for kind, name, value in conditions:
        if kind == "content-length-range":
            if size < int(name):
                raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
            if size > int(value):
                raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            continue
        named.add(name)
        found = bucket if name == "bucket" else lower.get(name, "")
        if not (found.startswith(value) if kind == "starts-with" else found == value):
            raise _breach(f'Policy Condition failed: ["{kind}", "${name}", "{value}"]')
    if extra := sorted(
        lower.keys() - named - _UNCONDITIONED - {name for name in lower if name.startswith("x-ignore-")}
    ):
        raise _breach(f"Extra input fields: {', '.join(extra)}")
    return credential


def _condition(written: Any) -> tuple[str, str, str]:
    """{"name": "value"}, ["eq" | "starts-with", "$name", "value"] or ["content-length-range", least, most]."""
    if isinstance(written, dict):
        ((name, value),) = written.items()
        return "eq", str(name).lower(), str(value)
    kind, name, value = written
    if kind == "content-length-range":
        return kind, str(int(name)), str(int(value))
    if kind not in ("eq", "starts-with"):
        raise ValueError(f"unknown condition {kind!r}")
    return kind, str(name).lower().removeprefix("$"), str(value)


def _breach(why: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: {why}", 403)
