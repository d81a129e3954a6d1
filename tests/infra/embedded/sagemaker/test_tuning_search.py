"""The points that tuning jobs try: ranges of all kinds and scales, and the strategies."""

import math
from typing import Any

import pytest

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.tuning.run import is_behind
from infra.embedded.sagemaker.tuning.space import Point, Space
from infra.embedded.sagemaker.tuning.strategies import Tried, search

RANGES = {
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
    "IntegerParameterRanges": [{"Name": "layers", "MinValue": "1", "MaxValue": "3"}],
    "ContinuousParameterRanges": [
        {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"},
        {"Name": "keep", "MinValue": "0.5", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
        {"Name": "part", "MinValue": "0", "MaxValue": "1"},
    ],
}
SPACE = Space(RANGES)


def tried(strategy: str, seed: str, count: int, space: Space = SPACE) -> list[Point]:
    choose = search(strategy, space, seed)
    return [point for _ in range(count) if (point := choose([], []))]


def test_random_points_come_from_the_ranges_and_from_the_seed() -> None:
    points = tried("Random", "7", 200)
    assert {point["kind"] for point in points} == {"a", "b"}
    assert {point["layers"] for point in points} == {"1", "2", "3"}
    rates = sorted(float(point["rate"]) for point in points)
    assert 0.0001 <= rates[0] <= rates[100] < 0.1  # half of them below a hundredth, or near it
    keeps = sorted(float(point["keep"]) for point in points)
    assert 0.5 <= keeps[0] < 0.9 < keeps[100] <= keeps[-1] <= 0.999
    assert all(0 < float(point["part"]) < 1 for point in points)
    assert points == tried("Random", "7", 200)
    assert points != tried("Random", "8", 200)


def test_a_grid_ends() -> None:
    grid = Space({"CategoricalParameterRanges": [{"Name": name, "Values": ["1", "2"]} for name in "ab"]})
    assert [tuple(point.values()) for point in tried("Grid", "", 9, grid)] == [
        ("1", "1"), ("1", "2"), ("2", "1"), ("2", "2"),
    ]  # fmt: skip


def quality(point: Point) -> float:
    """Best at b, 3, 0.01, ..."""
    distance = (math.log10(float(point["rate"])) + 2) ** 2 + (float(point["part"]) - 0.3) ** 2
    return -distance - (point["kind"] == "a") - 0.5 * (3 - int(point["layers"]))


@pytest.mark.parametrize("scale", [1, 1e-300, 1e300])
def test_bayesian_finds_better_points_than_random(scale: float) -> None:
    best: dict[str, list[float]] = {"Random": [], "Bayesian": []}
    for strategy, found in best.items():
        for seed in range(5):
            choose, known = search(strategy, SPACE, str(seed)), list[Tried]()
            for number in range(24):
                point = choose(known, [])
                assert point is not None
                known.append((point, None if number == 2 else scale * quality(point)))
            found.append(max(value for _, value in known if value is not None))
    assert sorted(best["Bayesian"])[2] > sorted(best["Random"])[2]


def test_bayesian_tries_no_point_twice_while_there_are_others() -> None:
    small = Space({"CategoricalParameterRanges": [{"Name": "a", "Values": [str(value) for value in range(12)]}]})
    choose, known = search("Bayesian", small, "0"), [({"a": str(value)}, float(value)) for value in range(6)]
    running = [{"a": str(value)} for value in range(6, 11)]
    assert choose(known, running) == {"a": "11"}


def test_points_of_parents_beyond_the_ranges_are_learnt_from() -> None:
    point = {"kind": "c", "layers": "9", "rate": "10", "keep": "0.1", "part": "3", "static": "x"}
    (kept,) = [SPACE.parts(point)]
    assert kept == {name: value for name, value in point.items() if name != "static"}
    assert SPACE.parts(point | {"rate": "-1"}) is None
    assert SPACE.parts({"kind": "a"}) is None
    choose = search("Bayesian", SPACE, "0")
    assert (chosen := choose([(kept, 1.0)] * 9, []))
    assert SPACE.has(chosen)
    assert not SPACE.has(kept)


LARGEST = str(2**63 - 1)


@pytest.mark.parametrize(
    ("kind", "low", "high", "scale"),
    [
        ("Integer", f"-{LARGEST}", LARGEST, "Linear"),
        ("Integer", "1", LARGEST, "Logarithmic"),
        ("Integer", str(2**53), str(2**53 + 1), "Auto"),
        ("Integer", "5", "5", "Auto"),
        ("Continuous", "-1.7e308", "1.7e308", "Auto"),
        ("Continuous", "5e-324", "1.7e308", "Logarithmic"),
        ("Continuous", "0", "0.9999999999999999", "ReverseLogarithmic"),
        ("Continuous", "0", "5e-324", "Linear"),
        ("Continuous", "+.5", "5.e-1", "Logarithmic"),
    ],
)
def test_extreme_ranges_give_points_within_them(kind: str, low: str, high: str, scale: str) -> None:
    space = Space({f"{kind}ParameterRanges": [{"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scale}]})
    number: Any = int if kind == "Integer" else float
    for unit in (0.0, 1e-9, 0.5, 1.0):
        value = number(space.point([unit])["x"])
        assert number(low) <= value <= number(high)
    known: list[Tried] = [(space.point([at / 8]), float(at)) for at in range(9)]
    point = search("Bayesian", space, "0")(known, [])
    assert point is not None
    assert number(low) <= number(point["x"]) <= number(high)


@pytest.mark.parametrize(
    ("kind", "low", "high", "scale", "message"),
    [
        ("Continuous", "0", "1e400", "Auto", r"finite numbers of double precision \(got 1e400\)"),
        ("Continuous", "nan", "1", "Auto", "finite numbers"),
        ("Continuous", "-Infinity", "1", "Auto", "finite numbers"),
        ("Continuous", "1_0", "20", "Auto", "finite numbers"),
        ("Continuous", "", "1", "Auto", "finite numbers"),
        ("Continuous", "2", "1", "Auto", "must not be greater"),
        ("Continuous", "0", "1", "Logarithmic", "needs a MinValue greater than 0"),
        ("Continuous", "1e-400", "1", "Logarithmic", "needs a MinValue greater than 0"),
        ("Continuous", "0", "1", "ReverseLogarithmic", "within 0 <= x < 1"),
        ("Integer", "0", "1.5", "Auto", r"whole numbers of 64 bits \(got 1.5\)"),
        ("Integer", "0", "9" * 200, "Auto", "whole numbers of 64 bits"),
        ("Integer", "0", "٣", "Auto", "whole numbers"),
        ("Integer", "-1", "3", "Logarithmic", "needs a MinValue greater than 0"),
        ("Integer", "0", "0", "ReverseLogarithmic", "for continuous hyperparameters only"),
    ],
)
def test_ranges_that_cannot_be_are_refused(kind: str, low: str, high: str, scale: str, message: str) -> None:
    one = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scale}
    with pytest.raises(AwsError, match=message) as caught:
        Space({f"{kind}ParameterRanges": [one]})
    assert caught.value.code == "ValidationException"


def test_a_training_job_is_behind_the_median_of_three() -> None:
    others = [[4.0, 4.0], [2.0, 4.0], [6.0, 2.0]]  # averages after two values: 4, 3, 4
    assert is_behind([9.0, 3.5], others, sign=1)
    assert not is_behind([0.0, 4.0], others, sign=1)
    assert is_behind([0.0, 4.5], others, sign=-1)
    assert not is_behind([0.0, 0.0], others[:2], sign=1)
    assert not is_behind([1.0, 1.0, 0.0], others, sign=1)
    assert not is_behind([], others, sign=1)
    assert is_behind([1.0, 1.0], [[1.7e308, 1.7e308]] * 3, sign=1)
