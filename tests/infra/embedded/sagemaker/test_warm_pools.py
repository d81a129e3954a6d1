"""Warm pools of the embedded AWS: kept for the next job like it, told, counted by the quota, ended; and retries."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.sagemaker.execution.cluster import Cluster
from infra.embedded.sagemaker.jobs import warm_pools
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.server import EmbeddedAws

Make = Callable[..., dict[str, Any]]
When = Callable[..., dict[str, Any]]


def kept(seconds: int, count: int = 1, **more: Any) -> dict[str, Any]:
    resources = {"InstanceType": "ml.g5.xlarge", "InstanceCount": count, "VolumeSizeInGB": 1}
    return {"ResourceConfig": resources | {"KeepAlivePeriodInSeconds": seconds} | more}


def pool(name: str) -> dict[str, Any]:
    told: dict[str, Any] = boto3.client("sagemaker").describe_training_job(TrainingJobName=name)["WarmPoolStatus"]
    return told


@pytest.fixture
def run(when: When) -> Callable[[dict[str, Any]], str]:
    def to_the_end(request: dict[str, Any]) -> str:
        boto3.client("sagemaker").create_training_job(**request)
        when(request["TrainingJobName"])
        return str(request["TrainingJobName"])

    return to_the_end


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass for the pools."""
    passed = [0.0]
    monkeypatch.setattr(warm_pools, "monotonic", lambda: time.monotonic() + passed[0])
    return lambda seconds: passed.__setitem__(0, passed[0] + seconds)


def test_a_job_like_it_takes_a_pool_over_and_may_keep_it(job_request: Make, run: Any) -> None:
    client = boto3.client("sagemaker")
    first = run(job_request("raise SystemExit(1)", **kept(600)))  # a program's failure harms no instance
    assert pool(first)["Status"] == "Available"
    listed = client.list_training_jobs(WarmPoolStatusEquals="Available", NameContains=first)["TrainingJobSummaries"]
    assert [(row["TrainingJobName"], row["WarmPoolStatus"]["Status"]) for row in listed] == [(first, "Available")]
    other = run(job_request(**kept(0, VolumeSizeInGB=2)))
    assert "WarmPoolStatus" not in client.describe_training_job(TrainingJobName=other)
    assert pool(first)["Status"] == "Available"
    request = job_request("import time\ntime.sleep(60)", **kept(600))
    second = request["TrainingJobName"]
    client.create_training_job(**request)
    told = pool(first)
    assert (told["Status"], told["ReusedByJob"]) == ("Reused", second)
    assert told["ResourceRetainedBillableTimeInSeconds"] >= 1
    assert pool(second) == {"Status": "InUse"}
    client.stop_training_job(TrainingJobName=second)


def test_a_pool_counts_for_the_quota_but_not_for_whom_it_is_kept(job_request: Make, run: Any, later: Any) -> None:
    client = boto3.client("sagemaker")
    first = run(job_request(**kept(30, count=4, InstanceType="ml.p3.2xlarge")))  # all that the quota gives
    with pytest.raises(ClientError, match="current utilization of 4 Instances and a request delta of 1 "):
        client.create_training_job(**job_request(**kept(0, InstanceType="ml.p3.2xlarge")))
    second = run(job_request(**kept(30, count=4, InstanceType="ml.p3.2xlarge")))
    assert pool(first)["ReusedByJob"] == second
    later(29)
    assert pool(second)["Status"] == "Available"
    later(2)
    assert pool(second) == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 30}
    run(job_request(**kept(0, InstanceType="ml.p3.2xlarge")))


def test_a_pool_is_ended_by_an_update_and_only_then_its_job_can_be_deleted(
    job_request: Make, run: Any, later: Any
) -> None:
    client = boto3.client("sagemaker")
    name = run(job_request(**kept(600)))
    with pytest.raises(ClientError, match="retains a warm pool"):
        client.delete_training_job(TrainingJobName=name)
    later(100)
    client.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert pool(name)["Status"] == "Terminated"
    assert pool(name)["ResourceRetainedBillableTimeInSeconds"] >= 100
    with pytest.raises(ClientError, match="is in status Completed"):
        client.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 60})
    client.delete_training_job(TrainingJobName=name)


def test_what_makes_no_pool_is_refused(job_request: Make) -> None:
    client = boto3.client("sagemaker")
    stopping = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    spot = job_request(EnableManagedSpotTraining=True, StoppingCondition=stopping, **kept(60))
    with pytest.raises(ClientError, match="spot instances cannot be in a warm pool"):
        client.create_training_job(**spot)


def test_a_job_is_tried_again_after_an_internal_error(
    job_request: Make, when: When, monkeypatch: pytest.MonkeyPatch, aws: EmbeddedAws, capsys: Any
) -> None:
    prepare, left = Cluster.prepare, [2]

    def failing(self: Cluster) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("a bug")
        prepare(self)

    monkeypatch.setattr(Cluster, "prepare", failing)
    request = job_request(RetryStrategy={"MaximumRetryAttempts": 2})
    boto3.client("sagemaker").create_training_job(**request)
    job = when(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed"
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]][:4] == [*["Starting"] * 3, "Training"]
    left[0] = 2
    request = job_request(RetryStrategy={"MaximumRetryAttempts": 1}, **kept(60))
    boto3.client("sagemaker").create_training_job(**request)
    job = when(request["TrainingJobName"])
    assert job["FailureReason"].startswith("InternalServerError: ")
    assert job["WarmPoolStatus"]["Status"] == "Terminated"


@pytest.mark.parametrize(("attempts", "status"), [(0, "Completed"), (1, "Failed")])
def test_a_job_that_was_cut_off_by_a_crash_is_tried_again(
    attempts: int, status: str, job_request: Make, when: When, aws: EmbeddedAws
) -> None:
    request = job_request(RetryStrategy={"MaximumRetryAttempts": 1}, **kept(60))
    name = request["TrainingJobName"]
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    cut = TrainingJob(request, "us-east-1", arn, time.time(), started=time.time(), retries=attempts)
    cut.pool = {"Status": "InUse"}
    cut.enter("Training", "InProgress")
    aws.sagemaker.training.jobs.restore([TrainingJob.from_json(cut.to_json())])
    assert pool(name)["Status"] == ("Terminated" if attempts else "InUse")
    aws.sagemaker.training.resume()
    job = when(name)
    assert job["TrainingJobStatus"] == status
    assert job["WarmPoolStatus"]["Status"] == ("Terminated" if attempts else "Available")
