"""What operators draw with the mouse in the image editor: rectangles and points."""

from typing import Any

import bpy
from bpy.props import BoolProperty

from .base import PollReasonMixin


def check_image(context: bpy.types.Context) -> str:
    """Return why nothing can be drawn here."""
    image = getattr(context.space_data, "image", None)
    return "" if image is not None and image.size[0] else "Show the footage in the image editor"


class _DrawMixin(PollReasonMixin):
    """Follows the mouse in the image editor until it ends."""

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context, result: str) -> set[str]:
        context.window.cursor_modal_restore()
        context.area.tag_redraw()
        return {result}


def _share(context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float]:
    """Return where the mouse is, as shares of the picture's sides from its upper left corner."""
    x, y = context.region.view2d.region_to_view(event.mouse_region_x, event.mouse_region_y)
    return x, 1 - y


def _place(context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float]:
    """Return where the mouse is in pixels of the image, y down."""
    (x, y), (width, height) = _share(context, event), context.space_data.image.size
    return x * width, y * height


class RectangleMixin(_DrawMixin):
    """Follows a drag from one corner of a rectangle to the other."""

    _start: tuple[float, float] | None = None

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            return self._end(context, "CANCELLED")
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            self._start = _place(context, event)
        elif event.type == "MOUSEMOVE" and self._start is not None:
            self._set(context, event)
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE" and self._start is not None:
            self._set(context, event)
            return self._end(context, "FINISHED")
        return {"RUNNING_MODAL"}

    def _set(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        if self._start is not None:
            self._set_corners(context, self._start, _place(context, event))
            context.area.tag_redraw()

    def _set_corners(
        self, context: bpy.types.Context, start: tuple[float, float], end: tuple[float, float]
    ) -> None:
        raise NotImplementedError


class PointMixin(_DrawMixin):
    """Waits for a click, and adds a point there."""

    outside: BoolProperty(name="Beside the Subject")

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            return self._end(context, "CANCELLED")
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            self.add(context, _share(context, event))
            return self._end(context, "FINISHED")
        return {"RUNNING_MODAL"}

    def add(self, context: bpy.types.Context, share: tuple[float, float]) -> None:
        """Add a point at shares of the picture's sides, from its upper left corner."""
        raise NotImplementedError


def add_point(
    points: Any, frame: int, share: tuple[float, float], size: Any, *, outside: bool
) -> None:
    """Add a point of a picture of ``size``, which lies at shares of its sides, to a collection."""
    point = points.add()
    point.frame, point.outside = frame, outside
    point.place = share[0] * size[0], share[1] * size[1]
