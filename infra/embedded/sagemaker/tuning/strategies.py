"""How a tuning job chooses its points: grid, random, or Bayesian optimisation.

Bayesian: the first points are random; then a Gaussian process (Matérn 5/2, length and noise by likelihood) is fitted to
the results, and the point with the greatest expected improvement is next. "How Hyperparameter Tuning with Amazon
SageMaker AI Works" describes the strategy; the random first points, the kernel and the candidates are our choice.
"""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from infra.embedded.sagemaker.tuning.space import Point, Space

Array = NDArray[np.float64]
Tried = tuple[Point, float | None]  # to be maximised; None for a job without a value
# (tried points, running points) -> the next point; None if there are no more.
Search = Callable[[Sequence[Tried], Sequence[Point]], Point | None]

_CANDIDATES = 512
_LENGTHS, _NOISES = (0.1, 0.2, 0.4, 0.8, 1.6), (1e-4, 1e-2, 1e-1)


def search(strategy: str, space: Space, seed: str) -> Search:
    """For Grid, Random or Bayesian. The same seed and results give the same points."""
    source = random.Random(seed)
    if strategy == "Grid":
        points = space.grid()
        return lambda tried, trying: next(points, None)
    if strategy == "Random":
        return lambda tried, trying: _random(space, source)
    return lambda tried, trying: _improving(space, source, tried, trying)


def _random(space: Space, source: random.Random) -> Point:
    return space.point([source.random() for _ in space.all])


def _improving(space: Space, source: random.Random, tried: Sequence[Tried], trying: Sequence[Point]) -> Point:
    measured = [value for _, value in tried if value is not None]
    if len(measured) < len(space.all) + 2:
        return _random(space, source)
    # A failed job counts as the worst, a running one as the mean, so that its neighbourhood is not tried again.
    worst, mean = min(measured), math.fsum(value / len(measured) for value in measured)
    known = [(space.features(point), worst if value is None else value) for point, value in tried]
    known += [(space.features(point), mean) for point in trying]
    candidates = [_random(space, source) for _ in range(_CANDIDATES)]
    inside = [(point, value) for point, value in tried if value is not None and space.has(point)]
    if inside:
        best, _ = max(inside, key=lambda one: one[1])
        candidates += [_near(space, best, source) for _ in range(_CANDIDATES // 4)]
    taken = [point for point, _ in tried] + list(trying)
    fresh = [point for point in candidates if point not in taken] or candidates
    features = np.array([space.features(point) for point in fresh])
    expected = _expected_improvement(np.array([place for place, _ in known]), np.array([y for _, y in known]), features)
    return fresh[int(np.argmax(expected))]


def _near(space: Space, best: Point, source: random.Random) -> Point:
    """A point that differs from the best in one hyperparameter: by a little, or in its category."""
    one = source.choice(space.all)
    if one in space.choices:
        return best | {one.name: one.at(source.random())}
    (at,) = one.features(best[one.name])
    return best | {one.name: one.at(min(max(source.gauss(at, 0.1), 0.0), 1.0))}


def _expected_improvement(places: Array, values: Array, candidates: Array) -> Array:
    values = values / max(float(np.abs(values).max()), 1e-300)  # the squares of large values would be infinite
    values = (values - values.mean()) / (float(values.std()) or 1.0)
    fits = [_fit(places, values, length, noise) for length in _LENGTHS for noise in _NOISES]
    _, length, cholesky, weights = max(fits, key=lambda fit: fit[0])
    across = _kernel(candidates, places, length)
    mean = across @ weights
    spread = np.sqrt(np.maximum(1 - (np.linalg.solve(cholesky, across.T) ** 2).sum(axis=0), 1e-12))
    z = (mean - values.max()) / spread
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in z])
    return np.asarray(spread * (z * below + density))


def _fit(places: Array, values: Array, length: float, noise: float) -> tuple[float, float, Array, Array]:
    """The log likelihood, the length, and the Cholesky factor and weights for predictions."""
    cholesky = np.linalg.cholesky(_kernel(places, places, length) + noise * np.eye(len(places)))
    weights = np.linalg.solve(cholesky.T, np.linalg.solve(cholesky, values))
    likelihood = -0.5 * float(values @ weights) - float(np.log(np.diag(cholesky)).sum())
    return likelihood, length, np.asarray(cholesky), np.asarray(weights)


def _kernel(some: Array, others: Array, length: float) -> Array:
    squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None] - 2 * some @ others.T
    r = np.sqrt(5 * np.maximum(squares, 0)) / length
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))
