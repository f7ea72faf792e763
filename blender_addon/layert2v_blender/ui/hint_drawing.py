"""Boxes, points and corrections, and places of foregrounds, drawn in the image editor."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from layert2v.errors import SpecError
from layert2v.placement import parse_placement, placement_outline

from ..footage.image_editor import shown_frame
from ..model import active_layer, active_stack
from ..views.images import shows_stack

_COLOR = (1.0, 0.6, 0.1, 1.0)
_PLACE_COLOR = (0.2, 0.8, 1.0, 1.0)
_INSIDE_COLOR, _OUTSIDE_COLOR = (0.3, 1.0, 0.4, 1.0), (1.0, 0.3, 0.3, 1.0)  # of corrections
_INSIDE_ARM, _OUTSIDE_ARM = 7.0, 3.0  # of a cross, pixels of the screen
_Line = list[tuple[float, float]]


def draw_hints() -> None:
    """Draw boxes and points of the shown frame over the image in the image editor."""
    context = bpy.context
    image = getattr(context.space_data, "image", None)
    panel = getattr(context.scene, "layert2v", None)
    if image is None or panel is None or not image.size[0]:
        return
    view = context.region.view2d
    if image == panel.place_image:
        _draw_places(panel, view)
    frame = shown_frame(context)
    if image == panel.footage_image:
        for subject in panel.subjects:
            _draw_lines(_COLOR, _box_lines(subject, frame, view, image.size))
            _draw_lines(_COLOR, _point_lines(subject.points, frame, view, image.size))
    stack, layer = active_stack(context.scene), active_layer(context.scene)
    if stack is not None and layer is not None and shows_stack(image, stack.uid):
        size = stack.width, stack.height
        for color, outside in ((_INSIDE_COLOR, False), (_OUTSIDE_COLOR, True)):
            points = [point for point in layer.corrections if point.outside == outside]
            _draw_lines(color, _point_lines(points, frame, view, size))


def _draw_places(panel: Any, view: Any) -> None:
    for foreground in panel.foregrounds:
        with suppress(SpecError):  # empty, or half written
            outline = placement_outline(parse_placement(foreground.place))
            ends = [view.view_to_region(x, 1 - y, clip=False) for x, y in outline]
            _draw_lines(_PLACE_COLOR, [ends], "LINE_LOOP")


def _draw_lines(color: tuple[float, ...], lines: Iterable[_Line], kind: str = "LINES") -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("color", color)
    for line in lines:
        batch_for_shader(shader, kind, {"pos": line}).draw(shader)


def _box_lines(subject: Any, frame: int, view: Any, size: Any) -> list[_Line]:
    """Return the sides of a subject's box, if it has one on this frame of a picture of ``size``."""
    if not subject.has_box or subject.frame != frame:
        return []
    x, y, width, height = subject.box
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    ends = [_to_region(view, corner, size) for corner in corners]
    return [[ends[k % 4] for pair in range(4) for k in (pair, pair + 1)]]


def _point_lines(points: Iterable[Any], frame: int, view: Any, size: Any) -> list[_Line]:
    """Return a cross for each point on this frame of a picture of ``size``."""
    lines = []
    for point in points:
        if point.frame == frame:
            x, y = _to_region(view, point.place, size)
            arm = _OUTSIDE_ARM if point.outside else _INSIDE_ARM
            lines.append([(x - arm, y), (x + arm, y), (x, y - arm), (x, y + arm)])
    return lines


def _to_region(view: Any, place: Any, size: Any) -> tuple[float, float]:
    x, y = view.view_to_region(place[0] / size[0], 1 - place[1] / size[1], clip=False)
    return float(x), float(y)
