"""How much data is enough: exact match against the number of lines, and an extrapolation that is checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

from ahx.study.session import Search
from ahx.study.trial import Attempt, Config

SHARES = (16, 8, 4, 2, 1)  # the 1/16th of all lines, ...


@dataclass
class Curve:
    """Attempts by the number of lines they were trained on, ascending."""

    lines: Mapping[str, int]  # infile -> lines
    validation: int  # lines that exact match is measured on
    attempts: list[Attempt] = field(default_factory=list)

    def points(self) -> list[tuple[int, list[float]]]:
        """Lines, and the exact match of each seed."""
        return [(self.lines[a.config["infile"]], [one.val_exact for one in a.results]) for a in self.attempts]

    def check(self) -> "Check | None":
        """Fit all points but the last, and compare with the last. None where fewer than three of them have errors."""
        points = self.points()
        if sum(mean(shares) < 1 for _, shares in points[:-1]) < 3:
            return None
        errors = [(n, _error(mean(shares), self.validation * len(shares))) for n, shares in points]
        last, shares = points[-1]
        return Check(power_law(errors[:-1]), power_law(errors), last, 1 - mean(shares))


@dataclass(frozen=True)
class PowerLaw:
    """error = scale * lines ** -exponent."""

    scale: float
    exponent: float

    def error(self, lines: float) -> float:
        return min(1.0, self.scale * math.pow(lines, -self.exponent))

    def lines(self, error: float) -> float:
        """How many lines bring the error down to `error`; infinite where more lines do not help."""
        return math.inf if self.exponent <= 0 else math.pow(self.scale / error, 1 / self.exponent)


@dataclass(frozen=True)
class Check:
    """An extrapolation beside the point that it did not know."""

    without: PowerLaw  # fitted to all points but the last
    fit: PowerLaw  # fitted to all points
    lines: int
    error: float  # measured there

    @property
    def predicted(self) -> float:
        return self.without.error(self.lines)


def power_law(points: Sequence[tuple[float, float]]) -> PowerLaw:
    """Least squares of log error against log lines."""
    x, y = [math.log(n) for n, _ in points], [math.log(error) for _, error in points]
    spread = sum((a - mean(x)) ** 2 for a in x)
    slope = sum((a - mean(x)) * (b - mean(y)) for a, b in zip(x, y, strict=True)) / spread
    return PowerLaw(math.exp(mean(y) - slope * mean(x)), -slope)


def _error(exact: float, n: int) -> float:
    """The share of errors, never quite 0: half an error more than was seen, or its logarithm could not be taken."""
    return (n * (1 - exact) + 0.5) / (n + 1)


def study_lines(start: Config, infiles: Sequence[str], seeds: Sequence[int], curve: Curve) -> Search:
    """The usual model on each of the files, the smallest first, with every seed. All train for as many steps."""
    results = yield [{**start, "infile": infile, "seed": seed} for infile in infiles for seed in seeds]
    for number, infile in enumerate(infiles):
        own = results[number * len(seeds) : (number + 1) * len(seeds)]
        curve.attempts.append(Attempt({**start, "infile": infile}, tuple(seeds), tuple(own)))
