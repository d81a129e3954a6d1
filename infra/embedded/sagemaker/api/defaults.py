"""Members that SageMaker's answers always have: documented defaults, and false for unset booleans.

Only a "boxed" boolean of the API can be absent.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from infra.embedded.sagemaker.api.constraints import shape_of_answer

Answer = dict[str, Any] | None
Operation = Callable[[dict[str, Any], str], Answer]

# By shape: a member's value if the request has left it out, as the pages of these types document.
_DEFAULTS: dict[str, dict[str, Callable[[dict[str, Any]], Any]]] = {
    "AlgorithmSpecification": {"EnableSageMakerMetricsTimeSeries": lambda given: bool(given.get("MetricDefinitions"))},
    "Channel": {"CompressionType": lambda given: "None", "RecordWrapperType": lambda given: "None"},
    "StoppingCondition": {"MaxRuntimeInSeconds": lambda given: 86_400},
    "HyperParameterTuningJobConfig": {"TrainingJobEarlyStoppingType": lambda given: "Off"},
}


def with_defaults(name: str, operation: Operation) -> Operation:
    """The operation `name`, whose answers have all members that AWS always returns. None, for moto's, stays None."""

    def complete(request: dict[str, Any], region: str) -> Answer:
        answer = operation(request, region)
        shape = shape_of_answer(name)
        filled: Answer = answer if answer is None or shape is None else _filled(shape, answer)
        return filled

    return complete


def _filled(shape: Any, given: Any) -> Any:
    if not _has_any(shape):
        return given
    if shape.type_name == "list":
        return [_filled(shape.member, one) for one in given]
    filled = {name: make(given) for name, make in _defaults(shape).items()} | given
    for name, member in _nested(shape):
        if name in given:
            filled[name] = _filled(member, given[name])
    return filled


@cache
def _nested(shape: Any) -> list[tuple[str, Any]]:
    """The members that have defaults, or contain shapes that have."""
    return [(name, member) for name, member in shape.members.items() if _has_any(member)]


@cache
def _has_any(shape: Any) -> bool:
    """Whether a shape, or one below it, has defaults; no shape of our answers is recursive."""
    if shape.type_name == "list":
        return _has_any(shape.member)
    if shape.type_name != "structure":
        return False
    return bool(_defaults(shape) or _nested(shape))


@cache
def _defaults(shape: Any) -> dict[str, Callable[[dict[str, Any]], Any]]:
    plain = [
        name
        for name, member in shape.members.items()
        if member.type_name == "boolean" and not member.metadata.get("box")
    ]
    return {name: lambda given: False for name in plain} | _DEFAULTS.get(shape.name, {})
