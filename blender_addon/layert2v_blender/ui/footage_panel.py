"""The panel about footage: below the others in every sidebar, and alone in the image editor."""

from typing import Any

import bpy

from ..model import RENDERED_FOOTAGE, active_layer, active_stack, active_subject
from ..requests import request_manager
from .hint_drawing import draw_hints
from .panels import SPACES, draw_request, is_compositor

_LISTED_LAYERS = 5  # others are scrolled to
_KIND_FIELDS = {"IMAGE": "footage_image", "CLIP": "footage_clip"}


class LAYERT2V_UL_subjects(bpy.types.UIList):
    def draw_item(
        self, _context: Any, layout: Any, _data: Any, item: Any, _icon: Any, _from: Any, _name: Any
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False, placeholder="what is salient")
        if item.has_box:
            row.label(text="", icon="SELECT_SET")
        if item.points:
            row.label(text=str(len(item.points)), icon="PIVOT_CURSOR")
        if item.mask is not None:
            row.label(text="", icon="MOD_MASK")


class _FootagePanel:
    """The footage, its subjects with their hints, and the Decompose button."""

    bl_label = "Layers of Footage"
    layout: Any

    def draw(self, context: bpy.types.Context) -> None:
        panel, layout = context.scene.layert2v, self.layout
        column = layout.column()
        column.prop(panel, "footage_kind", text="")
        field = _KIND_FIELDS.get(panel.footage_kind)
        if field is not None:
            column.template_ID(
                panel, field, open="image.open" if field == "footage_image" else "clip.open"
            )
        _draw_subjects(layout, context)
        _draw_range(layout, panel)
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("layert2v.decompose", icon="RENDERLAYERS")
        row.prop(panel, "target", text="", icon_only=True)
        if context.area.type == "IMAGE_EDITOR":
            for request in request_manager.scene_requests(context.scene):
                draw_request(layout.box(), request)
        elif active_layer(context.scene) is not None:
            box = layout.column(align=True)
            box.label(text="Refine the chosen foreground")
            box.operator("layert2v.refine_files", text="Images", icon="FILE_IMAGE")
            row = box.row(align=True)
            row.prop(panel, "refine_mask", text="")
            row.operator("layert2v.refine_mask", text="Mask", icon="MOD_MASK")


class LAYERT2V_PT_places(bpy.types.Panel):
    """Where the foregrounds of the prompt are to be, drawn over any picture."""

    bl_label = "Places of Foregrounds"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "LayerT2V"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(context.scene.layert2v.foregrounds) > 0

    def draw(self, context: bpy.types.Context) -> None:
        for index, foreground in enumerate(context.scene.layert2v.foregrounds):
            column = self.layout.column(align=True)
            column.label(text=foreground.prompt or f"Foreground {index + 1}")
            column.prop(foreground, "place", text="")
            row = column.row(align=True)
            for shape, icon in (("box", "SELECT_SET"), ("ellipse", "MESH_CIRCLE")):
                button = row.operator("layert2v.draw_place", text=shape.capitalize(), icon=icon)
                button.index, button.shape = index, shape


class LAYERT2V_PT_correct(bpy.types.Panel):
    """Points that correct a foreground of the active stack, set on its pictures."""

    bl_label = "Correct a Foreground"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "LayerT2V"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return active_layer(context.scene) is not None

    def draw(self, context: bpy.types.Context) -> None:
        stack, layer = active_stack(context.scene), active_layer(context.scene)
        if stack is None or layer is None:
            return
        column = self.layout.column(align=True)
        column.label(text=stack.name)
        rows = min(len(stack.layers), _LISTED_LAYERS)
        column.template_list(
            "UI_UL_list", "layert2v_correct", stack, "layers", stack, "active_layer", rows=rows
        )
        row = column.row(align=True)
        for picture, text in (("LAYER", "Layer"), ("FOOTAGE", "Footage")):
            row.operator("layert2v.show_picture", text=text, icon="IMAGE_DATA").picture = picture
        row = column.row(align=True)
        row.operator("layert2v.correction_add", text="On It", icon="ADD").outside = False
        row.operator("layert2v.correction_add", text="Beside", icon="REMOVE").outside = True
        row.operator("layert2v.correction_clear", text="", icon="X")
        points = len(layer.corrections)
        text = f"Refine {layer.name} with {points} point{'s' * (points != 1)}"
        column.operator("layert2v.refine_points", text=text, icon="PIVOT_CURSOR")


