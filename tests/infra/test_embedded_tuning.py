"""Tuning jobs of the embedded AWS: Grid and Random, their training jobs, the best of them, limits and stops."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.tuning_space import points

Make = Callable[..., dict[str, Any]]
RANDOM = {
    "Strategy": "Random",
    "RandomSeed": 7,
    "ResourceLimits": {"MaxNumberOfTrainingJobs": 200, "MaxParallelTrainingJobs": 2},
    "ParameterRanges": {
        "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
        "IntegerParameterRanges": [{"Name": "layers", "MinValue": "1", "MaxValue": "3"}],
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"},
            {"Name": "keep", "MinValue": "0.5", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
            {"Name": "whole", "MinValue": "0", "MaxValue": "1"},
        ],
    },
}


def test_random_points_come_from_the_ranges_and_from_the_seed() -> None:
    count, chosen = points(RANDOM, "t")
    tried = list(chosen)
    assert count == len(tried) == 200
    assert {point["kind"] for point in tried} == {"a", "b"}
    assert {point["layers"] for point in tried} == {"1", "2", "3"}
    rates = sorted(float(point["rate"]) for point in tried)
    assert 0.0001 <= rates[0] <= rates[100] < 0.1  # half of them below a hundredth, or near it
    keeps = sorted(float(point["keep"]) for point in tried)
    assert 0.5 <= keeps[0] < 0.9 < keeps[100] <= keeps[-1] <= 0.999
    assert all(0 < float(point["whole"]) < 1 for point in tried)
    assert tried == list(points(RANDOM, "other")[1])
    assert tried != list(points(RANDOM | {"RandomSeed": 8}, "t")[1])


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


def tuned(request: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """Create the tuning job and wait for its end."""
    client, name = boto3.client("sagemaker"), request["HyperParameterTuningJobName"]
    client.create_hyper_parameter_tuning_job(**request)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job: dict[str, Any] = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if job["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped"):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_a_grid_tries_every_combination_and_names_the_best(tuning_request: Make) -> None:
    client = boto3.client("sagemaker")
    request = tuning_request("(base / 'model/m').write_text(json.dumps(given)) if given['b'] == 'x' else os._exit(3)")
    job, name = tuned(request), request["HyperParameterTuningJobName"]
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == job["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 2}
    best = job["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"a": "2", "b": "x"}
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Maximize",
        "MetricName": "score",
        "Value": 2,
    }

    asked = {"HyperParameterTuningJobName": name, "SortBy": "FinalObjectiveMetricValue", "SortOrder": "Descending"}
    children = client.list_training_jobs_for_hyper_parameter_tuning_job(**asked)["TrainingJobSummaries"]
    assert [child["TunedHyperParameters"]["a"] for child in children] == ["2", "2", "1", "1"]
    assert sorted(child["TrainingJobName"].removeprefix(f"{name}-")[:4] for child in children) == [
        "001-",
        "002-",
        "003-",
        "004-",
    ]
    child = client.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert child["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert child["HyperParameters"] == {"_tuning_objective_metric": "score", "c": "fixed", "a": "2", "b": "x"}
    starts = sorted((one["CreationTime"], one["TrainingEndTime"]) for one in children)
    assert all(later[0] >= min(end for _, end in starts[:at]) for at, later in enumerate(starts) if at >= 2)
    listed = client.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert [one["HyperParameterTuningJobName"] for one in listed] == [name]
    with pytest.raises(client.exceptions.ResourceInUse):
        client.create_hyper_parameter_tuning_job(**request)


def test_a_target_that_is_reached_ends_the_tuning(tuning_request: Make) -> None:
    request = tuning_request(
        "", TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 1}, ResourceLimits={"MaxParallelTrainingJobs": 1}
    )
    job = tuned(request)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 1


def test_stopping_a_tuning_job_stops_its_training_jobs(tuning_request: Make) -> None:
    client, request = boto3.client("sagemaker"), tuning_request("import time\ntime.sleep(60)")
    name = request["HyperParameterTuningJobName"]
    client.create_hyper_parameter_tuning_job(**request)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        job = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if job["TrainingJobStatusCounters"]["InProgress"] == 2:
            break
        time.sleep(0.05)
    client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    while job["HyperParameterTuningJobStatus"] != "Stopped" and time.monotonic() < until:
        job = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        time.sleep(0.05)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2
    with pytest.raises(ClientError, match="is in status Stopped"):
        client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_a_tuning_job_fails_when_all_its_training_jobs_do(tuning_request: Make) -> None:
    job = tuned(tuning_request("raise SystemExit(1)"))
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("All training jobs failed.")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"Strategy": "Bayesian"}, "strategies Grid and Random"),
        ({"Strategy": "Random"}, "MaxNumberOfTrainingJobs is required"),
        ({"ParameterRanges": RANDOM["ParameterRanges"]}, "supports categorical hyperparameters only"),
        ({"ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1}}, "must be 4"),
        ({"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"}}, "The objective metric loss"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tuning_request: Make, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        boto3.client("sagemaker").create_hyper_parameter_tuning_job(**tuning_request("", **config))
