"""What a signature allows and no more: whoever has a presigned URL or form does only what was signed."""

import http.client
import json
import os
from collections.abc import Callable
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from aws_process import serving
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.embedded.access.gate import Gate
from infra.embedded.access.signatures import HEADERS
from infra.embedded.http.protocols import AwsError
from infra.embedded.server import EmbeddedAws

STS = "20260101/us-east-1/sts/aws4_request"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
ASSUME = (
    "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/any"
    "&RoleSessionName=stranger&WebIdentityToken=token"
)


def send(aws: EmbeddedAws, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Message, str]:
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint).netloc, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


@pytest.fixture
def form(aws: EmbeddedAws, unique: Callable[[str], str]) -> tuple[str, str]:
    """The path and the body of an upload that may be made."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=(bucket := unique("bounds")))
    fields = s3.generate_presigned_post(bucket, "up/x")["fields"] | {"file": "text"}
    parts = [f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    return f"/{bucket}", "".join(parts) + "--x--\r\n"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (f"?Action=GetSessionToken&X-Amz-Credential=x/{STS}", {}),
        ("?Action=GetSessionToken", {"Authorization": f"AWS4-HMAC-SHA256 Credential=x/{STS}"}),
        ("", {"X_Amz_Target": "SageMaker.ListTrainingJobs"}),
        ("?uploads", {}),
    ],
)
def test_a_form_says_all_that_is_done(
    aws: EmbeddedAws, form: tuple[str, str], query: str, headers: dict[str, str]
) -> None:
    path, body = form
    assert send(aws, "POST", path, body, Content_Type=FORM["Content-Type"])[0] == 204
    status, _, told = send(aws, "POST", path + query, body, Content_Type=FORM["Content-Type"], **headers)
    assert status in (400, 403)
    assert "SecretAccessKey" not in told


def test_a_form_that_nobody_signed_yet_is_not_read_for_ever(aws: EmbeddedAws) -> None:
    sizes = {"Content_Type": FORM["Content-Type"], "Content_Length": str(4 << 30)}
    status, _, told = send(aws, "POST", "/any", "", **sizes)
    assert (status, "EntityTooLarge" in told) == (400, True)


def test_the_body_of_a_presigned_request_names_no_other_service(aws: EmbeddedAws, unique: Any) -> None:
    boto3.client("s3").create_bucket(Bucket=(bucket := unique("bounds")))
    address = f"{bucket}.localhost:{urlsplit(aws.endpoint).port}"
    key = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("POST", f"http://{address}/?restore=")
    S3SigV4QueryAuth(key, "s3", "us-east-1").add_auth(request)
    kind = "application/x-www-form-urlencoded"
    told = send(aws, "POST", f"/?{urlsplit(request.url).query}", ASSUME, Host=address, Content_Type=kind)[2]
    assert "SignatureDoesNotMatch" not in told
    assert "SecretAccessKey" not in told


def test_federation_tokens_are_secret_and_serve(aws: EmbeddedAws) -> None:
    sts = boto3.client("sts")
    first, second = (sts.get_federation_token(Name="someone")["Credentials"] for _ in range(2))
    assert first["SecretAccessKey"] != second["SecretAccessKey"]
    session = boto3.Session(first["AccessKeyId"], first["SecretAccessKey"], first["SessionToken"], "us-east-1")
    session.client("s3").list_buckets()


def test_an_object_that_is_a_page_has_no_origin_of_ours(aws: EmbeddedAws, unique: Any) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=(bucket := unique("bounds")))
    s3.put_object(Bucket=bucket, Key="page", Body=b"<script>", ContentType="text/html")
    url = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "page"}))
    status, headers, _ = send(aws, "GET", f"{url.path}?{url.query}")
    assert (status, headers["Content-Security-Policy"]) == (200, "sandbox allow-scripts")


def test_an_open_server_acts_on_no_get_that_an_image_of_a_page_could_send() -> None:
    with serving("--process", "--open") as server:
        path = f"/?Action=CreateUser&UserName=page&Version=2010-05-08&X-Amz-Credential=x/{STS.replace('sts', 'iam')}"
        assert send(server, "GET", path)[0] == 403  # type: ignore[arg-type]
        assert server("iam").list_users()["Users"] == []


@pytest.mark.parametrize(
    ("host", "authorization", "admitted"),
    [("127.0.0.1", "", True), ("b.localhost", "", True), ("172.17.0.1", "", False), ("172.17.0.1", "x", True)],
)
def test_an_open_server_wants_a_header_where_browsers_do_not_tell_the_site(
    host: str, authorization: str, admitted: bool
) -> None:
    headers = Message()
    if authorization:
        headers["Authorization"] = authorization
    gate = Gate({"127.0.0.1", "172.17.0.1"}, 80, (), None)
    environ = {"HTTP_HOST": host, HEADERS: headers, "REQUEST_METHOD": "GET"}
    assert gate.cross_origin(environ) == ""
    if admitted:
        assert gate.admit(environ, json.dumps) is None  # type: ignore[arg-type]
    else:
        with pytest.raises(AwsError):
            gate.admit(environ, json.dumps)  # type: ignore[arg-type]
