"""Where in the picture a foreground is to be: a box or an ellipse, as a hint and not as a mask.

Knows numbers and how people write them, not what a model does with them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from layert2v.errors import SpecError

SHAPES = ("box", "ellipse")
MAX_STRENGTH = 4.0
EXAMPLE = "ellipse 0.1 0.3 0.4 0.6"

_TEXT = re.compile(r"(?:([1-9]\d?):)?(box|ellipse)((?:[\s,]+[0-9.]+){4})(?:\s*[*x]\s*([0-9.]+))?")


@dataclass(frozen=True)
class Placement:
    """A region for one foreground, in shares of the picture's width and height from the top left.

    ``foreground`` counts from 1, bottom to top. ``strength`` is how far the noise that the matte is
    drawn from is moved towards the region: 0 is not at all, 1 as measured to work.
    """

    foreground: int
    shape: str
    x: float
    y: float
    width: float
    height: float
    strength: float = 1.0

    @property
    def problem(self) -> str:
        """What is wrong with it, as a sentence; empty where nothing is."""
        if self.shape not in SHAPES:
            return f"The shape must be one of: {', '.join(SHAPES)}."
        numbers = (self.x, self.y, self.width, self.height, self.strength)
        if not all(math.isfinite(number) for number in numbers):
            return "Every number must be finite."
        if not (self.width > 0 and self.height > 0 and self.x >= 0 and self.y >= 0):
            return "Left and top must be 0 or more, width and height above 0."
        if self.x + self.width > 1.0001 or self.y + self.height > 1.0001:
            return "The region must lie in the picture: numbers are shares of it, from 0 to 1."
        if not 0 <= self.strength <= MAX_STRENGTH:
            return f"The strength must be between 0 and {MAX_STRENGTH:g}."
        return ""


def parse_placement(text: str, foreground: int = 1) -> Placement:
    """Read ``ellipse 0.1 0.3 0.4 0.6``: the shape, left, top, width and height in shares.

    ``2:`` before it names the foreground, in place of ``foreground``; ``* 0.5`` after it is the
    strength. Raises ``SpecError`` with a sentence for anything else.
    """
    found = _TEXT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        x, y, width, height = (float(each) for each in re.split(r"[\s,]+", found[3].strip(" ,")))
        strength = float(found[4] or 1)
    except ValueError:
        message = f"{text[:80]!r} is no region. Write for example {EXAMPLE}."
        raise SpecError("FIELD_VALUE", message) from None
    placement = Placement(int(found[1] or foreground), found[2], x, y, width, height, strength)
    if placement.problem:
        raise SpecError("FIELD_VALUE", placement.problem)
    return placement


def drawn_placement(
    shape: str,
    corners: tuple[tuple[float, float], tuple[float, float]],
    size: tuple[float, float],
    before: str = "",
) -> Placement:
    """Return the region that was drawn from one corner to another over a picture.

    corners: of the region, x from the left and y from the top, in any order. size: width and height
    of the picture in the same units. before: the region that it replaces, which gives its strength.
    Raises ``SpecError`` where nothing of the picture is in it.
    """
    (left, right), (top, bottom) = (
        sorted(min(max(corner[axis] / size[axis], 0.0), 1.0) for corner in corners)
        for axis in (0, 1)
    )
    try:
        strength = parse_placement(before).strength
    except SpecError:
        strength = 1.0
    x, y, width, height = (round(each, 3) for each in (left, top, right - left, bottom - top))
    placement = Placement(1, shape, x, y, width, height, strength)
    if placement.problem:
        raise SpecError("FIELD_VALUE", placement.problem)
    return placement


def placement_outline(placement: Placement) -> list[tuple[float, float]]:
    """Return the corners of a box or 32 places on an ellipse, x and y in shares of the picture."""
    half_w, half_h = placement.width / 2, placement.height / 2
    x, y = placement.x + half_w, placement.y + half_h
    if placement.shape == "box":
        return [(x + a * half_w, y + b * half_h) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    turns = (2 * math.pi * k / 32 for k in range(32))
    return [(x + half_w * math.cos(turn), y + half_h * math.sin(turn)) for turn in turns]


def placement_text(placement: Placement) -> str:
    """Return a placement as ``parse_placement`` reads it, without its foreground."""
    numbers = (placement.x, placement.y, placement.width, placement.height)
    text = f"{placement.shape} {' '.join(f'{number:g}' for number in numbers)}"
    return text if placement.strength == 1 else f"{text} * {placement.strength:g}"
