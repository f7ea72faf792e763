"""Prompts: ask for a stack, cancel, and take up earlier settings."""

import json
import re
from itertools import count
from pathlib import Path

import bpy
from bpy.props import IntProperty, StringProperty

from layert2v.errors import ContractError
from layert2v.rerender import rerender_from_json
from layert2v.spec import spec_from_json, spec_to_json, validate

from .. import model, model_cache, preferences, specs
from ..requests import Request, desk
from .base import Explained, no_server, no_stack, send, sentences


def free_folder(scene: bpy.types.Scene) -> Path:
    """A folder that does not exist yet, named after the prompt, in the folder of new stacks."""
    state = scene.layert2v
    beside_file = state.folder.startswith("//")
    if beside_file and not bpy.data.is_saved:
        base = preferences.own_folder(create=True) / "stacks"
    else:
        base = Path(bpy.path.abspath(state.folder))
    words = re.sub(r"[^a-z0-9]+", "_", state.prompt.lower()).strip("_")[:40].strip("_") or "stack"
    taken = {Path(request.folder) for request in desk.requests.values()}
    candidates = (base / f"{words}_{number:03d}" for number in count(1))
    return next(path for path in candidates if not path.exists() and path not in taken)


class LAYERT2V_OT_generate(Explained, bpy.types.Operator):
    """Make a layer stack of the prompts. Blender stays free while the server works"""

    bl_idname = "layert2v.generate"
    bl_label = "Generate"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = no_server(context)
        if not reason and not context.scene.layert2v.prompt.strip():
            reason = "Write a prompt first"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        chosen = model_cache.chosen(scene) or model_cache.models()[0]
        spec = specs.generate(scene, chosen)
        violations = validate(spec, chosen)
        if violations:
            self.report({"ERROR"}, sentences(violations))
            return {"CANCELLED"}
        folder = free_folder(scene)
        request = Request(
            kind="generate",
            title=folder.name,
            folder=str(folder),
            server=preferences.get().server,
            wish=spec_to_json(spec),
            target=scene.layert2v.target,
        )
        return send(self, scene, request)


class LAYERT2V_OT_cancel(bpy.types.Operator):
    """Stop this job"""

    bl_idname = "layert2v.cancel"
    bl_label = "Cancel"

    request_id: StringProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        desk.cancel(self.request_id)
        return {"FINISHED"}


class LAYERT2V_OT_dismiss(bpy.types.Operator):
    """Take this message off the panel"""

    bl_idname = "layert2v.dismiss"
    bl_label = "Dismiss"

    request_id: StringProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        desk.dismiss(self.request_id)
        return {"FINISHED"}


class LAYERT2V_OT_ask_again(bpy.types.Operator):
    """Send the same request to the server again"""

    bl_idname = "layert2v.ask_again"
    bl_label = "Ask Again"

    request_id: StringProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        old = desk.requests[self.request_id]
        request = Request(
            kind=old.kind,
            title=old.title,
            folder=old.folder,
            server=preferences.get().server,
            wish=old.wish,
            inputs=old.inputs,
            stack=old.stack,
            target=old.target,
        )
        result = send(self, context.scene, request)
        if result == {"FINISHED"}:
            desk.dismiss(old.id)
        return result


class LAYERT2V_OT_foreground_add(bpy.types.Operator):
    """Describe one more foreground layer"""

    bl_idname = "layert2v.foreground_add"
    bl_label = "Add Foreground"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.layert2v.foregrounds.add()
        return {"FINISHED"}


class LAYERT2V_OT_foreground_remove(bpy.types.Operator):
    """Leave this foreground layer out"""

    bl_idname = "layert2v.foreground_remove"
    bl_label = "Remove Foreground"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    index: IntProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.layert2v.foregrounds.remove(self.index)
        return {"FINISHED"}


class LAYERT2V_OT_use_settings(Explained, bpy.types.Operator):
    """Fill the panel with the prompts, seed and steps that made this state"""

    bl_idname = "layert2v.use_settings"
    bl_label = "Use These Settings Again"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = no_stack(context)
        stack = model.active_stack(context.scene)
        if not reason and not 0 <= stack.active_state < len(stack.history):
            reason = "The stack has no history"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        stack = model.active_stack(context.scene)
        state = stack.history[stack.active_state]
        wish = json.loads(state.wish)
        try:
            if "action" in wish:
                specs.reuse_rerender(rerender_from_json(wish), stack, context.scene.layert2v)
            else:
                specs.reuse_generate(spec_from_json(wish), context.scene.layert2v)
        except ContractError:
            self.report({"WARNING"}, f"v{state.number:03d} was not made from settings")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_OT_generate,
    LAYERT2V_OT_cancel,
    LAYERT2V_OT_dismiss,
    LAYERT2V_OT_ask_again,
    LAYERT2V_OT_foreground_add,
    LAYERT2V_OT_foreground_remove,
    LAYERT2V_OT_use_settings,
)
