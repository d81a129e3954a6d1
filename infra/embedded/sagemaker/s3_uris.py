"""The two forms of S3 URIs in SageMaker's API: s3://... and https://..."""

import re
from urllib.parse import unquote

# Virtual-hosted and path style: "Methods for accessing a bucket" of the S3 User Guide.
_VIRTUAL = re.compile(r"(?P<bucket>.+)\.s3(?:\.dualstack)?(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")
_PATH = re.compile(r"s3(?:\.dualstack)?(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The bucket, and the key or prefix. Raises ValueError, with a sentence, for another URI."""
    scheme, _, rest = uri.partition("://")
    host, _, key = rest.partition("/")
    if scheme == "s3":
        return host, key
    if scheme == "https" and _PATH.fullmatch(host):
        host, _, key = key.partition("/")
        return host, unquote(key)
    if scheme == "https" and (found := _VIRTUAL.fullmatch(host)):
        return found["bucket"], unquote(key)
    raise ValueError(f'"{uri}" is not an S3 URI; write s3://BUCKET/KEY or https://BUCKET.s3.REGION.amazonaws.com/KEY')


def joined(uri: str, *parts: str) -> str:
    """s3://.../PART/..."""
    bucket, key = bucket_and_key(uri)
    return "/".join([f"s3://{bucket}/{key}".rstrip("/"), *parts])
