"""Stacks into the scene: from a folder, from a finished job, and from the list into an editor."""

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from layert2v.errors import ContractError

from .. import stack_list, versions
from ..model import TARGETS, active_stack
from ..requests import desk
from ..views import compositor, strips
from ..views.images import PictureMissing
from .base import Explained, no_stack

LINEAR_HINT = (
    "The sequencer blends in sRGB, so the strips look different; see Blend in Linear Light"
)


def open_stack(
    operator: bpy.types.Operator, scene: bpy.types.Scene, folder: Path, target: str
) -> set[str]:
    """Add a stack to the list and open it; returns the operator's result."""
    if target == "PLANES" and scene.camera is None:
        operator.report({"ERROR"}, "The scene has no active camera to put the planes before")
        return {"CANCELLED"}
    try:
        item = stack_list.add(scene, folder)
        stack_list.refresh(item)
        if target:
            stack_list.place(scene, item, target)
    except ContractError as problem:
        operator.report({"ERROR"}, " ".join(filter(None, (problem.message, problem.hint))))
        return {"CANCELLED"}
    except PictureMissing as problem:
        operator.report({"ERROR"}, str(problem))
        return {"CANCELLED"}
    if target == "STRIPS" and not strips.blends_linear(scene):
        operator.report({"WARNING"}, LINEAR_HINT)
    return {"FINISHED"}


class LAYERT2V_OT_import_stack(bpy.types.Operator):
    """Open a layer stack from its folder"""

    bl_idname = "layert2v.import_stack"
    bl_label = "Import Layer Stack"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH")
    filter_glob: StringProperty(default="stack.json", options={"HIDDEN"})
    target: EnumProperty(name="Open In", items=TARGETS)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.target = context.scene.layert2v.target
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return open_stack(self, context.scene, Path(self.directory), self.target)


class LAYERT2V_OT_import_result(bpy.types.Operator):
    """Bring the result of a finished job into its scene"""

    bl_idname = "layert2v.import_result"
    bl_label = "LayerT2V Result"
    bl_options = {"UNDO", "INTERNAL"}

    request_id: StringProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        request = desk.requests[self.request_id]
        scene = next((one for one in bpy.data.scenes if one.session_uid == request.scene), None)
        if scene is None:  # its file was closed; it asks again when it is opened
            return {"CANCELLED"}
        target = request.target
        if target == "PLANES" and scene.camera is None:
            target = ""  # it is in the list, and the panel says what is missing
        return open_stack(self, scene, Path(request.folder), target)


class _OpenIn(Explained):
    """Where the chosen stack is opened is the only difference between three buttons."""

    bl_options = {"REGISTER", "UNDO"}
    target: str

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return no_stack(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = versions.edited_scene(context) if self.target == "STRIPS" else context.scene
        item = active_stack(context.scene)
        try:
            stack_list.place(scene, item, self.target)
        except PictureMissing as problem:
            self.report({"ERROR"}, str(problem))
            return {"CANCELLED"}
        if self.target == "STRIPS" and not strips.blends_linear(scene):
            self.report({"WARNING"}, LINEAR_HINT)
        return {"FINISHED"}


class LAYERT2V_OT_open_compositor(_OpenIn, bpy.types.Operator):
    """Put the stack's node group into the compositor, below what is there"""

    bl_idname = "layert2v.open_compositor"
    bl_label = "Compositor"
    target = "COMPOSITOR"


class LAYERT2V_OT_open_planes(_OpenIn, bpy.types.Operator):
    """Put a plane per layer before the active camera, the top layer nearest"""

    bl_idname = "layert2v.open_planes"
    bl_label = "Planes"
    target = "PLANES"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        no_camera = "The scene has no active camera to put the planes before"
        return no_stack(context) or ("" if context.scene.camera else no_camera)


class LAYERT2V_OT_open_strips(_OpenIn, bpy.types.Operator):
    """Put a strip per layer into the sequencer, above what is there"""

    bl_idname = "layert2v.open_strips"
    bl_label = "Strips"
    target = "STRIPS"


class LAYERT2V_OT_render_comp(Explained, bpy.types.Operator):
    """Make the stack's comp what a render of the scene delivers"""

    bl_idname = "layert2v.render_comp"
    bl_label = "Render the Comp"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = no_stack(context)
        if not reason and compositor.node(context.scene, active_stack(context.scene).uid) is None:
            reason = "Open the stack in the compositor first"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        compositor.to_output(context.scene, active_stack(context.scene).uid)
        return {"FINISHED"}


class LAYERT2V_OT_blend_linear(bpy.types.Operator):
    """Let the sequencer mix in linear light, as layers need it. Other strips that are mixed change
    their look"""

    bl_idname = "layert2v.blend_linear"
    bl_label = "Blend in Linear Light"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        strips.blend_linear(versions.edited_scene(context))
        return {"FINISHED"}


class LAYERT2V_OT_forget_stack(Explained, bpy.types.Operator):
    """Take the stack off this list. Its files, nodes, planes and strips stay"""

    bl_idname = "layert2v.forget_stack"
    bl_label = "Remove from List"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return no_stack(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = context.scene.layert2v
        state.stacks.remove(state.active_stack)
        state.active_stack = max(0, state.active_stack - 1)
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_OT_import_stack,
    LAYERT2V_OT_import_result,
    LAYERT2V_OT_open_compositor,
    LAYERT2V_OT_open_planes,
    LAYERT2V_OT_open_strips,
    LAYERT2V_OT_render_comp,
    LAYERT2V_OT_blend_linear,
    LAYERT2V_OT_forget_stack,
)
