"""Changes of a stack: render a layer again, add, remove, reorder, go back to an earlier state."""

from dataclasses import replace

import bpy
from bpy.props import EnumProperty, StringProperty

from layert2v import stack as manifest
from layert2v.errors import ContractError
from layert2v.labels import LABELS
from layert2v.rerender import (
    RerenderSpec,
    affected_layers,
    next_foreground,
    rerender_to_json,
    validate_rerender,
)
from layert2v.spec import ModelInfo

from .. import model_cache, specs, stack_list
from ..job_request import Request
from ..model import LAYERT2V_Stack, active_layer
from ..settings import preferences
from .base import (
    CAN_CHANGE_LAYER,
    CAN_CHANGE_STACK,
    PollReasonMixin,
    check_stack,
    require_layer,
    require_stack,
    submit,
    violations_text,
)


def change_stack(
    operator: bpy.types.Operator,
    scene: bpy.types.Scene,
    spec: RerenderSpec,
    *,
    inputs: dict[str, list[str]] | None = None,
    request_id: str = "",
) -> set[str]:
    """Check a change of the active stack and submit it; return the operator's result."""
    item = require_stack(scene)
    folder = stack_list.stack_folder(item)
    # What the artist sees: after an undo that is not the newest state in the folder.
    spec = replace(spec, at=item.history[0].number if item.history else 0)
    try:
        stack = manifest.read_start(folder, spec.at)
    except ContractError as error:
        operator.report({"ERROR"}, error.message)
        return {"CANCELLED"}
    model = rerender_model(scene, stack)
    spec = specs.freeze_layers(spec, item, stack)
    if model is not None and model.name != stack.model:
        spec = replace(spec, model=model.name)
    affected = affected_layers(spec, stack)
    if model is not None or not affected.needs_model:
        violations = validate_rerender(spec, stack, affected, model)
        if violations:
            operator.report({"ERROR"}, violations_text(violations))
            return {"CANCELLED"}
    request = Request(
        kind="rerender",
        title=f"{item.name}: {spec.action} {', '.join(spec.layers)}",
        folder=str(folder),
        server=preferences().server,
        spec=rerender_to_json(spec),
        inputs=inputs or {},
        stack=item.uid,
    )
    request.id = request_id or request.id
    return submit(operator, scene, request)


def rerender_model(scene: bpy.types.Scene, stack: manifest.Stack) -> ModelInfo | None:
    """Return the model that made the stack, or the selected one if the server has no such model."""
    same = (model for model in model_cache.models() if model.name == stack.model)
    return next(same, None) or model_cache.selected_model(scene)


def check_not_frozen(context: bpy.types.Context) -> str:
    """Return why the active layer cannot be generated again."""
    frozen = require_layer(context.scene).frozen
    return "The layer is frozen; unlock it to generate it again" if frozen else ""


