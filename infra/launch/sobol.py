"""Sobol points: they fill a cube more evenly than random ones, and the first n stay when more are drawn.

Direction numbers by S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM
J. Sci. Comput. 30, 2635-2654 (2008).
"""

import numpy as np
import numpy.typing as npt

from ahx.errors import InputError

# For each dimension after the first: the primitive polynomial's inner coefficients, and the first direction numbers.
_DIRECTIONS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0, (1,)),
    (1, (1, 3)),
    (1, (1, 3, 1)),
    (2, (1, 1, 1)),
    (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)),
    (2, (1, 1, 5, 5, 17)),
    (4, (1, 1, 5, 5, 5)),
    (7, (1, 1, 7, 11, 19)),
    (11, (1, 1, 5, 1, 1)),
    (13, (1, 1, 1, 3, 11)),
    (14, (1, 3, 5, 5, 31)),
    (1, (1, 3, 3, 9, 7, 49)),
    (13, (1, 1, 1, 15, 21, 21)),
    (16, (1, 3, 1, 13, 27, 49)),
)
MOST_DIMENSIONS = len(_DIRECTIONS) + 1
_BITS = 30


def sobol(n: int, dimensions: int) -> npt.NDArray[np.float64]:
    """The first `n` points, shape (n, dimensions), in (0, 1). Raises InputError for too many dimensions.

    Each is in the middle of its cell of the finest grid that 30 bits give, so none lies on the border.
    """
    if dimensions > MOST_DIMENSIONS:
        raise InputError(f"Sobol points have at most {MOST_DIMENSIONS} dimensions (got {dimensions}); use random ones")
    points = np.zeros((n, dimensions), dtype=np.int64)
    for dimension in range(dimensions):
        direction = _direction(dimension)
        for i in range(1, n):
            lowest_zero = (~(i - 1) & i).bit_length() - 1  # Gray code order: one direction changes at each step
            points[i, dimension] = points[i - 1, dimension] ^ direction[lowest_zero]
    return (points.astype(np.float64) + 0.5) * 2.0**-_BITS


def _direction(dimension: int) -> list[int]:
    """The direction numbers of a dimension, as fractions of 2^30."""
    if dimension == 0:
        return [1 << (_BITS - 1 - bit) for bit in range(_BITS)]
    polynomial, first = _DIRECTIONS[dimension - 1]
    degree = len(first)
    numbers = [m << (_BITS - 1 - bit) for bit, m in enumerate(first)]
    for bit in range(degree, _BITS):
        number = numbers[bit - degree] ^ (numbers[bit - degree] >> degree)
        for k in range(1, degree):
            if polynomial >> (degree - 1 - k) & 1:
                number ^= numbers[bit - k]
        numbers.append(number)
    return numbers
