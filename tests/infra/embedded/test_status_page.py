"""The status page and the health addresses of the embedded AWS."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import browser

from infra.embedded.faults import Fault
from infra.embedded.server import EmbeddedAws


def fetched(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_browser_sees_jobs_logs_quotas_and_faults(
    aws: EmbeddedAws, job_request: Callable[..., dict[str, Any]], when: Callable[..., dict[str, Any]]
) -> None:
    request = job_request(
        "print('<b>hello</b>', flush=True); raise SystemExit(1)", HyperParameters={"rule": "<i>A -> AA"}
    )
    name = request["TrainingJobName"]
    boto3.client("sagemaker").create_training_job(**request)
    when(name)
    aws.faults.add(Fault("slow", "s3", "GetObjectAcl"))
    with browser.chromium() as chromium:
        wrong: list[str] = []
        page = chromium.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(aws.page)
        assert page.get_by_text("GetObjectAcl").count() == 1
        page.get_by_role("link", name=name).click()
        assert page.get_by_text("<b>hello</b>").count() == 1
        assert page.get_by_text("<i>A -> AA").count() == 1
        assert page.get_by_role("cell", name="Failed").count() >= 1
        assert wrong == []


def test_the_page_needs_its_token_and_health_does_not(aws: EmbeddedAws) -> None:
    address = aws.page.partition("?")[0]
    assert fetched(aws.page)[0] == 200
    assert fetched(address)[0] == 403
    assert fetched(f"{address}?token=wrong")[0] == 403
    assert fetched(aws.page, Sec_Fetch_Site="cross-site")[0] == 403
    assert fetched(aws.page, Host="evil.example")[0] == 403
    assert fetched(aws.page.replace("?", "/us-east-1/nothing?"))[0] == 404
    for path in ("/_ahx/health", "/_localstack/health"):
        status, body = fetched(aws.endpoint + path)
        assert (status, json.loads(body)["services"]["s3"]) == (200, "running")
        assert fetched(aws.endpoint + path, Host="evil.example")[0] == 403
