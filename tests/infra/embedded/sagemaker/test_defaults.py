"""Every operation of SageMaker that the embedded AWS answers itself tells all that AWS always tells."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

Make = Callable[..., dict[str, Any]]


def absent(shape: Any, told: Any, path: str) -> Iterator[str]:
    """Members of `shape` that are required, or booleans without a third state, and not in `told`."""
    if shape.type_name == "list":
        for one in told:
            yield from absent(shape.member, one, f"{path}[]")
    elif shape.type_name == "structure":
        for name, member in shape.members.items():
            two_states = member.type_name == "boolean" and not member.metadata.get("box")
            if name in told:
                yield from absent(member, told[name], f"{path}.{name}")
            elif two_states or name in shape.required_members:
                yield f"{path}.{name}"


@pytest.fixture
def asked(aws: Any) -> Callable[..., dict[str, Any]]:
    """Calls an operation, checks that nothing is missing from the answer, and gives that."""
    client = boto3.client("sagemaker")

    def ask(operation: str, **request: Any) -> dict[str, Any]:
        model = client.meta.service_model.operation_model(operation)
        method = next(one for one, name in client.meta.method_to_api_mapping.items() if name == operation)
        answer: dict[str, Any] = getattr(client, method)(**request)
        assert model.output_shape is None or list(absent(model.output_shape, answer, operation)) == []
        return answer

    return ask


def test_what_is_told_of_training_jobs(asked: Callable[..., Any], job_request: Make, when: Callable[..., Any]) -> None:
    request = job_request()
    name = request["TrainingJobName"]
    del request["StoppingCondition"]["MaxRuntimeInSeconds"]
    arn = asked("CreateTrainingJob", **request)["TrainingJobArn"]
    running = asked("DescribeTrainingJob", TrainingJobName=name)
    assert running["EnableNetworkIsolation"] is False
    assert running["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    when(name)
    over = asked("DescribeTrainingJob", TrainingJobName=name)
    assert over["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is False
    assert asked("ListTrainingJobs", NameContains=name)["TrainingJobSummaries"]
    asked("AddTags", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    asked("ListTags", ResourceArn=arn)
    filters = [{"Name": "TrainingJobName", "Operator": "Equals", "Value": name}]
    assert asked("Search", Resource="TrainingJob", SearchExpression={"Filters": filters})["Results"]


def test_what_is_told_of_tuning_jobs(
    asked: Callable[..., Any], job_request: Make, unique: Callable[[str], str]
) -> None:
    definition = job_request("print('loss=1')")
    definition["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=(.)"}]
    place = {"HyperParameterTuningJobName": unique("t")}
    for name in ("TrainingJobName", "ContainerEntrypoint"):
        definition.pop(name, None)
        definition["AlgorithmSpecification"].pop(name, None)
    config = {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "a", "Values": ["1", "2"]}]},
    }
    asked(
        "CreateHyperParameterTuningJob",
        **place,
        HyperParameterTuningJobConfig=config,
        TrainingJobDefinition=definition,
    )
    told = asked("DescribeHyperParameterTuningJob", **place)
    assert told["TrainingJobDefinition"]["EnableManagedSpotTraining"] is False
    assert asked("ListHyperParameterTuningJobs")["HyperParameterTuningJobSummaries"]
    asked("ListTrainingJobsForHyperParameterTuningJob", **place)
    asked("StopHyperParameterTuningJob", **place)
