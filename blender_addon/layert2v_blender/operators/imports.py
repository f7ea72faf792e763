"""Stacks into the scene: from a folder, from a finished job, and from the list into an editor."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from layert2v.errors import ContractError

from .. import stack_list, versions
from ..colorspaces import ColorspaceNotFound
from ..model import TARGETS
from ..requests import request_manager
from ..views import compositor, strips
from ..views.images import ImageNotFound
from .base import PollCheck, PollReasonMixin, check_stack, error_text, require_stack

NO_CAMERA = "The scene has no active camera to put the planes before"
LINEAR_HINT = (
    "The sequencer blends in sRGB, so the strips look different; see Blend in Linear Light"
)


def open_stack(
    operator: bpy.types.Operator,
    scene: bpy.types.Scene,
    folder: Path,
    target: str,
    edit_start: int | None = None,
) -> set[str]:
    """Add a stack to the list and open it; return the operator's result.

    ``edit_start`` is that of ``stack_list.add``.
    """
    if target == "PLANES" and scene.camera is None:
        operator.report({"ERROR"}, NO_CAMERA)
        return {"CANCELLED"}
    try:
        item = stack_list.add(scene, folder, edit_start)
        stack_list.refresh(item)
        if target:
            stack_list.place(scene, item, target)
    except ContractError as error:
        operator.report({"ERROR"}, error_text(error))
        return {"CANCELLED"}
    except (ImageNotFound, ColorspaceNotFound) as error:
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    if target == "STRIPS" and not strips.is_linear(scene):
        operator.report({"WARNING"}, LINEAR_HINT)
    return {"FINISHED"}


class LAYERT2V_OT_import_stack(bpy.types.Operator):
    bl_idname = "layert2v.import_stack"
    bl_label = "Import Layer Stack"
    bl_description = "Open a layer stack from its folder"
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
    bl_idname = "layert2v.import_result"
    bl_label = "LayerT2V Result"
    bl_description = "Bring the result of a finished job into its scene"
    bl_options = {"UNDO", "INTERNAL"}

    request_id: StringProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        request = request_manager.requests[self.request_id]
        scenes = (scene for scene in bpy.data.scenes if scene.session_uid == request.scene)
        scene = next(scenes, None)
        if scene is None:  # its file was closed; it asks again when it is opened
            return {"CANCELLED"}
        target = request.target
        if target == "PLANES" and scene.camera is None:
            target = ""  # it is in the list, and the panel says what is missing
        return open_stack(self, scene, Path(request.folder), target, request.edit_start)


class _OpenMixin(PollReasonMixin):
    """Opens the active stack in ``target``, which is the only difference between three buttons."""

    bl_options = {"REGISTER", "UNDO"}
    poll_checks: tuple[PollCheck, ...] = (check_stack,)
    report: Any  # of the operator
    target: str

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = versions.sequencer_scene(context) if self.target == "STRIPS" else context.scene
        item = require_stack(context.scene)
        try:
            stack_list.place(scene, item, self.target)
        except (ImageNotFound, ColorspaceNotFound) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if self.target == "STRIPS" and not strips.is_linear(scene):
            self.report({"WARNING"}, LINEAR_HINT)
        return {"FINISHED"}


class LAYERT2V_OT_open_compositor(_OpenMixin, bpy.types.Operator):
    bl_idname = "layert2v.open_compositor"
    bl_label = "Compositor"
    bl_description = "Put the stack's node group into the compositor, below what is there"
    target = "COMPOSITOR"


def check_camera(context: bpy.types.Context) -> str:
    """Return why planes cannot be put before the camera."""
    return "" if context.scene.camera else NO_CAMERA


class LAYERT2V_OT_open_planes(_OpenMixin, bpy.types.Operator):
    bl_idname = "layert2v.open_planes"
    bl_label = "Planes"
    bl_description = "Put a plane per layer before the active camera, the top layer nearest"
    poll_checks = (check_stack, check_camera)
    target = "PLANES"


class LAYERT2V_OT_open_strips(_OpenMixin, bpy.types.Operator):
    bl_idname = "layert2v.open_strips"
    bl_label = "Strips"
    bl_description = "Put a strip per layer into the sequencer, above what is there"
    target = "STRIPS"


def check_compositor_node(context: bpy.types.Context) -> str:
    """Return why the active stack is not in the compositor."""
    node = compositor.find_node(context.scene, require_stack(context.scene).uid)
    return "" if node is not None else "Open the stack in the compositor first"


class LAYERT2V_OT_render_comp(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.render_comp"
    bl_label = "Render the Comp"
    bl_description = "Make the stack's comp what a render of the scene delivers"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_stack, check_compositor_node)

    def execute(self, context: bpy.types.Context) -> set[str]:
        compositor.link_output(context.scene, require_stack(context.scene).uid)
        return {"FINISHED"}


class LAYERT2V_OT_blend_linear(bpy.types.Operator):
    bl_idname = "layert2v.blend_linear"
    bl_label = "Blend in Linear Light"
    bl_description = (
        "Let the sequencer mix in linear light, as layers need it. Other strips that are mixed "
        "change their look"
    )
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        strips.blend_linear(versions.sequencer_scene(context))
        return {"FINISHED"}


class LAYERT2V_OT_forget_stack(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.forget_stack"
    bl_label = "Remove from List"
    bl_description = "Take the stack off this list. Its files, nodes, planes and strips stay"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_stack,)

    def execute(self, context: bpy.types.Context) -> set[str]:
        panel = context.scene.layert2v
        panel.stacks.remove(panel.active_stack)
        panel.active_stack = max(0, panel.active_stack - 1)
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
