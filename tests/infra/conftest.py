"""What tests of the embedded AWS share."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import boto3
import pytest

from infra.embedded.server import EmbeddedAws

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def tuning_request(job_request: Make, unique: Callable[[str], str]) -> Make:
    """A request for a Grid of a (1, 2) and b (x, y); its program reports a as `score`."""

    def make(program: str, **config: Any) -> dict[str, Any]:
        job = job_request(
            f"""
import json
given = json.loads((base / 'input/config/hyperparameters.json').read_text())
print('score=' + given['a'] + ';', flush=True)
{program}
"""
        )
        del job["TrainingJobName"]
        (_, source) = job["AlgorithmSpecification"].pop("ContainerEntrypoint")
        job["Environment"] = {"PROGRAM": source}
        job["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "score", "Regex": "score=([0-9]+);"}]
        values = [{"Name": "a", "Values": ["1", "2"]}, {"Name": "b", "Values": ["x", "y"]}]
        return {
            "HyperParameterTuningJobName": unique("tune"),
            "HyperParameterTuningJobConfig": {
                "Strategy": "Grid",
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
                "ResourceLimits": {"MaxParallelTrainingJobs": 2},
                "ParameterRanges": {"CategoricalParameterRanges": values},
            }
            | config,
            "TrainingJobDefinition": job | {"StaticHyperParameters": {"c": "fixed"}},
        }

    return make


@pytest.fixture
def guarded(aws: EmbeddedAws) -> EmbeddedAws:
    """The server, with a role for an intruder's job, and a private object."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="secret", Body=b"nobody's business")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = boto3.client("iam")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="strangers", AssumeRolePolicyDocument=policy)
    return aws
