"""Docker as a client of ECR: an image that was pushed runs, by whatever address people know it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from small_image import TRAIN, build, docker, log_in, program

from infra.embedded.server import EmbeddedAws

GROUP, NAME = "/aws/sagemaker/TrainingJobs", "tools/hello"
HELLO = """
#include <stdio.h>
int main(void) { puts("hello from " VERSION); return fclose(fopen("/opt/ml/model/m", "w")); }
"""


def test_an_image_that_was_pushed_runs(
    containers: EmbeddedAws,
    job_request: Callable[..., dict[str, Any]],
    when: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    ecr, sagemaker = boto3.client("ecr"), boto3.client("sagemaker")
    uri = ecr.create_repository(repositoryName=NAME)["repository"]["repositoryUri"]
    registry = log_in(ecr)
    there = f"{registry}/{NAME}"
    for version in ("v1", "v2"):
        build(f"{there}:{version}", program(HELLO.replace("VERSION", f'"{version}"'), tmp_path), place=TRAIN)
        assert docker("push", f"{there}:{version}").returncode == 0
        docker("image", "rm", f"{there}:{version}")  # so that it can only come from the registry
    docker("logout", registry)

    digest = ecr.describe_images(repositoryName=NAME, imageIds=[{"imageTag": "v1"}])["imageDetails"][0]["imageDigest"]
    said = {f"{uri}:v2": "v2", f"{uri}@{digest}": "v1", f"{there}:v1": "v1", f"{uri}:v1@{digest}": "v1"}
    for image, version in said.items():
        request = job_request(AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"})
        sagemaker.create_training_job(**request)
        assert when(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"
        assert printed(request["TrainingJobName"]) == [f"hello from {version}"]
    request = job_request(AlgorithmSpecification={"TrainingImage": f"{uri}:v3", "TrainingInputMode": "File"})
    sagemaker.create_training_job(**request)
    told = when(request["TrainingJobName"])["FailureReason"]
    assert f"there is no image {uri}:v3 in the ECR of this AWS or on this machine" in told
    for one in docker("image", "ls", "--quiet", f"{there}").stdout.decode().split():
        docker("image", "rm", "--force", one)


def printed(job: str) -> list[str]:
    found = boto3.client("logs").filter_log_events(logGroupName=GROUP, logStreamNamePrefix=f"{job}/")
    return [event["message"] for event in found["events"]]
