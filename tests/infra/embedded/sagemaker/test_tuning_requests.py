"""What CreateHyperParameterTuningJob refuses: what could never run, or contradicts itself."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.sagemaker.tuning.job import OBJECTIVE

Make = Callable[..., dict[str, Any]]
ONE = {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 1}


def refused(request: dict[str, Any], message: str, code: str = "ValidationException") -> None:
    client = boto3.client("sagemaker")
    with pytest.raises(ClientError, match=message) as caught:
        client.create_hyper_parameter_tuning_job(**request)
    assert caught.value.response["Error"]["Code"] == code
    name = request["HyperParameterTuningJobName"]
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def numbers(low: str, high: str) -> dict[str, Any]:
    return {"ContinuousParameterRanges": [{"Name": "a", "MinValue": low, "MaxValue": high}]}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"Strategy": "Hyperband"}, r"Strategy: the embedded AWS has the strategies Bayesian, Grid and Random"),
        ({"Strategy": "Random"}, "MaxNumberOfTrainingJobs is required in ResourceLimits for the Random strategy"),
        ({"Strategy": "Bayesian"}, "MaxNumberOfTrainingJobs is required"),
        ({"ParameterRanges": numbers("0", "1")}, "supports categorical hyperparameters only"),
        ({"ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1}}, "must be 4"),
        ({"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"}}, "The objective metric loss"),
        ({"Strategy": "Random", "ResourceLimits": ONE, "ParameterRanges": numbers("0", "1e400")}, "finite numbers"),
        ({"ParameterRanges": {}}, "must have at least one hyperparameter to tune"),
        ({"ParameterRanges": {"CategoricalParameterRanges": [{"Name": "c", "Values": ["1"]}]}}, r"not both \(got c\)"),
        (
            {"ParameterRanges": {"CategoricalParameterRanges": [{"Name": OBJECTIVE, "Values": ["1"]}]}},
            "either static or tunable",
        ),
        (
            {"ParameterRanges": {"CategoricalParameterRanges": [{"Name": "a", "Values": ["1", "1"]}]}},
            "The values of a must be different",
        ),
        ({"ParameterRanges": {"AutoParameters": [{"Name": "a", "ValueHint": "1"}]}}, "chooses no ranges itself"),
        (
            {"TuningJobCompletionCriteria": {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}},
            "does not detect convergence",
        ),
        ({"StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1}}}, "it is Hyperband's"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tuning_request: Make, config: dict[str, Any], message: str) -> None:
    refused(tuning_request("", **config), message)


@pytest.mark.parametrize(("jobs", "parallel", "message"), [(751, 1, r"750 \(got 751\)"), (1, 101, r"100 \(got 101\)")])
def test_limits_of_tuning_jobs(tuning_request: Make, jobs: int, parallel: int, message: str) -> None:
    limits = {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel}
    request = tuning_request("", Strategy="Bayesian", ParameterRanges=numbers("0", "1"), ResourceLimits=limits)
    refused(request, f"at most {message}", "ResourceLimitExceeded")


def test_a_target_is_a_number(tuning_request: Make) -> None:
    request = tuning_request("", TuningJobCompletionCriteria={"TargetObjectiveMetricValue": float("nan")})
    refused(request, "cannot be converted to float", "SerializationException")  # botocore sends the text "NaN"


def test_without_an_objective_only_what_needs_none_is_there(tuning_request: Make) -> None:
    request = tuning_request("", Strategy="Bayesian", ResourceLimits=ONE)
    del request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    refused(request, "HyperParameterTuningJobObjective is required for the strategy Bayesian")


@pytest.mark.parametrize(
    ("changes", "message", "code"),
    [
        ({"RoleArn": "arn:aws:iam::123456789012:role/nobody"}, "Could not assume role", "ValidationException"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket-here/x"}}, "does not exist", "ValidationException"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
            "Invalid MaxWaitTimeInSeconds",
            "ValidationException",
        ),
        ({"TuningObjective": {"Type": "Minimize", "MetricName": "x"}}, r"TrainingJobDefinition\.TuningObjective", ""),
        ({"HyperParameterRanges": numbers("0", "1")}, r"TrainingJobDefinition\.HyperParameterRanges", ""),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 21, "VolumeSizeInGB": 1}},
            "with current utilization of 0 Instances and a request delta of 21 Instances",
            "ResourceLimitExceeded",
        ),
        (
            {"HyperParameterTuningResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
            "either ResourceConfig or HyperParameterTuningResourceConfig",
            "",
        ),
        ({"StaticHyperParameters": {f"h{n}": "1" for n in range(99)}}, "less than or equal to 100", ""),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "x",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "score", "Regex": "("}],
                }
            },
            "Invalid metric definition regex",
            "",
        ),
    ],
)
def test_what_create_training_job_would_refuse_is_refused_at_once(
    tuning_request: Make, changes: dict[str, Any], message: str, code: str
) -> None:
    request = tuning_request("")
    request["TrainingJobDefinition"] |= changes
    refused(request, message, code or "ValidationException")


def test_a_role_must_trust_sagemaker_for_the_training_jobs(tuning_request: Make, unique: Callable[[str], str]) -> None:
    request = tuning_request("")
    arn = "arn:aws:sagemaker:*:123456789012:training-job/other-*"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:SourceArn": arn}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = boto3.client("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument=document)
    request["TrainingJobDefinition"]["RoleArn"] = role["Role"]["Arn"]
    refused(request, "Could not assume role")


def test_several_definitions_must_fit_together(tuning_request: Make) -> None:
    request = tuning_request("")
    one = request.pop("TrainingJobDefinition")
    refused(request, "either TrainingJobDefinition or TrainingJobDefinitions")
    refused(request | {"TrainingJobDefinitions": [one]}, "HyperParameterTuningJobObjective belongs to each definition")
    config = request["HyperParameterTuningJobConfig"]
    objective, ranges = config.pop("HyperParameterTuningJobObjective"), config.pop("ParameterRanges")
    refused(request | {"TrainingJobDefinitions": [one]}, "each must have DefinitionName")
    one |= {"DefinitionName": "x", "TuningObjective": objective, "HyperParameterRanges": ranges}
    refused(request | {"TrainingJobDefinitions": [one, one]}, r"must be different \(got x, x\)")
    other = one | {"DefinitionName": "y", "TuningObjective": objective | {"Type": "Minimize"}}
    refused(request | {"TrainingJobDefinitions": [one, other]}, "must be of one Type")
