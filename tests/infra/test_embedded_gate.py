"""Who may use the embedded AWS: nobody's web page, no other name for this machine, and nobody without its key."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import socket
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from aws_process import AwsProcess
from botocore.auth import HmacV1Auth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from infra.embedded.server import EmbeddedAws

JOB = {
    "TrainingJobName": "strangers",
    "AlgorithmSpecification": {
        "TrainingImage": "x",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["touch", "FILE"],
    },
    "RoleArn": "arn:aws:iam::123456789012:role/strangers",
    "OutputDataConfig": {"S3OutputPath": "s3://guarded/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


@pytest.fixture(scope="module")
def guarded(embedded_aws: EmbeddedAws) -> EmbeddedAws:
    """The server, with what a stranger's job would need, and an object that is nobody's business."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="secret", Body=b"nobody's business")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    boto3.client("iam").create_role(RoleName="strangers", AssumeRolePolicyDocument=policy)
    return embedded_aws


def raw(aws: EmbeddedAws, lines: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request as it stands, with {host} and {length} filled in: the status, and all of the answer."""
    address = urlsplit(aws.endpoint)
    text = lines.replace("{host}", address.netloc).replace("{length}", str(len(body)))
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, bytes(answer.headers) + b"\n" + answer.read()


def request(line: str, *headers: str, host: str = "{host}") -> str:
    return "\n".join([f"{line} HTTP/1.1", f"Host: {host}", *headers])


SCOPE = "20260101/us-east-1/sagemaker/aws4_request"
FORGED = f"Authorization: AWS4-HMAC-SHA256 Credential=test/{SCOPE}, SignedHeaders=host, Signature={'0' * 64}"
CREATE = (
    f"POST /?X-Amz-Credential=test/{SCOPE}",
    "X-Amz-Target: SageMaker.CreateTrainingJob",
    "Content-Length: {length}",
)
TEXT, JSON = "Content-Type: text/plain", "Content-Type: application/x-amz-json-1.1"
BODY, NONE = "Content-Length: {length}", "Content-Length: 0"
PAGE = "Origin: https://example.com"
ATTEMPTS = {
    # Pages of other origins; browsers send such requests without asking first.
    "a page creates a job by a simple POST": request(*CREATE, TEXT, PAGE),
    "a page names the operation in the path": request(
        f"POST /service/SageMaker/operation/CreateTrainingJob?X-Amz-Credential=test/{SCOPE}", BODY, TEXT, PAGE
    ),
    "a page from a file": request(*CREATE, TEXT, "Origin: null"),
    "a page of another port of this machine": request(*CREATE, TEXT, "Origin: http://127.0.0.1:1"),
    "a page whose origin only begins like ours": request(*CREATE, TEXT, "Origin: http://{host}.example.com"),
    "a page of two origins, one ours": request(*CREATE, TEXT, "Origin: http://{host}", PAGE),
    "an image of a page": request("GET /guarded/secret", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
    "a page of another port reads": request("GET /guarded/secret", "Sec-Fetch-Site: same-site"),
    "a page reads the buckets": request("GET /", PAGE),
    "a page asks what it may": request(
        "OPTIONS /", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-amz-target", PAGE
    ),
    "a page injects faults": request("POST /_ahx/faults", BODY, PAGE),
    "a page reads the status": request("GET /_ahx/status", PAGE),
    "a page resets everything": request("POST /moto-api/reset", NONE, PAGE),
    "a page pushes an image": request("POST /v2/x/blobs/uploads/", NONE, PAGE),
    "a form of a page": request("POST /guarded", "Content-Type: multipart/form-data; boundary=x", BODY, PAGE),
    "a page opens a socket": request(
        "GET /",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: eA==",
        "Sec-WebSocket-Version: 13",
        PAGE,
    ),
    # Other names for this machine, as of DNS rebinding: the page is of the same origin then.
    "a rebound name": request(*CREATE, JSON, host="example.com:{port}"),
    "a rebound name with its origin": request("GET /", "Origin: http://example.com:{port}", host="example.com:{port}"),
    "a name that ends like ours": request("GET /", host="notlocalhost:{port}"),
    "our address at the head of another name": request("GET /", host="127.0.0.1.example.com:{port}"),
    "another port": request("GET /", host="127.0.0.1:1"),
    "two names": request("GET /", "Host: example.com"),
    "no name": "GET / HTTP/1.0\nAccept: */*",
    "a whole address": request("GET http://example.com/"),
    "a name in another header": request("GET /", "X-Forwarded-Host: {host}", host="example.com"),
    # Programs of other users: no page, but no key either.
    "unsigned": request(*CREATE, JSON),
    "unsigned, reading": request("GET /guarded/secret"),
    "unsigned, a form": request("POST /", "Content-Type: application/x-www-form-urlencoded", BODY),
    "unsigned, an upload by a form": request("POST /guarded", "Content-Type: multipart/form-data; boundary=x", BODY),
    "unsigned, an operation in the query": request("GET /?Action=ListUsers&Version=2010-05-08"),
    "unsigned, moto's way to itself": request("GET /iam_us-east-1/?Action=ListUsers"),
    "unsigned, faults": request("POST /_ahx/faults", BODY),
    "unsigned, faults by a form": request("POST /_ahx/faults", "Content-Type: multipart/form-data; boundary=x", BODY),
    "unsigned, reset": request("POST /moto-api/reset", NONE),
    "unsigned, reset by a form": request("POST /moto-api/reset", "Content-Type: multipart/form-data; boundary=x", BODY),
    "unsigned, moto's page": request("GET /moto-api/"),
    "unsigned, credentials of an instance": request("GET /latest/meta-data/iam/security-credentials/"),
    "unsigned, another method in a header": request("GET /moto-api/reset", "X-HTTP-Method-Override: POST"),
    "the keys of former versions": request(*CREATE, JSON, FORGED),
    "a signature of another protocol": request("GET /guarded/secret", "Authorization: Bearer x"),
    "our own client's name": request("GET /guarded/secret", "User-Agent: Boto3 ahx-own/0000000000000000"),
    "a password of the registry for all": request("GET /v2/", "Authorization: Basic QVdTOnVzLWVhc3QtMQ=="),
    "TRACE": request("TRACE /"),
    "HEAD": request("HEAD /guarded/secret"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_is_read_run_or_changed(guarded: EmbeddedAws, tmp_path: Path, attempt: str) -> None:
    file = tmp_path / "ran"
    body = json.dumps(JOB | {"kind": "throttle"}).replace("FILE", str(file)).encode()
    lines = ATTEMPTS[attempt].replace("{port}", str(urlsplit(guarded.endpoint).port))
    status, answer = raw(guarded, lines, body if "{length}" in lines else b"")
    assert status in (400, 401, 403, 405, 501), answer
    for told in (b"nobody's business", b"guarded", b"InProgress", b"access-control-allow"):
        assert told not in answer.lower().replace(b"/guarded", b"").replace(
            b"access-control-allow", b"Access-Control-Allow".lower()
        )
    assert guarded.faults.shown() == []
    assert boto3.client("s3").get_object(Bucket="guarded", Key="secret")["Body"].read() == b"nobody's business"
    assert boto3.client("sagemaker").list_training_jobs(NameContains="strangers")["TrainingJobSummaries"] == []
    assert not file.exists()


def test_what_a_refusal_says_names_what_was_sent_and_no_page_can_show_it_as_its_own(guarded: EmbeddedAws) -> None:
    status, answer = raw(guarded, "GET / HTTP/1.1\nHost: {host}\nOrigin: http://<script>")
    assert (status, answer.lower().count(b"content-type: text/plain"), answer.count(b"nosniff")) == (403, 1, 1)
    assert b"Pages of http://<script> may not use this server" in answer


def test_an_origin_that_was_allowed_reads_answers_and_others_do_not() -> None:
    server = AwsProcess("--process", "--allow-origin", "http://localhost:8080")
    try:
        address = urlsplit(server.endpoint)

        def ask(method: str, origin: str, **headers: str) -> tuple[int, dict[str, str]]:
            connection = http.client.HTTPConnection(address.netloc, timeout=20)
            connection.request(
                method, "/", headers={"Origin": origin} | {n.replace("_", "-"): v for n, v in headers.items()}
            )
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}

        status, headers = ask(
            "OPTIONS",
            "http://localhost:8080",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="x-amz-target",
        )
        assert (status, headers["access-control-allow-headers"]) == (204, "x-amz-target")
        status, headers = ask("GET", "http://localhost:8080")
        assert (status, headers["access-control-allow-origin"]) == (403, "http://localhost:8080")  # unsigned
        status, headers = ask("GET", "http://localhost:8081")
        assert status == 403
        assert not [name for name in headers if name.startswith("access-control")]
    finally:
        server.end()


def test_an_open_server_takes_unsigned_requests_but_no_pages(tmp_path: Path) -> None:
    server = AwsProcess("--process", "--open")
    try:
        address = urlsplit(server.endpoint)

        def ask(**headers: str) -> int:
            connection = http.client.HTTPConnection(address.netloc, timeout=20)
            connection.request("GET", "/", headers=headers)
            return connection.getresponse().status

        assert ask() == 200
        assert ask(Origin="https://example.com") == 403
        assert ask(Host=f"example.com:{address.port}") == 403
    finally:
        server.end()


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


def fetched(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


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


def test_a_reset_forgets_all_of_it(unique: Callable[[str], str]) -> None:
    server = AwsProcess("--instant", "1000")
    try:
        trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        server("iam").create_role(RoleName="strangers", AssumeRolePolicyDocument=policy)
        server("s3").create_bucket(Bucket="guarded")
        server("sagemaker").create_training_job(**JOB)
        url = f"{server.endpoint}/moto-api/reset"
        assert fetched("POST", url)[0] == 403
        keys = server.keys
        request = AWSRequest("POST", url, data=b"")
        SigV4Auth(Credentials(*keys), "ahx", "us-east-1").add_auth(request)
        assert fetched("POST", url, headers=dict(request.headers))[0] == 200
        assert server("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
        assert server("s3").list_buckets()["Buckets"] == []
    finally:
        server.end()