def _draw_subjects(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    panel = context.scene.layert2v
    layout.label(text="Subjects, the nearest first")
    row = layout.row()
    row.template_list(
        "LAYERT2V_UL_subjects", "", panel, "subjects", panel, "active_subject", rows=3
    )
    column = row.column(align=True)
    column.operator("layert2v.subject_add", text="", icon="ADD")
    column.operator("layert2v.subject_remove", text="", icon="REMOVE")
    column.operator("layert2v.subject_move", text="", icon="TRIA_UP").direction = "UP"
    column.operator("layert2v.subject_move", text="", icon="TRIA_DOWN").direction = "DOWN"
    subject = active_subject(context.scene)
    if subject is None:
        return
    column = layout.column(align=True)
    if context.area.type == "IMAGE_EDITOR":
        row = column.row(align=True)
        row.operator("layert2v.draw_box", text="Box", icon="SELECT_SET")
        row.operator("layert2v.add_point", text="On It", icon="ADD").outside = False
        row.operator("layert2v.add_point", text="Beside", icon="REMOVE").outside = True
        row.operator("layert2v.clear_points", text="", icon="X")
    column.prop(subject, "frame")
    column.prop(subject, "has_box")
    if subject.has_box:
        for index, text in enumerate(("X", "Y", "Width", "Height")):
            column.prop(subject, "box", index=index, text=text)
    column.prop(subject, "mask", text="")
    if subject.mask is not None:
        column.prop(subject, "mask_all")


def _draw_range(layout: bpy.types.UILayout, panel: Any) -> None:
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(panel, "footage_range")
    if panel.footage_range:
        column.prop(panel, "footage_first")
        column.prop(panel, "footage_last")
        column.prop(panel, "footage_handles")
    column.prop(panel, "footage_split")
    column.prop(panel, "footage_ignore_cuts")
    column.prop(panel, "footage_scale")
    if panel.footage_kind not in RENDERED_FOOTAGE:
        for name in ("footage_matrix", "footage_color_range", "footage_deinterlace"):
            column.prop(panel, name)


def _make_classes() -> list[type]:
    classes: list[type] = [LAYERT2V_UL_subjects, LAYERT2V_PT_places, LAYERT2V_PT_correct]
    for space, suffix in (*SPACES, ("IMAGE_EDITOR", "image")):
        body: dict[str, Any] = {
            "bl_space_type": space,
            "bl_region_type": "UI",
            "bl_category": "LayerT2V",
        }
        if space != "IMAGE_EDITOR":
            body["bl_parent_id"] = f"LAYERT2V_PT_main_{suffix}"
            body["bl_options"] = {"DEFAULT_CLOSED"}
        if space == "NODE_EDITOR":
            body["poll"] = classmethod(is_compositor)
        classes.append(
            type(f"LAYERT2V_PT_footage_{suffix}", (_FootagePanel, bpy.types.Panel), body)
        )
    return classes


_registered: list[type] = []
_drawing: list[Any] = []


def register() -> None:
    _registered[:] = _make_classes()
    for panel in _registered:
        bpy.utils.register_class(panel)
    space = bpy.types.SpaceImageEditor
    _drawing.append(space.draw_handler_add(draw_hints, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    while _drawing:
        bpy.types.SpaceImageEditor.draw_handler_remove(_drawing.pop(), "WINDOW")
    for panel in reversed(_registered):
        bpy.utils.unregister_class(panel)
    _registered.clear()
