"""Boxes and points of footage, and places of foregrounds, drawn in the image editor."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from layert2v.errors import SpecError
from layert2v.placement import parse_placement, placement_outline

from ..footage.image_editor import shown_frame
from ..model import LAYERT2V_Subject

_COLOR = (1.0, 0.6, 0.1, 1.0)
_PLACE_COLOR = (0.2, 0.8, 1.0, 1.0)


def draw_hints() -> None:
    """Draw boxes and points of the shown frame over the image in the image editor."""
    context = bpy.context
    image = getattr(context.space_data, "image", None)
    panel = getattr(context.scene, "layert2v", None)
    if image is None or panel is None or not image.size[0]:
        return
    if image == panel.place_image:
        _draw_places(panel, context.region.view2d)
    if image != panel.footage_image:
        return
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    frame = shown_frame(context)
    for subject in panel.subjects:
        for lines in _hint_lines(subject, frame, context.region.view2d, image.size):
            shader.uniform_float("color", _COLOR)
            batch_for_shader(shader, "LINES", {"pos": lines}).draw(shader)


def _draw_places(panel: Any, view: Any) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("color", _PLACE_COLOR)
    for foreground in panel.foregrounds:
        with suppress(SpecError):  # empty, or half written
            outline = placement_outline(parse_placement(foreground.place))
            ends = [view.view_to_region(x, 1 - y, clip=False) for x, y in outline]
            batch_for_shader(shader, "LINE_LOOP", {"pos": ends}).draw(shader)


def _hint_lines(
    subject: LAYERT2V_Subject, frame: int, view: Any, size: tuple[int, int]
) -> list[list[tuple[float, float]]]:
    def to_region(x: float, y: float) -> tuple[float, float]:
        place = view.view_to_region(x / size[0], 1 - y / size[1], clip=False)
        return float(place[0]), float(place[1])

    found = []
    if subject.has_box and subject.frame == frame:
        x, y, width, height = subject.box
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        ends = [to_region(*corner) for corner in corners]
        found.append([ends[k % 4] for pair in range(4) for k in (pair, pair + 1)])
    for point in subject.points:
        if point.frame == frame:
            x, y = to_region(*point.place)
            arm = 3.0 if point.outside else 7.0
            found.append([(x - arm, y), (x + arm, y), (x, y - arm), (x, y + arm)])
    return found
