"""What SageMaker's answers always hold, whatever was asked for: booleans that nobody set, and documented defaults.

A boolean of the API that is not a "boxed" one has no third state: the service tells it, as false where nobody gave it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from infra.embedded.sagemaker.api.constraints import shape_of_answer

Answer = dict[str, Any] | None

# By shape: what a member is where the request has left it out, as the pages of these types say.
_DEFAULTS: dict[str, dict[str, Callable[[dict[str, Any]], Any]]] = {
    "AlgorithmSpecification": {"EnableSageMakerMetricsTimeSeries": lambda told: bool(told.get("MetricDefinitions"))},
    "Channel": {"CompressionType": lambda told: "None", "RecordWrapperType": lambda told: "None"},
    "StoppingCondition": {"MaxRuntimeInSeconds": lambda told: 86_400},
    "HyperParameterTuningJobConfig": {"TrainingJobEarlyStoppingType": lambda told: "Off"},
}


def whole(operation: str, answer: Answer) -> Answer:
    """`answer` with all that AWS tells; it is not changed itself. None, an answer of moto's, stays so."""
    shape = shape_of_answer(operation)
    if answer is None or shape is None:
        return answer
    filled: Answer = _filled(shape, answer)
    return filled


def _filled(shape: Any, told: Any) -> Any:
    if not _has_any(shape):
        return told
    if shape.type_name == "list":
        return [_filled(shape.member, one) for one in told]
    filled = {name: make(told) for name, make in _defaults(shape).items()} | told
    for name, member in shape.members.items():
        if name in told:
            filled[name] = _filled(member, told[name])
    return filled


@cache
def _has_any(shape: Any) -> bool:
    """Whether there is a default anywhere below; no shape that we answer with holds itself."""
    if shape.type_name == "list":
        return _has_any(shape.member)
    if shape.type_name != "structure":
        return False
    return bool(_defaults(shape)) or any(_has_any(member) for member in shape.members.values())


@cache
def _defaults(shape: Any) -> dict[str, Callable[[dict[str, Any]], Any]]:
    plain = [
        name
        for name, member in shape.members.items()
        if member.type_name == "boolean" and not member.metadata.get("box")
    ]
    return {name: lambda told: False for name in plain} | _DEFAULTS.get(shape.name, {})
