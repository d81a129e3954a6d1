"""What a signature says holds: of a request, a presigned URL, a form, and of a body and its chunks."""

import base64
import hashlib
import hmac
import os
import time
import zlib
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from aws_process import fetched
from botocore.auth import HmacV1Auth, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from infra.embedded.server import EmbeddedAws

# Signatures


def s3(**config: Any) -> Any:
    return boto3.client("s3", config=Config(retries={"total_max_attempts": 1}, **config))


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("key", ["plain", "with space/ä+ö&=?%#'()*!~.txt", "a//b"])
def test_presigned_urls_serve_until_they_expire(guarded: EmbeddedAws, version: str, key: str) -> None:
    client = s3(signature_version=version)
    put = client.generate_presigned_url("put_object", {"Bucket": "guarded", "Key": key}, 60)
    get = client.generate_presigned_url("get_object", {"Bucket": "guarded", "Key": key}, 60)
    assert fetched("PUT", put, b"text")[0] == 200
    assert fetched("GET", get) == (200, b"text")
    assert fetched("DELETE", get)[0] == 403
    assert fetched("GET", get.replace("Signature=", "Signature=0"))[0] == 403
    assert fetched("GET", get.replace("guarded", "other"))[0] == 403
    expired = client.generate_presigned_url("get_object", {"Bucket": "guarded", "Key": key}, 1)
    time.sleep(2.1)
    status, body = fetched("GET", expired)
    assert (status, b"Request has expired" in body) == (403, True)


def test_a_presigned_form_keeps_to_its_policy(guarded: EmbeddedAws) -> None:
    conditions = [["starts-with", "$key", "up/"], ["content-length-range", 1, 10]]
    post = s3(signature_version="s3v4").generate_presigned_post("guarded", "up/${filename}", Conditions=conditions)

    def upload(data: bytes, **fields: str) -> tuple[int, bytes]:
        sent = {**post["fields"], **fields, "file": data.decode()}
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in sent.items()
        ]
        return fetched(
            "POST",
            post["url"],
            ("".join(parts) + "--x--\r\n").encode(),
            {"Content-Type": "multipart/form-data; boundary=x"},
        )

    status, body = upload(b"small", key="up/mine")
    assert status in (200, 204), body
    assert s3().get_object(Bucket="guarded", Key="up/mine")["Body"].read() == b"small"
    assert upload(b"small", key="elsewhere")[0] == 403
    assert upload(b"far too large", key="up/mine")[0] == 400
    assert upload(b"small", key="up/mine", policy="e30=")[0] == 403
    assert upload(b"small", key="up/mine", acl="public-read")[0] == 403


