"""Subjects of footage and regions of foregrounds, drawn in the image editor."""

from contextlib import suppress

import bpy
from bpy.props import EnumProperty, IntProperty

from layert2v.errors import SpecError
from layert2v.placement import SHAPES, drawn_placement, placement_text

from ..footage.image_editor import shown_frame
from ..model import active_subject
from .base import PollReasonMixin
from .drawing import PointMixin, RectangleMixin, add_point, check_image

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


class LAYERT2V_OT_draw_box(RectangleMixin, bpy.types.Operator):
    bl_idname = "layert2v.draw_box"
    bl_label = "Draw Box"
    bl_description = "Drag a rectangle around the subject on the frame that is shown"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_subject, check_image)

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


class LAYERT2V_OT_draw_place(RectangleMixin, bpy.types.Operator):
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


class LAYERT2V_OT_add_point(PointMixin, bpy.types.Operator):
    bl_idname = "layert2v.add_point"
    bl_label = "Add Point"
    bl_description = "Click on the subject, or beside it, on the frame that is shown"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_subject, check_image)

    def add(self, context: bpy.types.Context, share: tuple[float, float]) -> None:
        subject = active_subject(context.scene)
        if subject is not None:
            size = context.space_data.image.size
            add_point(subject.points, shown_frame(context), share, size, outside=self.outside)


CLASSES = (
    LAYERT2V_OT_subject_add,
    LAYERT2V_OT_subject_remove,
    LAYERT2V_OT_subject_move,
    LAYERT2V_OT_clear_points,
    LAYERT2V_OT_draw_box,
    LAYERT2V_OT_draw_place,
    LAYERT2V_OT_add_point,
)
