"""Subjects of footage and regions of foregrounds, drawn in the image editor."""

from contextlib import suppress

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty

from layert2v.errors import SpecError
from layert2v.placement import SHAPES, drawn_placement, placement_text

from ..footage.image_editor import shown_frame
from ..model import active_subject
from .base import PollCheck, PollReasonMixin

_DIRECTIONS = (("UP", "Nearer", ""), ("DOWN", "Farther", ""))


class LAYERT2V_OT_subject_add(bpy.types.Operator):
    bl_idname = "layert2v.subject_add"
    bl_label = "Add Subject"
    bl_description = "One more foreground; the first in the list is the nearest"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        panel = context.scene.layert2v
        panel.subjects.add().frame = max(context.scene.frame_current, 0)
        panel.active_subject = len(panel.subjects) - 1
        return {"FINISHED"}


def check_subject(context: bpy.types.Context) -> str:
    """Return why nothing can be done with the active subject."""
    return "" if active_subject(context.scene) else "Add a subject first"


class LAYERT2V_OT_subject_remove(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.subject_remove"
    bl_label = "Remove Subject"
    bl_description = "Take this subject off the list"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}
    poll_checks = (check_subject,)

    def execute(self, context: bpy.types.Context) -> set[str]:
        panel = context.scene.layert2v
        panel.subjects.remove(panel.active_subject)
        panel.active_subject = max(panel.active_subject - 1, 0)
        return {"FINISHED"}


class LAYERT2V_OT_subject_move(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.subject_move"
    bl_label = "Move Subject"
    bl_description = "Change the order: the first subject is the nearest"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}
    poll_checks = (check_subject,)

    direction: EnumProperty(items=_DIRECTIONS)

    def execute(self, context: bpy.types.Context) -> set[str]:
        panel = context.scene.layert2v
        other = panel.active_subject + (-1 if self.direction == "UP" else 1)
        if not 0 <= other < len(panel.subjects):
            return {"CANCELLED"}
        panel.subjects.move(panel.active_subject, other)
        panel.active_subject = other
        return {"FINISHED"}


class LAYERT2V_OT_clear_points(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.clear_points"
    bl_label = "Clear Points"
    bl_description = "Remove the points of this subject"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}
    poll_checks = (check_subject,)

    def execute(self, context: bpy.types.Context) -> set[str]:
        subject = active_subject(context.scene)
        if subject is not None:
            subject.points.clear()
        return {"FINISHED"}


def check_image(context: bpy.types.Context) -> str:
    """Return why nothing can be drawn here."""
    image = getattr(context.space_data, "image", None)
    return "" if image is not None and image.size[0] else "Show the footage in the image editor"


class _DrawMixin(PollReasonMixin):
    """Follows the mouse in the image editor, in pixels of the image, y down."""

    poll_checks: tuple[PollCheck, ...] = (check_subject, check_image)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context, result: str) -> set[str]:
        context.window.cursor_modal_restore()
        context.area.tag_redraw()
        return {result}


def _place(context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float]:
    x, y = context.region.view2d.region_to_view(event.mouse_region_x, event.mouse_region_y)
    width, height = context.space_data.image.size
    return x * width, (1 - y) * height


class _RectangleMixin(_DrawMixin):
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


class LAYERT2V_OT_draw_box(_RectangleMixin, bpy.types.Operator):
    bl_idname = "layert2v.draw_box"
    bl_label = "Draw Box"
    bl_description = "Drag a rectangle around the subject on the frame that is shown"
    bl_options = {"REGISTER", "UNDO"}

    def _set_corners(
        self, context: bpy.types.Context, start: tuple[float, float], end: tuple[float, float]
    ) -> None:
        subject = active_subject(context.scene)
        if subject is None:
            return
        (left, right), (top, bottom) = (sorted(pair) for pair in zip(start, end, strict=True))
        subject.frame = shown_frame(context)
        subject.box = (left, top, max(right - left, 1), max(bottom - top, 1))
        subject.has_box = True


class LAYERT2V_OT_draw_place(_RectangleMixin, bpy.types.Operator):
    bl_idname = "layert2v.draw_place"
    bl_label = "Draw Place"
    bl_description = "Drag where this foreground is to be; the picture stands for the clip's"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_image,)

    index: IntProperty(min=0)
    shape: EnumProperty(items=[(name, name.capitalize(), "") for name in SHAPES])

    def _set_corners(
        self, context: bpy.types.Context, start: tuple[float, float], end: tuple[float, float]
    ) -> None:
        panel, image = context.scene.layert2v, context.space_data.image
        if self.index >= len(panel.foregrounds):
            return
        foreground = panel.foregrounds[self.index]
        with suppress(SpecError):  # no picture in it: the mouse will move on
            drawn = drawn_placement(self.shape, (start, end), tuple(image.size), foreground.place)
            foreground.place = placement_text(drawn)
            panel.place_image = image


class LAYERT2V_OT_add_point(_DrawMixin, bpy.types.Operator):
    bl_idname = "layert2v.add_point"
    bl_label = "Add Point"
    bl_description = "Click on the subject, or beside it, on the frame that is shown"
    bl_options = {"REGISTER", "UNDO"}

    outside: BoolProperty(name="Beside the Subject")

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            return self._end(context, "CANCELLED")
        subject = active_subject(context.scene)
        if event.type == "LEFTMOUSE" and event.value == "PRESS" and subject is not None:
            point = subject.points.add()
            point.frame, point.place = shown_frame(context), _place(context, event)
            point.outside = self.outside
            return self._end(context, "FINISHED")
        return {"RUNNING_MODAL"}


CLASSES = (
    LAYERT2V_OT_subject_add,
    LAYERT2V_OT_subject_remove,
    LAYERT2V_OT_subject_move,
    LAYERT2V_OT_clear_points,
    LAYERT2V_OT_draw_box,
    LAYERT2V_OT_draw_place,
    LAYERT2V_OT_add_point,
)