def test_credentials_that_this_aws_handed_out_serve_with_their_token(
    guarded: EmbeddedAws, unique: Callable[[str], str]
) -> None:
    sts, iam = boto3.client("sts"), boto3.client("iam")
    role = iam.get_role(RoleName="strangers")["Role"]["Arn"]
    iam.create_user(UserName=(user := unique("user")))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    assumed = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = sts.get_session_token()["Credentials"]

    def reads(name: str, secret: str, token: str | None) -> str:
        client = boto3.client("s3", aws_access_key_id=name, aws_secret_access_key=secret, aws_session_token=token)
        try:
            return str(client.get_object(Bucket="guarded", Key="secret")["Body"].read().decode())
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    for given in (assumed, session):
        name, secret, token = (given[part] for part in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        assert reads(name, secret, token) == "nobody's business"
        assert reads(name, secret, None) == "InvalidToken"
        assert reads(name, secret + "x", token) == "SignatureDoesNotMatch"
    assert reads(key["AccessKeyId"], key["SecretAccessKey"], None) == "nobody's business"
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert reads(key["AccessKeyId"], key["SecretAccessKey"], None) == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sagemaker", lambda client: client.list_training_jobs(), "UnrecognizedClientException"),
        ("iam", lambda client: client.list_users(), "InvalidClientTokenId"),
        ("s3", lambda client: client.list_buckets(), "InvalidAccessKeyId"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_in_the_services_words(
    guarded: EmbeddedAws, service: str, call: Any, code: str
) -> None:
    client = boto3.client(service, aws_access_key_id="AKIAUNKNOWN", aws_secret_access_key="x")
    with pytest.raises(ClientError) as refused:
        call(client)
    assert refused.value.response["Error"]["Code"] == code


def signed(
    method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None, **changes: Any
) -> dict[str, str]:
    """Headers of a request that boto3's signer has signed."""
    key = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(key, "s3", "us-east-1").add_auth(request)
    return dict(request.headers) | changes


def test_what_is_signed_is_what_is_taken(guarded: EmbeddedAws) -> None:
    url = f"{guarded.endpoint}/guarded/signed"
    assert fetched("PUT", url, b"text", signed("PUT", url, b"text"))[0] == 200
    assert b"XAmzContentSHA256Mismatch" in fetched("PUT", url, b"tex!", signed("PUT", url, b"text"))[1]
    assert fetched("PUT", url + "2", b"text", signed("PUT", url, b"text"))[0] == 403
    assert fetched("PUT", url + "?acl", b"text", signed("PUT", url, b"text"))[0] == 403
    assert (
        b"not signed: x-amz-acl"
        in fetched("PUT", url, b"text", signed("PUT", url, b"text", **{"x-amz-acl": "public-read"}))[1]
    )
    assert s3().get_object(Bucket="guarded", Key="signed")["Body"].read() == b"text"
    old = {**signed("GET", url), "X-Amz-Date": "20200101T000000Z"}
    assert b"RequestTimeTooSkewed" in fetched("GET", url, headers=old)[1]


def test_version_2_in_headers(guarded: EmbeddedAws) -> None:
    url = f"{guarded.endpoint}/guarded/secret"
    key = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("GET", url, auth_path="/guarded/secret")
    HmacV1Auth(key).add_auth(request)
    assert fetched("GET", url, headers=dict(request.headers)) == (200, b"nobody's business")
    assert fetched("GET", url.replace("secret", "other"), headers=dict(request.headers))[0] == 403


# Bodies


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_those_of_the_body(guarded: EmbeddedAws, algorithm: str) -> None:
    client = s3()
    name = f"Checksum{algorithm}"
    put = client.put_object(Bucket="guarded", Key="summed", Body=b"text", ChecksumAlgorithm=algorithm)
    assert client.head_object(Bucket="guarded", Key="summed", ChecksumMode="ENABLED").get(name) == put[name]
    client.put_object(Bucket="guarded", Key="summed", Body=b"text", **{name: put[name]})
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(Bucket="guarded", Key="summed", Body=b"other", **{name: put[name]})
    with pytest.raises(ClientError, match="InvalidRequest"):
        client.put_object(Bucket="guarded", Key="summed", Body=b"text", **{name: "AAAA"})
    assert client.get_object(Bucket="guarded", Key="summed")["Body"].read() == b"text"


def test_a_wrong_md5_is_refused(guarded: EmbeddedAws) -> None:
    with pytest.raises(ClientError, match="BadDigest"):
        s3().put_object(Bucket="guarded", Key="md5", Body=b"text", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    with pytest.raises(ClientError, match="InvalidDigest"):
        s3().put_object(Bucket="guarded", Key="md5", Body=b"text", ContentMD5="text")
    with pytest.raises(ClientError, match="404"):
        s3().head_object(Bucket="guarded", Key="md5")


def chunked(body: list[bytes], **changes: Any) -> tuple[dict[str, str], bytes]:
    """Headers and body of an upload in signed chunks, as older SDKs of Java send it; `changes` spoil something."""
    url = changes["url"]
    headers = {
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": str(sum(map(len, body))),
        "content-encoding": "aws-chunked",
    }
    key = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("PUT", url, headers=headers, data=b"")

    class Streaming(S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

        def _inject_signature_to_request(self, request: Any, signature: str) -> Any:
            self.seed = signature
            return super()._inject_signature_to_request(request, signature)

    signer = Streaming(key, "s3", "us-east-1")
    signer.add_auth(request)
    scope, stamp, previous = signer.credential_scope(request), request.context["timestamp"], signer.seed
    secret = b"AWS4" + key.secret_key.encode()
    for part in scope.split("/"):
        secret = hmac.new(secret, part.encode(), "sha256").digest()
    sent = b""
    for chunk in [*body, b""]:
        hashes = [hashlib.sha256(data).hexdigest() for data in (b"", chunk)]
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, previous, *hashes])
        previous = hmac.new(secret, text.encode(), "sha256").hexdigest()
        sent += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n"
    return dict(request.headers), sent


def test_signed_chunks(guarded: EmbeddedAws) -> None:
    url = f"{guarded.endpoint}/guarded/chunked"
    headers, body = chunked([b"a" * 70_000, b"b" * 10], url=url)
    assert fetched("PUT", url, body, headers)[0] == 200
    held = s3().get_object(Bucket="guarded", Key="chunked")
    assert (held["Body"].read(), held.get("ContentEncoding")) == (b"a" * 70_000 + b"b" * 10, None)
    assert b"SignatureDoesNotMatch" in fetched("PUT", url, body.replace(b"bb", b"bc"), headers)[1]
    assert fetched("PUT", url, body[:-100], headers)[0] == 400
    assert s3().get_object(Bucket="guarded", Key="chunked")["Body"].read() == b"a" * 70_000 + b"b" * 10


def test_chunks_with_a_checksum_behind_them(guarded: EmbeddedAws) -> None:
    url = f"{guarded.endpoint}/guarded/trailed"
    names = {
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "4",
        "content-encoding": "aws-chunked",
    }
    key = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("PUT", url, headers=names, data=b"")

    class Streaming(S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

        def _modify_request_before_signing(self, request: Any) -> None:
            super()._modify_request_before_signing(request)
            del request.headers["X-Amz-Content-SHA256"]
            request.headers["X-Amz-Content-SHA256"] = self.payload(request)

    Streaming(key, "s3", "us-east-1").add_auth(request)
    good = b"4\r\ntext\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % base64.b64encode(
        zlib.crc32(b"text").to_bytes(4, "big")
    )
    assert fetched("PUT", url, good, dict(request.headers))[0] == 200
    assert s3().get_object(Bucket="guarded", Key="trailed")["Body"].read() == b"text"
    assert b"BadDigest" in fetched("PUT", url, good.replace(b"text", b"tixt"), dict(request.headers))[1]


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=-0", "bytes=abc", "bytes=0-1,3-4", "bytes=99-", "lines=1-2", "bytes=", "bytes=--1"]
)
def test_a_range_that_makes_no_sense_is_no_bug(guarded: EmbeddedAws, asked: str) -> None:
    url = s3(signature_version="s3v4").generate_presigned_url("get_object", {"Bucket": "guarded", "Key": "secret"}, 60)
    assert fetched("GET", url, headers={"Range": asked})[0] in (200, 206, 416)
