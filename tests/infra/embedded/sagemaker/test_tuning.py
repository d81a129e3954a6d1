"""Tuning jobs of the embedded AWS: their training jobs, the best of them, what ends them."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.sagemaker.tuning import run as tuning_run
from infra.embedded.server import EmbeddedAws

Make = Callable[..., dict[str, Any]]


def tuned(request: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """Create the tuning job and wait for its end."""
    boto3.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    return ended(request["HyperParameterTuningJobName"], seconds)


def ended(name: str, seconds: float = 60) -> dict[str, Any]:
    client, until = boto3.client("sagemaker"), time.monotonic() + seconds
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


SEEKING = {
    "Strategy": "Bayesian",
    "RandomSeed": 1,
    "ResourceLimits": {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2},
    "ParameterRanges": {"IntegerParameterRanges": [{"Name": "a", "MinValue": "0", "MaxValue": "40"}]},
}


def test_bayesian_tuning_and_warm_starts(tuning_request: Make) -> None:
    parent = tuning_request("", **SEEKING)
    first = tuned(parent)
    assert first["TrainingJobStatusCounters"]["Completed"] == 6
    assert first["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] in range(6)
    assert first["ConsumedResources"]["RuntimeInSeconds"] >= 0
    assert "OverallBestTrainingJob" not in first
    parents = [{"HyperParameterTuningJobName": parent["HyperParameterTuningJobName"]}]
    again = tuning_request(
        "", **SEEKING | {"ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}}
    )
    again["TrainingJobDefinition"] |= {name: parent["TrainingJobDefinition"][name] for name in ("RoleArn",)}
    again["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": parents,
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    job = tuned(again)
    assert job["WarmStartConfig"] == again["WarmStartConfig"]
    rows = [job["BestTrainingJob"], first["BestTrainingJob"]]
    best = max(rows, key=lambda row: row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
    assert job["OverallBestTrainingJob"] == best
    assert job["BestTrainingJob"]["TuningJobName"] == again["HyperParameterTuningJobName"]

    client = boto3.client("sagemaker")
    for change, message in [
        ({"StaticHyperParameters": {}}, "has 2 hyperparameters, static and tunable ones together"),
        ({"AlgorithmSpecification": {"TrainingImage": "other"}}, "IdenticalDataAndAlgorithm needs the same"),
    ]:
        request = again | {"HyperParameterTuningJobName": "never"}
        definition = dict(request["TrainingJobDefinition"])
        for name, value in change.items():
            definition[name] = definition[name] | value if value else value
        with pytest.raises(ClientError, match=message):
            client.create_hyper_parameter_tuning_job(**request | {"TrainingJobDefinition": definition})
    again["WarmStartConfig"]["ParentHyperParameterTuningJobs"] = [{"HyperParameterTuningJobName": "nobody"}]
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.create_hyper_parameter_tuning_job(**again | {"HyperParameterTuningJobName": "never"})


def test_tuning_ends_when_the_best_does_not_improve(tuning_request: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real, hours = time.time, itertools.cycle((0, 6, -6))  # a wall clock that is set all the time
    monkeypatch.setattr(time, "time", lambda: real() + next(hours) * 3600)
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    values = [{"Name": "a", "Values": ["9", "1", "2", "3", "4", "5", "6"]}]
    config = {
        "TuningJobCompletionCriteria": criteria,
        "ResourceLimits": {"MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"CategoricalParameterRanges": values},
    }
    job = tuned(tuning_request("", **config))
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert job["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] == 3
    assert 0 <= job["ConsumedResources"]["RuntimeInSeconds"] < 600


def test_a_training_job_that_falls_behind_is_stopped_early(tuning_request: Make) -> None:
    program = "import time\ntime.sleep(60 if given['a'] == '1' else 0)"
    values = [{"Name": "a", "Values": ["7", "8", "9", "1"]}]
    config = {
        "TrainingJobEarlyStoppingType": "Auto",
        "ResourceLimits": {"MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"CategoricalParameterRanges": values},
    }
    job = tuned(tuning_request(program, **config), seconds=40)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    counters = job["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["Stopped"]) == (3, 1)


def test_several_definitions_have_turns(tuning_request: Make) -> None:
    request = tuning_request("", Strategy="Random", RandomSeed=1)
    config = request["HyperParameterTuningJobConfig"]
    config["ResourceLimits"] = {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2}
    objective, ranges = config.pop("HyperParameterTuningJobObjective"), config.pop("ParameterRanges")
    own = {"TuningObjective": objective, "HyperParameterRanges": ranges}
    one = request.pop("TrainingJobDefinition") | own
    two = one | {"DefinitionName": "two", "StaticHyperParameters": {"d": "2"}}
    request["TrainingJobDefinitions"] = [one | {"DefinitionName": "one"}, two]
    job, client = tuned(request), boto3.client("sagemaker")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert [shown["StaticHyperParameters"] for shown in job["TrainingJobDefinitions"]] == [
        {"c": "fixed", "_tuning_objective_metric": "score"},
        {"d": "2", "_tuning_objective_metric": "score"},
    ]
    asked = {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"]}
    rows = client.list_training_jobs_for_hyper_parameter_tuning_job(**asked)["TrainingJobSummaries"]
    assert [row["TrainingJobDefinitionName"] for row in rows] == ["one", "two", "one", "two"]
    trained = client.describe_training_job(TrainingJobName=rows[1]["TrainingJobName"])
    assert trained["HyperParameters"]["d"] == "2"


def test_training_jobs_run_on_the_first_instances_that_are_free(tuning_request: Make, aws: EmbeddedAws) -> None:
    request = tuning_request("")
    definition = request["TrainingJobDefinition"]
    del definition["ResourceConfig"]
    scarce = {"InstanceType": "ml.c5.9xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    definition["HyperParameterTuningResourceConfig"] = {
        "AllocationStrategy": "Prioritized",
        "InstanceConfigs": [scarce | {"InstanceCount": 50}, scarce, scarce | {"InstanceType": "ml.m5.xlarge"}],
    }
    aws.sagemaker.training.jobs.quotas.set("ml.c5.9xlarge", 1)
    job = tuned(request)
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    jobs = aws.sagemaker.training.jobs.all()
    children = [one for one in jobs if one.tuning_arn == job["HyperParameterTuningJobArn"]]
    types = {one.request["ResourceConfig"]["InstanceType"] for one in children}
    assert types == {"ml.c5.9xlarge", "ml.m5.xlarge"}


def test_a_bug_ends_the_tuning_job_and_nothing_else(tuning_request: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tuning_run.TuningRun, "_choose", fails)
    request, client = tuning_request(""), boto3.client("sagemaker")
    job = tuned(request)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError")
    client.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=request["HyperParameterTuningJobName"])


def test_what_was_there_at_create_and_is_gone_ends_the_tuning(tuning_request: Make) -> None:
    iam = boto3.client("iam")
    request = tuning_request("import time\ntime.sleep(1)", ResourceLimits={"MaxParallelTrainingJobs": 1})
    boto3.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    iam.delete_role(RoleName=request["TrainingJobDefinition"]["RoleArn"].rpartition("/")[2])
    job = ended(request["HyperParameterTuningJobName"])
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("Could not assume role")


def test_a_tuning_job_that_waits_for_a_quota_can_be_stopped_and_deleted(
    tuning_request: Make, job_request: Make, aws: EmbeddedAws
) -> None:
    request, client = tuning_request(""), boto3.client("sagemaker")
    kind = {"InstanceType": "ml.c5.18xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    request["TrainingJobDefinition"]["ResourceConfig"] = kind
    aws.sagemaker.training.jobs.quotas.set("ml.c5.18xlarge", 1)
    other = job_request("import time\ntime.sleep(60)", ResourceConfig=kind)
    client.create_training_job(**other)
    client.create_hyper_parameter_tuning_job(**request)
    asked = {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"]}
    with pytest.raises(client.exceptions.ResourceInUse):
        client.delete_hyper_parameter_tuning_job(**asked)
    client.stop_hyper_parameter_tuning_job(**asked)
    job = ended(request["HyperParameterTuningJobName"])
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert sum(job["TrainingJobStatusCounters"].values()) == 0
    client.delete_hyper_parameter_tuning_job(**asked)
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_hyper_parameter_tuning_job(**asked)
    client.stop_training_job(TrainingJobName=other["TrainingJobName"])


def test_lists_of_tuning_jobs_and_of_their_training_jobs_have_pages(tuning_request: Make) -> None:
    client, request = boto3.client("sagemaker"), tuning_request("")
    tuned(request)
    asked = {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"], "MaxResults": 3}
    first = client.list_training_jobs_for_hyper_parameter_tuning_job(**asked)
    rest = client.list_training_jobs_for_hyper_parameter_tuning_job(NextToken=first["NextToken"], **asked)
    names = [row["TrainingJobName"] for page in (first, rest) for row in page["TrainingJobSummaries"]]
    assert len(first["TrainingJobSummaries"]) == 3
    assert len(names) == 4
    assert names == sorted(names)
    asked["StatusEquals"] = "Failed"
    assert client.list_training_jobs_for_hyper_parameter_tuning_job(**asked)["TrainingJobSummaries"] == []
    listed = {"NameContains": request["HyperParameterTuningJobName"]}
    for status, count in {"Completed": 1, "Stopped": 0}.items():
        found = client.list_hyper_parameter_tuning_jobs(StatusEquals=status, **listed)
        assert len(found["HyperParameterTuningJobSummaries"]) == count
