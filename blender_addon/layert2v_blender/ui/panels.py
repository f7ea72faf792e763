"""The panel LayerT2V in the sidebars of the compositor, the sequencer and the 3D view."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import bpy

from .. import model_cache, preferences, preview_icons, specs, status_text, versions
from ..model import active_layer, active_stack
from ..requests import Request, desk
from ..views import strips

SPACES = (("NODE_EDITOR", "node"), ("SEQUENCE_EDITOR", "sequence"), ("VIEW_3D", "view"))
ROLE_ICONS = {
    "background": "IMAGE_BACKGROUND",
    "foreground": "IMAGE_RGB_ALPHA",
    "shadow": "SHADING_RENDERED",
}
if TYPE_CHECKING:
    from layert2v_client.session import Connected, Disconnected

COLUMNS = 42  # characters of a sidebar of ordinary width


def paragraph(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Text over as many lines as it needs, which a label cannot do."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, COLUMNS)):
        column.label(
            text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE"
        )


def connection(layout: bpy.types.UILayout, _context: bpy.types.Context) -> None:
    """What is known of the server, and the button that asks it."""
    server = preferences.get().server
    reason = preferences.why_not_connect()
    status = desk.status
    label = "Test Connection" if server else "Start Local Server"
    if reason:
        paragraph(layout, reason, "ERROR")
    elif status is not None:
        label = "Ask Again"
        _status(layout, server or "this machine", status)
    elif desk.asked:
        paragraph(layout, "Connecting ...", "SORTTIME")
    layout.operator("layert2v.connect", text=label, icon="PLUGIN" if server else "PLAY")


def _status(layout: bpy.types.UILayout, server: str, status: Connected | Disconnected) -> None:
    from layert2v_client import session  # only here: it loads gRPC

    if isinstance(status, session.Disconnected):
        paragraph(layout, " ".join(filter(None, (status.message, status.hint))), "ERROR")
        return
    titles = ", ".join(model.title for model in status.models) or "still loading its models"
    paragraph(layout, f"Connected to {server}: {titles}", "CHECKMARK")


class _Sidebar:
    layout: Any  # what Blender gives a panel to draw on


class Main(_Sidebar):
    """Prompts, the button, and what is under way."""

    bl_label = "LayerT2V"

    def draw(self, context: bpy.types.Context) -> None:
        scene, layout = context.scene, self.layout
        _prompts(layout, scene.layert2v)
        _settings(layout, scene)
        if not model_cache.models() or preferences.why_not_connect() or _is_down():
            connection(layout.box(), context)
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("layert2v.generate", icon="RENDER_ANIMATION")
        row.prop(scene.layert2v, "target", text="", icon_only=True)
        for request in desk.of(scene):
            _request(layout.box(), request)

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        operator = self.layout.operator(
            "preferences.addon_show", text="", icon="PREFERENCES", emboss=False
        )
        operator.module = __package__


def _is_down() -> bool:
    return desk.status is not None and not hasattr(desk.status, "models")


def _prompts(layout: bpy.types.UILayout, state: Any) -> None:
    column = layout.column(align=True)
    column.prop(state, "prompt", text="", placeholder="Prompt", icon="OUTLINER_OB_CAMERA")
    column.prop(state, "background", text="", placeholder="Background", icon="IMAGE_BACKGROUND")
    for index, foreground in enumerate(state.foregrounds):
        row = column.row(align=True)
        row.prop(
            foreground,
            "prompt",
            text="",
            placeholder=f"Foreground {index + 1}",
            icon="IMAGE_RGB_ALPHA",
        )
        row.operator("layert2v.foreground_remove", text="", icon="X").index = index
    column.operator("layert2v.foreground_add", icon="ADD")


def _settings(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    state = scene.layert2v
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(state, "model")
    column.prop(state, "size_from_scene")
    if not state.size_from_scene:
        row = column.row(align=True)
        row.prop(state, "width", text="Size")
        row.prop(state, "height", text="")
    column.prop(state, "frames")
    model = model_cache.chosen(scene)
    if model is not None:
        paragraph(column, specs.fit(scene, model).sentence, "INFO")
    column.prop(state, "seed", placeholder="a new one")
    column.prop(state, "own_sampling", text="Steps, Guidance")
    if state.own_sampling:
        column.prop(state, "steps")
        column.prop(state, "guidance")


def _request(box: bpy.types.UILayout, request: Request) -> None:
    row = box.row()
    row.label(text=request.title, icon="RENDER_ANIMATION")
    if request.ended is None and not request.apart:
        row.operator("layert2v.cancel", text="", icon="CANCEL").request_id = request.id
        box.progress(
            factor=status_text.factor(request.changed), text=status_text.progress(request.changed)
        )
        picture = preview_icons.icon(request.id)
        if picture:
            box.template_icon(picture, scale=6.0)
        return
    row.operator("layert2v.dismiss", text="", icon="X").request_id = request.id
    said = request.apart or request.trouble or status_text.outcome(request.ended)
    paragraph(box, said, "ERROR" if request.failed else "INFO")
    if request.failed and not request.trouble:
        box.operator("layert2v.ask_again", icon="FILE_REFRESH").request_id = request.id


class More(_Sidebar):
    """What is rarely changed."""

    bl_label = "More"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column, state = self.layout.column(), context.scene.layert2v
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(state, "negative")
        column.prop(state, "colorspace")
        column.prop(state, "folder")
        column.prop(state, "target")


class Layers(_Sidebar):
    """The chosen stack with its layers."""

    bl_label = "Layers"

    def draw(self, context: bpy.types.Context) -> None:
        scene, layout = context.scene, self.layout
        state, stack = scene.layert2v, active_stack(scene)
        row = layout.row()
        row.template_list(
            "UI_UL_list", "layert2v_stacks", state, "stacks", state, "active_stack", rows=2
        )
        column = row.column(align=True)
        column.operator("layert2v.import_stack", text="", icon="FILE_FOLDER")
        column.operator("layert2v.forget_stack", text="", icon="REMOVE")
        if stack is None:
            return
        if stack.problem:
            paragraph(layout, stack.problem, "ERROR")
        if stack.warning:
            paragraph(layout, stack.warning, "INFO")
        _layer_list(layout, stack)
        layer = active_layer(scene)
        if layer is not None:
            _layer(layout, layer)
        layout.prop(stack, "first_frame")
        _open_in(layout, context)


def _layer_list(layout: bpy.types.UILayout, stack: Any) -> None:
    row = layout.row()
    row.template_list(
        "LAYERT2V_UL_layers", "", stack, "layers", stack, "active_layer", rows=len(stack.layers)
    )
    column = row.column(align=True)
    column.operator("layert2v.layer_add", text="", icon="ADD")
    column.operator("layert2v.layer_remove", text="", icon="REMOVE")
    column.operator("layert2v.layer_move", text="", icon="TRIA_UP").direction = "UP"
    column.operator("layert2v.layer_move", text="", icon="TRIA_DOWN").direction = "DOWN"


def _layer(layout: bpy.types.UILayout, layer: Any) -> None:
    column = layout.column(align=True)
    column.prop(layer, "prompt", text="", placeholder="Prompt of this layer")
    row = column.row(align=True)
    row.prop(layer, "seed", text="", placeholder="new seed")
    row.prop(layer, "strength")
    column.operator("layert2v.rerender", text=f"Re-render {layer.name}", icon="FILE_REFRESH")


def _open_in(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    layout.label(text="Open in")
    row = layout.row(align=True)
    row.operator("layert2v.open_compositor", icon="NODE_COMPOSITING")
    row.operator("layert2v.open_planes", icon="VIEW3D")
    row.operator("layert2v.open_strips", icon="SEQUENCE")
    if context.area.type == "NODE_EDITOR":
        layout.operator("layert2v.render_comp", icon="OUTPUT")
    scene = versions.edited_scene(context)
    if context.area.type == "SEQUENCE_EDITOR" and not strips.blends_linear(scene):
        box = layout.box()
        paragraph(box, "The sequencer blends in sRGB: layers look different here", "INFO")
        box.operator("layert2v.blend_linear")


class Plates(_Sidebar):
    """Pictures of the artist's own as a layer."""

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
    """The states of the chosen stack."""

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
            paragraph(layout, " ".join(filter(None, (state.created, state.note))))
        if stack.understood:
            paragraph(layout, f"Understood as: {stack.understood}")
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


def _classes() -> list[type]:
    """Every panel in every sidebar; all but the first are its children."""
    made: list[type] = [LAYERT2V_UL_layers, LAYERT2V_UL_history]
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
                body["poll"] = classmethod(_in_compositor)
            made.append(type(name, (mixin, bpy.types.Panel), body))
    return made


def _in_compositor(_cls: type, context: bpy.types.Context) -> bool:
    return context.space_data.tree_type == "CompositorNodeTree"


_registered: list[type] = []


def register() -> None:
    _registered[:] = _classes()
    for one in _registered:
        bpy.utils.register_class(one)


def unregister() -> None:
    for one in reversed(_registered):
        bpy.utils.unregister_class(one)
    _registered.clear()
