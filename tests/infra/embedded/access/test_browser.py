"""What a page of another origin can do to the embedded AWS, in a real browser: nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from browser import chromium

from infra.embedded.server import EmbeddedAws

ATTEMPTS = Path(__file__).with_name("page_attempts.js")


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """The port of a server of empty pages."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>page</title><body></body>")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_page_of_another_origin_reads_runs_and_changes_nothing(
    aws: EmbeddedAws, elsewhere: int, tmp_path: Path
) -> None:
    s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
    s3.create_bucket(Bucket="paged")
    s3.put_object(Bucket="paged", Key="secret", Body=b"nobody's business")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = boto3.client("iam").create_role(RoleName="pages", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    entry = {"TrainingImage": "x", "TrainingInputMode": "File", "ContainerEntrypoint": ["touch", str(tmp_path / "ran")]}
    job = {
        "TrainingJobName": "pages",
        "AlgorithmSpecification": entry,
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": "s3://paged/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    port = urlsplit(aws.endpoint).port
    # Another port; another name for this machine; and a name of the page's own for the server, as after DNS rebinding.
    rules = "--host-resolver-rules=MAP attacker.example 127.0.0.1"
    with chromium(rules) as browser:
        for page_at, server_at in (
            (f"http://127.0.0.1:{elsewhere}", aws.endpoint),
            (f"http://attacker.example:{elsewhere}", f"http://localhost:{port}"),
            (f"http://attacker.example:{port}", f"http://attacker.example:{port}"),
        ):
            page = browser.new_page()
            page.goto(page_at)
            page.add_script_tag(path=ATTEMPTS)
            for name in page.evaluate("Object.keys(ATTEMPTS)"):
                told = page.evaluate(
                    "([name, aws, job]) => attempt(name, aws, job)", [name, server_at, json.dumps(job)]
                )
                assert told == "" or "This server is not attacker.example" in told, (page_at, name, told)
            page.close()
        page = browser.new_page()  # a link in a mail: no page's doing, but not signed
        answer = page.goto(f"{aws.endpoint}/paged/secret")
        assert (answer.status, "AccessDenied" in answer.text()) == (403, True)
    assert not (tmp_path / "ran").exists()
    assert sagemaker.list_training_jobs(NameContains="pages")["TrainingJobSummaries"] == []
    assert s3.get_object(Bucket="paged", Key="secret")["Body"].read() == b"nobody's business"
    assert aws.faults.shown() == []
