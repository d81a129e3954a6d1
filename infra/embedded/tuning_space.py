"""The points that a tuning job tries: every combination for Grid, random ones for Random.

Follows "How Hyperparameter Tuning Works" and "Define Hyperparameter Ranges" (scaling types) of the SageMaker
Developer Guide.
"""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any, NoReturn

from infra.embedded.wire import AwsError

Point = dict[str, str]


def points(config: dict[str, Any], name: str) -> tuple[int, Iterator[Point]]:
    """How many jobs there will be, and the hyperparameters of each. Raises AwsError for an unfit space."""
    ranges = config.get("ParameterRanges", {})
    categorical = ranges.get("CategoricalParameterRanges", [])
    whole = [one | {"whole": True} for one in ranges.get("IntegerParameterRanges", [])]
    numeric = whole + ranges.get("ContinuousParameterRanges", [])
    names = [one["Name"] for one in categorical + numeric]
    if len(set(names)) != len(names):
        _refuse("ParameterRanges must not name a hyperparameter twice.")
    limit = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        if numeric or not categorical:
            _refuse("The Grid strategy supports categorical hyperparameters only, and needs at least one.")
        return _grid(categorical, limit)
    if config["Strategy"] != "Random":
        _refuse(f"The embedded AWS tunes with the strategies Grid and Random (got {config['Strategy']}).")
    if limit is None:
        _refuse("MaxNumberOfTrainingJobs is required in ResourceLimits for the Random strategy.")
    for one in numeric:
        _check_range(one)
    return limit, _random(categorical, numeric, limit, config.get("RandomSeed", name))


def _grid(categorical: list[dict[str, Any]], limit: int | None) -> tuple[int, Iterator[Point]]:
    names = [one["Name"] for one in categorical]
    count = math.prod(len(one["Values"]) for one in categorical)
    if limit is not None and limit != count:
        _refuse(
            f"MaxNumberOfTrainingJobs must be {count}, the number of combinations, for the Grid strategy, or absent."
        )
    chosen = itertools.product(*(one["Values"] for one in categorical))
    return count, (dict(zip(names, values, strict=True)) for values in chosen)


def _random(categorical: list[dict[str, Any]], numeric: list[dict[str, Any]], count: int, seed: Any) -> Iterator[Point]:
    """The same seed gives the same points."""
    source = random.Random(seed)
    for _ in range(count):
        point = {one["Name"]: source.choice(one["Values"]) for one in categorical}
        point |= {one["Name"]: _number(one, source.random()) for one in numeric}
        yield point


def _number(one: dict[str, Any], at: float) -> str:
    """The value at `at`, from 0 to 1, of a range. Each whole number of a linear range is as likely as any other."""
    low, high = float(one["MinValue"]), float(one["MaxValue"])
    scale = one.get("ScalingType", "Auto")
    if scale == "Logarithmic":
        value = low * (high / low) ** at
    elif scale == "ReverseLogarithmic":
        value = 1 - (1 - low) * ((1 - high) / (1 - low)) ** at
    else:
        value = low + (high - low) * at
    if not one.get("whole"):
        return repr(value)
    even = math.floor(low + (high + 1 - low) * at)
    return str(min(int(high), even if scale in ("Auto", "Linear") else round(value)))


def _check_range(one: dict[str, Any]) -> None:
    try:
        low, high = float(one["MinValue"]), float(one["MaxValue"])
    except ValueError:
        _refuse(f"MinValue and MaxValue of {one['Name']} must be numbers.")
    scale = one.get("ScalingType", "Auto")
    if low > high:
        _refuse(f"MinValue of {one['Name']} must not be greater than its MaxValue.")
    if scale == "Logarithmic" and low <= 0:
        _refuse(f"Logarithmic scaling of {one['Name']} needs a MinValue greater than 0.")
    if scale == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        _refuse(f"ReverseLogarithmic scaling of {one['Name']} needs a range within 0 <= x < 1.")


def _refuse(message: str) -> NoReturn:
    raise AwsError("ValidationException", message)
