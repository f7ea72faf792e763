"""The panel LayerT2V in the sidebars of the compositor, the sequencer and the 3D view."""

from __future__ import annotations

from typing import Any

import bpy

from layert2v.labels import LABELS

from .. import colorspaces, model_cache, preview_icons, specs, status_text, versions
from ..job_request import Request
from ..model import active_layer, active_stack
from ..requests import request_manager
from ..settings import ADDON, offline_reason
from ..views import strips
from .widgets import draw_account, draw_connection, draw_paragraph

SPACES = (("NODE_EDITOR", "node"), ("SEQUENCE_EDITOR", "sequence"), ("VIEW_3D", "view"))
ROLE_ICONS = {
    "background": "IMAGE_BACKGROUND",
    "foreground": "IMAGE_RGB_ALPHA",
    "shadow": "SHADING_RENDERED",
}


class _Sidebar:
    layout: Any  # what Blender gives a panel to draw on


class Main(_Sidebar):
    """Prompts, settings, the Generate button, and the scene's requests."""

    bl_label = "LayerT2V"

    def draw(self, context: bpy.types.Context) -> None:
        scene, layout = context.scene, self.layout
        _draw_prompts(layout, scene.layert2v)
        _draw_settings(layout, scene)
        if not model_cache.models() or offline_reason() or _is_disconnected():
            draw_connection(layout.box())
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("layert2v.generate", icon="RENDER_ANIMATION")
        row.prop(scene.layert2v, "target", text="", icon_only=True)
        for request in request_manager.scene_requests(scene):
            draw_request(layout.box(), request)

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        operator = self.layout.operator(
            "preferences.addon_show", text="", icon="PREFERENCES", emboss=False
        )
        operator.module = ADDON


def _is_disconnected() -> bool:
    status = request_manager.server_status
    return status is not None and not hasattr(status, "models")


def _draw_prompts(layout: bpy.types.UILayout, panel: Any) -> None:
    column = layout.column(align=True)
    _draw_prompt(column, panel, "prompt", LABELS["prompt"].text, "OUTLINER_OB_CAMERA")
    label = LABELS["background_prompt"].text
    _draw_prompt(column, panel, "background", label, "IMAGE_BACKGROUND")
    for index, foreground in enumerate(panel.foregrounds):
        row = column.row(align=True)
        label = f"{LABELS['foreground_prompt'].text} {index + 1}"
        _draw_prompt(row, foreground, "prompt", label, "IMAGE_RGB_ALPHA")
        row.operator("layert2v.foreground_remove", text="", icon="X").index = index
        _draw_prompt(column, foreground, "place", LABELS["placement"].text, "PIVOT_BOUNDBOX")
    column.operator("layert2v.foreground_add", icon="ADD")


def _draw_prompt(layout: bpy.types.UILayout, owner: Any, name: str, label: str, icon: str) -> None:
    layout.prop(owner, name, text="", placeholder=label, icon=icon)


