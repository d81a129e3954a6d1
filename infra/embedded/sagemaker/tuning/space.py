"""The space of hyperparameters of a tuning job, and the mapping between its points and numbers from 0 to 1.

Follows "Define Hyperparameter Ranges" (types and scales) of the SageMaker Developer Guide.
"""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from infra.embedded.sagemaker.api.constraints import refuse

Point = dict[str, str]
_MOST = 30  # hyperparameters: "Resource Limits for Automatic Model Tuning" of the Developer Guide
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Choice:
    """A categorical hyperparameter."""

    name: str
    values: tuple[str, ...]

    def at(self, unit: float) -> str:
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def features(self, value: str) -> list[float]:
        """One number for each value; different values are as far apart as the ends of a range."""
        return [math.sqrt(0.5) * (value == one) for one in self.values]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`. The scale Auto is Linear."""

    name: str
    low: float
    high: float
    scale: str

    def at(self, unit: float) -> str:
        value = self._back(self._scaled(self.low) * (1 - unit) + self._scaled(self.high) * unit)
        return repr(min(max(value, self.low), self.high))

    def features(self, value: str) -> list[float]:
        """Its position, outside 0 to 1 if it is out of the range. Raises ValueError if the scale has none."""
        low, high = (
            self._scaled(self.low) / 2,
            self._scaled(self.high) / 2,
        )  # halves, so that their difference is finite
        at = self._scaled(float(value)) / 2
        if not math.isfinite(at):
            raise ValueError(value)
        return [(at - low) / (high - low) if high > low else 0.0]

    def _scaled(self, value: float) -> float:
        if self.scale == "Logarithmic":
            return math.log(value)
        return -math.log1p(-value) if self.scale == "ReverseLogarithmic" else float(value)

    def _back(self, scaled: float) -> float:
        if self.scale == "Logarithmic":
            return math.exp(min(scaled, math.log(self.high)))
        return -math.expm1(-scaled) if self.scale == "ReverseLogarithmic" else scaled


@dataclass(frozen=True)
class Whole(Range):
    """Whole numbers from `low` to `high`."""

    low: int
    high: int

    def at(self, unit: float) -> str:
        """In a linear range all numbers are equally likely, and exact."""
        if self.scale == "Logarithmic":
            return str(min(max(round(float(super().at(unit))), self.low), self.high))
        return str(min(self.low + math.floor(Fraction(unit) * (self.high - self.low + 1)), self.high))


Fit = TypeVar("Fit", bound=Range)


class Space:
    """The hyperparameters of a ParameterRanges. Raises AwsError (ValidationException) if they are invalid."""

    def __init__(self, ranges: dict[str, Any]) -> None:
        self.choices = [_choice(one) for one in ranges.get("CategoricalParameterRanges", [])]
        whole = [_whole(one) for one in ranges.get("IntegerParameterRanges", [])]
        self.numbers = [*whole, *(_range(one) for one in ranges.get("ContinuousParameterRanges", []))]
        self.all: list[Choice | Range] = [*self.choices, *self.numbers]
        names = [one.name for one in self.all]
        if not names:
            refuse("ParameterRanges must have at least one hyperparameter to tune.")
        if len(names) > _MOST:
            refuse(f"At most {_MOST} hyperparameters can be tuned (got {len(names)}).")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            refuse(f"ParameterRanges must not name a hyperparameter twice (got {', '.join(twice)}).")

    @property
    def combinations(self) -> int:
        """The number of combinations of categorical values."""
        return math.prod(len(one.values) for one in self.choices)

    def grid(self) -> Iterator[Point]:
        """Every combination of the categorical values."""
        names = [one.name for one in self.choices]
        for values in itertools.product(*(one.values for one in self.choices)):
            yield dict(zip(names, values, strict=True))

    def point(self, units: Sequence[float]) -> Point:
        """The point at numbers from 0 to 1, one for each hyperparameter."""
        return {one.name: one.at(unit) for one, unit in zip(self.all, units, strict=True)}

    def features(self, point: Point) -> list[float]:
        """A point as numbers. Raises KeyError or ValueError for a point of another space."""
        return [number for one in self.all for number in one.features(point[one.name])]

    def parts(self, point: Point) -> Point | None:
        """The part of another tuning job's point in this space; None if it lacks hyperparameters."""
        try:
            self.features(point)
        except (KeyError, ValueError):
            return None
        return {one.name: point[one.name] for one in self.all}

    def has(self, point: Point) -> bool:
        """Whether a point is within the ranges."""
        return all(point[one.name] in one.values for one in self.choices) and all(
            -1e-9 <= one.features(point[one.name])[0] <= 1 + 1e-9 for one in self.numbers
        )


def _choice(one: dict[str, Any]) -> Choice:
    values = tuple(one["Values"])
    if len(set(values)) != len(values):
        refuse(f"The values of {one['Name']} must be different.")
    return Choice(one["Name"], values)


def _whole(one: dict[str, Any]) -> Whole:
    for value in (one["MinValue"], one["MaxValue"]):
        if not _INTEGER.fullmatch(value) or abs(int(value)) > _LARGEST:
            refuse(f"MinValue and MaxValue of {one['Name']} must be whole numbers of 64 bits (got {value}).")
    scale = one.get("ScalingType", "Auto")
    if scale == "ReverseLogarithmic":
        refuse(f"ReverseLogarithmic scaling of {one['Name']} is for continuous hyperparameters only.")
    return _fit(Whole(one["Name"], int(one["MinValue"]), int(one["MaxValue"]), scale))


def _range(one: dict[str, Any]) -> Range:
    for value in (one["MinValue"], one["MaxValue"]):
        if not _FLOAT.fullmatch(value) or not math.isfinite(float(value)):
            refuse(f"MinValue and MaxValue of {one['Name']} must be finite numbers of double precision (got {value}).")
    made = Range(one["Name"], float(one["MinValue"]), float(one["MaxValue"]), one.get("ScalingType", "Auto"))
    if made.scale == "ReverseLogarithmic" and not 0 <= made.low <= made.high < 1:
        refuse(f"ReverseLogarithmic scaling of {made.name} needs a range within 0 <= x < 1.")
    return _fit(made)


def _fit(made: Fit) -> Fit:
    if made.low > made.high:
        refuse(f"MinValue of {made.name} must not be greater than its MaxValue.")
    if made.scale == "Logarithmic" and made.low <= 0:
        refuse(f"Logarithmic scaling of {made.name} needs a MinValue greater than 0.")
    return made
