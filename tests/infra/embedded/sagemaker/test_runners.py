"""What runs a job, and what it cannot run."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError


def test_what_needs_a_container_is_refused_where_jobs_are_processes(job_request: Callable[..., dict[str, Any]]) -> None:
    def create(argument: str, **more: Any) -> None:
        request = job_request(**more)
        request["AlgorithmSpecification"]["ContainerArguments"] = [argument]
        boto3.client("sagemaker").create_training_job(**request)

    with pytest.raises(ClientError, match="this one needs a container: its command names /opt/ml"):
        create("/opt/ml/input/data/x")
    with pytest.raises(ClientError, match="sagemaker_program is for the toolkit in an image"):
        create("x", HyperParameters={"sagemaker_program": '"train.py"'})
    create("${SAGEMAKER_BASE_DIR:-/opt/ml}/model")