def _draw_settings(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    panel = scene.layert2v
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(panel, "model")
    model = model_cache.selected_model(scene)
    if model is not None and model.presets:
        column.operator_menu_enum("layert2v.use_preset", "preset", icon="PRESET")
    column.prop(panel, "size_from_scene")
    if not panel.size_from_scene:
        row = column.row(align=True)
        row.prop(panel, "width", text="Size")
        row.prop(panel, "height", text="")
    column.prop(panel, "frames")
    if model is not None:
        size = specs.output_size(scene, model).text
        draw_paragraph(column, f"{LABELS['output_size'].text}: {size}", "INFO")
    column.prop(panel, "seed", placeholder="a new one")
    column.prop(panel, "own_sampling", text="Steps, Guidance")
    if panel.own_sampling:
        column.prop(panel, "steps")
        column.prop(panel, "guidance")


def draw_request(box: bpy.types.UILayout, request: Request) -> None:
    """Draw how a request is doing, or how it ended."""
    row = box.row()
    row.label(text=request.title, icon="RENDER_ANIMATION")
    if request.is_open and not request.disconnected_reason:
        row.operator("layert2v.cancel", text="", icon="CANCEL").request_id = request.id
        update = request.last_update
        factor, text = status_text.progress_factor(update), status_text.progress_text(update)
        box.progress(factor=factor, text=text)
        icon = preview_icons.icon_id(request.id)
        if icon:
            box.template_icon(icon, scale=6.0)
        return
    row.operator("layert2v.dismiss", text="", icon="X").request_id = request.id
    reason = request.disconnected_reason or request.import_error or request.note
    text = reason or status_text.end_text(request.end)
    draw_paragraph(box, text, "ERROR" if request.has_failed else "INFO")
    if request.has_failed and not request.import_error:
        box.operator("layert2v.ask_again", icon="FILE_REFRESH").request_id = request.id
        if request.may_show_nearest:
            text = LABELS["nearest"].text
            button = box.operator("layert2v.ask_again", text=text, icon="VIEWZOOM")
            button.request_id, button.nearest = request.id, True


class More(_Sidebar):
    """Settings that are rarely changed."""

    bl_label = "More"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column, panel = self.layout.column(), context.scene.layert2v
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(panel, "negative")
        column.prop(panel, "nearest")
        column.prop(panel, "colorspace")
        column.prop(panel, "compression")
        column.prop(panel, "folder")
        column.prop(panel, "target")
        column.prop(panel, "priority")
        draw_account(column)


class Layers(_Sidebar):
    """The active stack with its layers."""

    bl_label = "Layers"

    def draw(self, context: bpy.types.Context) -> None:
        scene, layout = context.scene, self.layout
        panel, stack = scene.layert2v, active_stack(scene)
        row = layout.row()
        row.template_list(
            "UI_UL_list", "layert2v_stacks", panel, "stacks", panel, "active_stack", rows=2
        )
        column = row.column(align=True)
        column.operator("layert2v.import_stack", text="", icon="FILE_FOLDER")
        column.operator("layert2v.forget_stack", text="", icon="REMOVE")
        if stack is None:
            return
        if stack.problem:
            draw_paragraph(layout, stack.problem, "ERROR")
        if stack.warning:
            draw_paragraph(layout, stack.warning, "INFO")
        _draw_nearest_colorspace(layout, stack)
        _draw_layer_list(layout, stack)
        layer = active_layer(scene)
        if layer is not None:
            _draw_layer(layout, layer)
        layout.operator("layert2v.match_lighting", icon="LIGHT_SUN")
        layout.prop(stack, "first_frame")
        _draw_open_in(layout, context)


def _draw_nearest_colorspace(layout: Any, stack: Any) -> None:
    """Offer the nearest space where Blender lacks that of the stack, with its error."""
    offer = colorspaces.current_offer(is_drawing=True)
    converted = colorspaces.describe_conversion(stack.colorspace, offer)
    if converted:
        draw_paragraph(layout, converted, "COLOR")
    nearest = colorspaces.describe_nearest(stack.colorspace, offer)
    if nearest:
        start = "Strips are not converted" if converted else f"{stack.colorspace} is not offered"
        draw_paragraph(layout, f"{start}; nearest: {nearest}", "COLOR")
        layout.prop(stack, "nearest_colorspace")


def _draw_layer_list(layout: bpy.types.UILayout, stack: Any) -> None:
    row = layout.row()
    row.template_list(
        "LAYERT2V_UL_layers", "", stack, "layers", stack, "active_layer", rows=len(stack.layers)
    )
    column = row.column(align=True)
    column.operator("layert2v.layer_add", text="", icon="ADD")
    column.operator("layert2v.layer_remove", text="", icon="REMOVE")
    column.operator("layert2v.layer_move", text="", icon="TRIA_UP").direction = "UP"
    column.operator("layert2v.layer_move", text="", icon="TRIA_DOWN").direction = "DOWN"


def _draw_layer(layout: bpy.types.UILayout, layer: Any) -> None:
    column = layout.column(align=True)
    column.prop(layer, "prompt", text="", placeholder="Prompt of this layer")
    row = column.row(align=True)
    row.prop(layer, "seed", text="", placeholder="new seed")
    row.prop(layer, "strength")
    column.operator(
        "layert2v.rerender", text=f"{LABELS['rerender'].text} {layer.name}", icon="FILE_REFRESH"
    )


def _draw_open_in(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    layout.label(text="Open in")
    row = layout.row(align=True)
    row.operator("layert2v.open_compositor", icon="NODE_COMPOSITING")
    row.operator("layert2v.open_planes", icon="VIEW3D")
    row.operator("layert2v.open_strips", icon="SEQUENCE")
    if context.area.type == "NODE_EDITOR":
        layout.operator("layert2v.render_comp", icon="OUTPUT")
    scene = versions.sequencer_scene(context)
    if context.area.type == "SEQUENCE_EDITOR" and not strips.is_linear(scene):
        box = layout.box()
        draw_paragraph(box, "The sequencer blends in sRGB: layers look different here", "INFO")
        box.operator("layert2v.blend_linear")


class Plates(_Sidebar):
    """The artist's own pictures as a layer."""

    bl_label = "Own Pictures as a Layer"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        column.operator("layert2v.plate_files", text="Images", icon="FILE_IMAGE")
        for name, text, icon in (
            ("layert2v.plate_render", "Render", "RENDER_ANIMATION"),
            ("layert2v.plate_compositor", "Compositor", "NODE_COMPOSITING"),
        ):
            row = column.row(align=True)
            for use, label in (("BACKGROUND", f"{text} as Background"), ("FOREGROUND", "On Top")):
                row.operator(
                    name, text=label, icon=icon if use == "BACKGROUND" else "NONE"
                ).use = use


class History(_Sidebar):
    """The states of the active stack."""

    bl_label = "History"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        stack, layout = active_stack(context.scene), self.layout
        if stack is None:
            return
        layout.template_list(
            "LAYERT2V_UL_history", "", stack, "history", stack, "active_state", rows=3
        )
        if 0 <= stack.active_state < len(stack.history):
            state = stack.history[stack.active_state]
            draw_paragraph(layout, " ".join(filter(None, (state.created, state.note))))
        if stack.understood:
            draw_paragraph(layout, f"Understood as: {stack.understood}")
        row = layout.row(align=True)
        row.operator("layert2v.use_settings", text="Use These Settings Again", icon="COPYDOWN")
        row.operator("layert2v.open_state", text="", icon="LOOP_BACK")


class LAYERT2V_UL_layers(bpy.types.UIList):
    def draw_item(
        self, _context: Any, layout: Any, _data: Any, layer: Any, _icon: Any, _from: Any, _name: Any
    ) -> None:
        row = layout.row(align=True)
        row.prop(
            layer, "visible", text="", icon="HIDE_OFF" if layer.visible else "HIDE_ON", emboss=False
        )
        row.label(text=layer.name, icon=ROLE_ICONS[layer.role])
        row.prop(layer, "shown", text="")
        row.prop(layer, "frozen", text="", icon="FREEZE", emboss=False)


class LAYERT2V_UL_history(bpy.types.UIList):
    def draw_item(
        self, _context: Any, layout: Any, _data: Any, state: Any, _icon: Any, _from: Any, _name: Any
    ) -> None:
        layout.label(text=f"v{state.number:03d}  {state.action}")


def _make_classes() -> list[type]:
    """Return every panel in every sidebar; all but the first are its children."""
    classes: list[type] = [LAYERT2V_UL_layers, LAYERT2V_UL_history]
    for space, suffix in SPACES:
        parent = f"LAYERT2V_PT_main_{suffix}"
        for mixin in (Main, More, Layers, Plates, History):
            name = f"LAYERT2V_PT_{mixin.__name__.lower()}_{suffix}"
            body: dict[str, Any] = {
                "bl_space_type": space,
                "bl_region_type": "UI",
                "bl_category": "LayerT2V",
            }
            if name != parent:
                body["bl_parent_id"] = parent
            if space == "NODE_EDITOR":
                body["poll"] = classmethod(is_compositor)
            classes.append(type(name, (mixin, bpy.types.Panel), body))
    return classes


def is_compositor(_cls: type, context: bpy.types.Context) -> bool:
    """Return whether a node editor shows the compositor; for ``poll`` of a panel."""
    return context.space_data.tree_type == "CompositorNodeTree"


_registered: list[type] = []


def register() -> None:
    _registered[:] = _make_classes()
    for panel in _registered:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(_registered):
        bpy.utils.unregister_class(panel)
    _registered.clear()
