"""Prompts: generate a stack, cancel, send again, and use earlier settings again."""

import json
from itertools import count
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from layert2v.errors import ContractError
from layert2v.labels import LABELS
from layert2v.rerender import rerender_from_json
from layert2v.spec import spec_from_json, spec_to_json, validate
from layert2v.stack import slug

from .. import model_cache, specs
from ..job_request import Request
from ..requests import request_manager
from ..settings import preferences, user_folder
from .base import CAN_GENERATE, PollReasonMixin, check_stack, require_stack, submit, violations_text


def new_stack_folder(scene: bpy.types.Scene, title: str) -> Path:
    """Return a folder that does not exist yet, named after a title, in that of new stacks."""
    panel = scene.layert2v
    is_beside_file = panel.folder.startswith("//")
    if is_beside_file and not bpy.data.is_saved:
        parent = user_folder(create=True) / "stacks"
    else:
        parent = Path(bpy.path.abspath(panel.folder))
    folders = [Path(request.folder) for request in request_manager.requests.values()]
    taken = {*folders, *(folder.parent for folder in folders)}  # shots are in a folder of theirs
    candidates = (parent / f"{slug(title)}_{number:03d}" for number in count(1))
    return next(path for path in candidates if not path.exists() and path not in taken)


def check_prompt(context: bpy.types.Context) -> str:
    """Return why the prompt cannot be used."""
    return "" if context.scene.layert2v.prompt.strip() else "Write a prompt first"


class LAYERT2V_OT_generate(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.generate"
    bl_label = LABELS["generate"].text
    bl_description = f"{LABELS['generate'].tooltip}. Blender stays free while the server works"
    poll_checks = (*CAN_GENERATE, check_prompt)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        model = model_cache.selected_model(scene) or model_cache.models()[0]
        try:
            spec = specs.generate_spec(scene, model)
        except ContractError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        violations = validate(spec, model)
        if violations:
            self.report({"ERROR"}, violations_text(violations))
            return {"CANCELLED"}
        folder = new_stack_folder(scene, scene.layert2v.prompt)
        request = Request(
            kind="generate",
            title=folder.name,
            folder=str(folder),
            server=preferences().server,
            spec=spec_to_json(spec),
            target=scene.layert2v.target,
        )
        return submit(self, scene, request)


class LAYERT2V_OT_use_preset(bpy.types.Operator):
    bl_idname = "layert2v.use_preset"
    bl_label = LABELS["preset"].text
    bl_description = LABELS["preset"].tooltip
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    preset: EnumProperty(items=model_cache.preset_items)

    def execute(self, context: bpy.types.Context) -> set[str]:
        model = model_cache.selected_model(context.scene)
        chosen = [each for each in model.presets if each.name == self.preset] if model else []
        if not chosen:
            return {"CANCELLED"}
        specs.fill_preset(chosen[0], context.scene.layert2v)
        return {"FINISHED"}


class LAYERT2V_OT_cancel(bpy.types.Operator):
    bl_idname = "layert2v.cancel"
    bl_label = LABELS["cancel"].text
    bl_description = LABELS["cancel"].tooltip

    request_id: StringProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        request_manager.cancel(self.request_id)
        return {"FINISHED"}


class LAYERT2V_OT_dismiss(bpy.types.Operator):
    bl_idname = "layert2v.dismiss"
    bl_label = "Dismiss"
    bl_description = "Take this message off the panel"

    request_id: StringProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        request_manager.dismiss(self.request_id)
        return {"FINISHED"}


class LAYERT2V_OT_ask_again(bpy.types.Operator):
    bl_idname = "layert2v.ask_again"
    bl_label = LABELS["retry"].text
    bl_description = LABELS["retry"].tooltip

    request_id: StringProperty()
    nearest: BoolProperty(name=LABELS["nearest"].text, description=LABELS["nearest"].tooltip)

    def execute(self, context: bpy.types.Context) -> set[str]:
        failed = request_manager.requests[self.request_id]
        spec = {**failed.spec, "nearest": True} if self.nearest else failed.spec
        request = Request(
            kind=failed.kind,
            title=failed.title,
            folder=failed.folder,
            server=preferences().server,
            spec=spec,
            inputs=failed.inputs,
            stack=failed.stack,
            target=failed.target,
            split_at_cuts=failed.split_at_cuts,
            edit_start=failed.edit_start,
        )
        result = submit(self, context.scene, request)
        if result == {"FINISHED"}:
            request_manager.dismiss(failed.id)
        return result


class LAYERT2V_OT_foreground_add(bpy.types.Operator):
    bl_idname = "layert2v.foreground_add"
    bl_label = "Add Foreground"
    bl_description = "Describe one more foreground layer"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.layert2v.foregrounds.add()
        return {"FINISHED"}


class LAYERT2V_OT_foreground_remove(bpy.types.Operator):
    bl_idname = "layert2v.foreground_remove"
    bl_label = "Remove Foreground"
    bl_description = "Leave this foreground layer out"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    index: IntProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.layert2v.foregrounds.remove(self.index)
        return {"FINISHED"}


def check_history(context: bpy.types.Context) -> str:
    """Return why no state of the active stack is selected."""
    stack = require_stack(context.scene)
    return "" if 0 <= stack.active_state < len(stack.history) else "The stack has no history"


class LAYERT2V_OT_use_settings(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.use_settings"
    bl_label = "Use These Settings Again"
    bl_description = "Fill the panel with the prompts, seed and steps that made this state"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_stack, check_history)

    def execute(self, context: bpy.types.Context) -> set[str]:
        panel, stack = context.scene.layert2v, require_stack(context.scene)
        state = stack.history[stack.active_state]
        spec = json.loads(state.wish)
        try:
            if "action" in spec:
                specs.fill_layers(rerender_from_json(spec), stack, panel)
            else:
                specs.fill_panel(spec_from_json(spec), panel)
        except ContractError:
            self.report({"WARNING"}, f"v{state.number:03d} was not made from settings")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_OT_generate,
    LAYERT2V_OT_use_preset,
    LAYERT2V_OT_cancel,
    LAYERT2V_OT_dismiss,
    LAYERT2V_OT_ask_again,
    LAYERT2V_OT_foreground_add,
    LAYERT2V_OT_foreground_remove,
    LAYERT2V_OT_use_settings,
)