class LAYERT2V_OT_rerender(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.rerender"
    bl_label = LABELS["rerender"].text
    bl_description = (
        "Generate this layer again with its prompt, seed and strength; the other layers stay"
    )
    poll_checks = (*CAN_CHANGE_LAYER, check_not_frozen)

    def execute(self, context: bpy.types.Context) -> set[str]:
        layer = require_layer(context.scene)
        return change_stack(self, context.scene, specs.rerender_spec(context.scene, layer))


class LAYERT2V_OT_match_lighting(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.match_lighting"
    bl_label = LABELS["match_lighting"].text
    bl_description = LABELS["match_lighting"].tooltip
    poll_checks = CAN_CHANGE_STACK

    def execute(self, context: bpy.types.Context) -> set[str]:
        return change_stack(self, context.scene, specs.lighting_spec(context.scene))


class LAYERT2V_OT_layer_add(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.layer_add"
    bl_label = "Add Foreground"
    bl_description = (
        "Generate one more foreground into the stack; the other layers stay as they are"
    )
    poll_checks = CAN_CHANGE_STACK

    prompt: StringProperty(
        name=LABELS["prompt"].text, description=LABELS["foreground_prompt"].tooltip
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        result: set[str] = context.window_manager.invoke_props_dialog(self)
        return result

    def execute(self, context: bpy.types.Context) -> set[str]:
        return change_stack(self, context.scene, add_spec(context.scene, prompt=self.prompt))


def add_spec(scene: bpy.types.Scene, *, prompt: str = "") -> RerenderSpec:
    """Return the request of a foreground right above the active layer; above a shadow, on top."""
    item, layer = require_stack(scene), active_layer(scene)
    name = next_foreground(manifest.read(stack_list.stack_folder(item)))
    above = layer.name if layer is not None and layer.role != "shadow" else ""
    prompts = {name: prompt.strip()} if prompt.strip() else {}
    return RerenderSpec(
        action="add",
        layers=(name,),
        above=above,
        prompts=prompts,
        nearest=scene.layert2v.nearest,
    )


class LAYERT2V_OT_layer_remove(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.layer_remove"
    bl_label = "Remove Layer"
    bl_description = (
        "Leave this layer out of the stack from now on. Its files stay, and so do earlier states"
    )
    poll_checks = CAN_CHANGE_LAYER

    def execute(self, context: bpy.types.Context) -> set[str]:
        name = require_layer(context.scene).name
        return change_stack(self, context.scene, RerenderSpec(action="remove", layers=(name,)))


def check_foreground(context: bpy.types.Context) -> str:
    """Return why the active layer cannot be moved."""
    is_foreground = require_layer(context.scene).role == "foreground"
    return "" if is_foreground else "Only foregrounds are moved; their shadows follow them"


class LAYERT2V_OT_layer_move(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.layer_move"
    bl_label = "Move Layer"
    bl_description = "Move this foreground past the next one; its shadow goes with it"
    poll_checks = (*CAN_CHANGE_LAYER, check_foreground)

    direction: EnumProperty(items=(("UP", "Up", ""), ("DOWN", "Down", "")))

    def execute(self, context: bpy.types.Context) -> set[str]:
        order = movable_layers(require_stack(context.scene))
        index = order.index(require_layer(context.scene).name)
        other = index + (1 if self.direction == "UP" else -1)
        if not 1 <= other < len(order):  # the background stays below all
            self.report({"INFO"}, "There is no foreground to move past")
            return {"CANCELLED"}
        order[index], order[other] = order[other], order[index]
        spec = RerenderSpec(action="reorder", layers=tuple(order))
        return change_stack(self, context.scene, spec)


def movable_layers(item: LAYERT2V_Stack) -> list[str]:
    """Return the background and the foregrounds from bottom to top."""
    return [layer.name for layer in reversed(item.layers) if layer.role != "shadow"]


def check_earlier_state(context: bpy.types.Context) -> str:
    """Return why the active stack cannot go back."""
    is_newest = require_stack(context.scene).active_state == 0
    return "This is the newest state already" if is_newest else ""


class LAYERT2V_OT_open_state(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.open_state"
    bl_label = "Go Back to This State"
    bl_description = "Go on from this state: it becomes the newest one, and nothing is lost"
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (check_stack, check_earlier_state)

    def execute(self, context: bpy.types.Context) -> set[str]:
        from layert2v_client.stack_history import restore

        item = require_stack(context.scene)
        try:
            restore(stack_list.stack_folder(item), item.history[item.active_state].number)
            stack_list.add(context.scene, stack_list.stack_folder(item))
        except ContractError as error:
            self.report({"ERROR"}, error.message)
            return {"CANCELLED"}
        stack_list.refresh(item)
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_OT_rerender,
    LAYERT2V_OT_match_lighting,
    LAYERT2V_OT_layer_add,
    LAYERT2V_OT_layer_remove,
    LAYERT2V_OT_layer_move,
    LAYERT2V_OT_open_state,
)
