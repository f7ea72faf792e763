"""Changes of a stack: draw a layer again, add, remove, reorder, open an earlier state."""

from dataclasses import replace

import bpy
from bpy.props import EnumProperty, StringProperty

from layert2v import stack as manifest
from layert2v.errors import ContractError
from layert2v.rerender import (
    RerenderSpec,
    affected_layers,
    next_foreground,
    rerender_to_json,
    validate_rerender,
)
from layert2v.spec import ModelInfo

from .. import model_cache, preferences, specs, stack_list
from ..model import LAYERT2V_Stack, active_layer, active_stack
from ..requests import Request
from .base import Explained, no_change, no_stack, send, sentences


def change(
    operator: bpy.types.Operator,
    scene: bpy.types.Scene,
    spec: RerenderSpec,
    *,
    inputs: dict[str, list[str]] | None = None,
    request_id: str = "",
) -> set[str]:
    """Check a change of the chosen stack and send it; returns the operator's result."""
    item = active_stack(scene)
    folder = stack_list.folder_of(item)
    # What the artist sees: after an undo that is not the newest state in the folder.
    spec = replace(spec, at=item.history[0].number if item.history else 0)
    try:
        stack = manifest.read_start(folder, spec.at)
    except ContractError as problem:
        operator.report({"ERROR"}, problem.message)
        return {"CANCELLED"}
    known = drawing_model(scene, stack)
    spec = specs.with_frozen(spec, item, stack)
    if known is not None and known.name != stack.model:
        spec = replace(spec, model=known.name)
    affected = affected_layers(spec, stack)
    if known is not None or not affected.needs_model:
        violations = validate_rerender(spec, stack, affected, known)
        if violations:
            operator.report({"ERROR"}, sentences(violations))
            return {"CANCELLED"}
    request = Request(
        kind="rerender",
        title=f"{item.name}: {spec.action} {', '.join(spec.layers)}",
        folder=str(folder),
        server=preferences.get().server,
        wish=rerender_to_json(spec),
        inputs=inputs or {},
        stack=item.uid,
    )
    request.id = request_id or request.id
    return send(operator, scene, request)


def drawing_model(scene: bpy.types.Scene, stack: manifest.Stack) -> ModelInfo | None:
    """The model that made the stack, or the chosen one where the server has no such model."""
    own = (one for one in model_cache.models() if one.name == stack.model)
    return next(own, None) or model_cache.chosen(scene)


def no_layer(context: bpy.types.Context) -> str:
    """Why nothing can be done with the chosen layer."""
    return "" if active_layer(context.scene) else "Choose a layer"


class LAYERT2V_OT_rerender(Explained, bpy.types.Operator):
    """Draw this layer again with its prompt, seed and strength; the other layers stay"""

    bl_idname = "layert2v.rerender"
    bl_label = "Re-render"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = no_change(context) or no_layer(context)
        if not reason and active_layer(context.scene).frozen:
            reason = "The layer is frozen; unlock it to draw it again"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        layer = active_layer(context.scene)
        return change(self, context.scene, specs.regenerate(context.scene, layer))


class LAYERT2V_OT_layer_add(Explained, bpy.types.Operator):
    """Draw one more foreground into the stack; the other layers stay as they are"""

    bl_idname = "layert2v.layer_add"
    bl_label = "Add Foreground"

    prompt: StringProperty(name="Prompt", description="What the new layer shows")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return no_change(context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return change(self, context.scene, addition(context.scene, prompt=self.prompt))


def addition(scene: bpy.types.Scene, *, prompt: str = "") -> RerenderSpec:
    """A new foreground directly above the chosen layer, on top where a shadow is chosen."""
    item, layer = active_stack(scene), active_layer(scene)
    name = next_foreground(manifest.read(stack_list.folder_of(item)))
    above = layer.name if layer is not None and layer.role != "shadow" else ""
    prompts = {name: prompt.strip()} if prompt.strip() else {}
    return RerenderSpec(action="add", layers=(name,), above=above, prompts=prompts)


class LAYERT2V_OT_layer_remove(Explained, bpy.types.Operator):
    """Leave this layer out of the stack from now on. Its files stay, and so do earlier states"""

    bl_idname = "layert2v.layer_remove"
    bl_label = "Remove Layer"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return no_change(context) or no_layer(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        name = active_layer(context.scene).name
        return change(self, context.scene, RerenderSpec(action="remove", layers=(name,)))


class LAYERT2V_OT_layer_move(Explained, bpy.types.Operator):
    """Move this foreground past the next one; its shadow goes with it"""

    bl_idname = "layert2v.layer_move"
    bl_label = "Move Layer"

    direction: EnumProperty(items=(("UP", "Up", ""), ("DOWN", "Down", "")))

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = no_change(context) or no_layer(context)
        if not reason and active_layer(context.scene).role != "foreground":
            reason = "Only foregrounds are moved; their shadows follow them"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        order = movable(active_stack(context.scene))
        place = order.index(active_layer(context.scene).name)
        other = place + (1 if self.direction == "UP" else -1)
        if not 1 <= other < len(order):  # the background stays below all
            self.report({"INFO"}, "There is no foreground to move past")
            return {"CANCELLED"}
        order[place], order[other] = order[other], order[place]
        return change(self, context.scene, RerenderSpec(action="reorder", layers=tuple(order)))


def movable(item: LAYERT2V_Stack) -> list[str]:
    """The background and the foregrounds from bottom to top."""
    return [layer.name for layer in reversed(item.layers) if layer.role != "shadow"]


class LAYERT2V_OT_open_state(Explained, bpy.types.Operator):
    """Go on from this state: it becomes the newest one, and nothing is lost"""

    bl_idname = "layert2v.open_state"
    bl_label = "Go Back to This State"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = no_stack(context)
        stack = active_stack(context.scene)
        if not reason and stack.active_state == 0:
            reason = "This is the newest state already"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        from layert2v_client.stack_history import restore

        item = active_stack(context.scene)
        try:
            restore(stack_list.folder_of(item), item.history[item.active_state].number)
            stack_list.add(context.scene, stack_list.folder_of(item))
        except ContractError as problem:
            self.report({"ERROR"}, problem.message)
            return {"CANCELLED"}
        stack_list.refresh(item)
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_OT_rerender,
    LAYERT2V_OT_layer_add,
    LAYERT2V_OT_layer_remove,
    LAYERT2V_OT_layer_move,
    LAYERT2V_OT_open_state,
)
