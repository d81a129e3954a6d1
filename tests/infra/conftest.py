"""What tests of tuning jobs share."""

from collections.abc import Callable
from typing import Any

import pytest

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
