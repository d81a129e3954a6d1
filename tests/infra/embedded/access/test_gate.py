"""Who may use the embedded AWS: nobody's web page, no other name for this machine, and nobody without its key."""

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from aws_process import AwsProcess, fetched
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

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
