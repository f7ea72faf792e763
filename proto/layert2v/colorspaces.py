"""How two linear color spaces are converted, and how far apart they are, for hosts without one.

Knows the primaries of the spaces that stacks are made in, by interop id; no configuration and no
host.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from types import MappingProxyType
from typing import NamedTuple, Optional

_D65, _ACES = (0.3127, 0.3290), (0.32168, 0.33767)
# x, y of red, green, blue and white.
PRIMARIES = MappingProxyType(
    {
        "lin_rec709_scene": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65),
        "lin_ap1_scene": ((0.713, 0.293), (0.165, 0.830), (0.128, 0.044), _ACES),
        "lin_ap0_scene": ((0.7347, 0.2653), (0.0, 1.0), (0.0001, -0.077), _ACES),
        "lin_rec2020_scene": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
        "lin_p3d65_scene": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    }
)
# Cones of the eye, sharpened, to which whites are adapted (Bradford), as OpenColorIO does it.
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
# The colors that two spaces are compared on: dark, middle and bright, in all combinations.
_LEVELS = (0.02, 0.18, 0.9)

Matrix = tuple[tuple[float, ...], ...]


class NearestSpace(NamedTuple):
    """An offered space, and the largest CIE 1976 color difference of taking it for the other."""

    space: str
    delta_e: float


def find_nearest(space: str, offered: Iterable[str]) -> Optional[NearestSpace]:  # noqa: UP045  3.9
    """Return which of the ``offered`` ids is nearest to ``space``; None where nothing is known."""
    if space not in PRIMARIES:
        return None
    known = [each for each in offered if each in PRIMARIES and each != space]
    found = [NearestSpace(each, color_difference(space, each)) for each in known]
    return min(found, key=lambda each: each.delta_e, default=None)


def color_difference(space: str, taken_as: str) -> float:
    """Return the largest CIE 1976 difference where values of ``space`` are taken as another's.

    Over 27 colors of ``space``; each is seen relative to its own white. 2.3 is just noticeable.
    """
    first, second = _to_relative_xyz(space), _to_relative_xyz(taken_as)
    largest = 0.0
    for color in product(_LEVELS, repeat=3):
        pair = zip(_lab(_apply(first, color)), _lab(_apply(second, color)))
        largest = max(largest, sum((a - b) ** 2 for a, b in pair) ** 0.5)
    return largest


def conversion_matrix(space: str, target: str) -> Matrix:
    """Return the rows of the 3 x 3 matrix from linear light of ``space`` to that of ``target``.

    Whites are adapted. Both must be in ``PRIMARIES``.
    """
    to_cones = _product(_BRADFORD, _to_xyz(space))
    white = tuple(map(sum, to_cones))
    target_to_cones = _product(_BRADFORD, _to_xyz(target))
    target_white = tuple(map(sum, target_to_cones))
    adapted = tuple(
        tuple(value * target_white[row] / white[row] for value in to_cones[row]) for row in range(3)
    )
    columns = [_solve(target_to_cones, tuple(row[k] for row in adapted)) for k in range(3)]
    return tuple(tuple(column[row] for column in columns) for row in range(3))


def _to_xyz(space: str) -> Matrix:
    """Return the matrix to CIE XYZ, in which white has Y 1."""
    *_, (white_x, white_y) = PRIMARIES[space]
    white = (white_x / white_y, 1.0, (1.0 - white_x - white_y) / white_y)
    relative = _to_relative_xyz(space)
    return tuple(tuple(value * white[row] for value in relative[row]) for row in range(3))


def _product(first: Matrix, second: Matrix) -> Matrix:
    return tuple(
        tuple(sum(row[k] * second[k][column] for k in range(3)) for column in range(3))
        for row in first
    )


def _to_relative_xyz(space: str) -> Matrix:
    """Return the matrix to CIE XYZ, each divided by that of the space's white."""
    *colors, (white_x, white_y) = PRIMARIES[space]
    xyz = [(x, y, 1.0 - x - y) for x, y in colors]
    white = (white_x / white_y, 1.0, (1.0 - white_x - white_y) / white_y)
    columns: Matrix = tuple(tuple(each[row] for each in xyz) for row in range(3))
    scale = _solve(columns, white)
    return tuple(
        tuple(columns[row][k] * scale[k] / white[row] for k in range(3)) for row in range(3)
    )


def _apply(matrix: Matrix, color: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(row[k] * color[k] for k in range(3)) for row in matrix)


def _solve(matrix: Matrix, target: tuple[float, ...]) -> tuple[float, ...]:
    """Return the solution of three linear equations, by Cramer's rule."""
    whole = _determinant(matrix)

    def replace_column(column: int) -> Matrix:
        return tuple(
            tuple(target[row] if k == column else matrix[row][k] for k in range(3))
            for row in range(3)
        )

    return tuple(_determinant(replace_column(column)) / whole for column in range(3))


def _determinant(matrix: Matrix) -> float:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _lab(relative_xyz: tuple[float, ...]) -> tuple[float, float, float]:
    """Return CIE L*a*b* of X, Y, Z that are relative to white (CIE 15)."""

    def root(value: float) -> float:
        if value > (6 / 29) ** 3:
            return float(value ** (1 / 3))
        return value / (3 * (6 / 29) ** 2) + 4 / 29

    x, y, z = (root(each) for each in relative_xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
