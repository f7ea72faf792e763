"""What a button asks the server for, from the knobs, inputs and stack of its node.

An action is complete before anything is rendered or sent: what is wrong with it costs no time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from layert2v.decompose import FOOTAGE, RefineSpec, decompose_to_json, refine_to_json
from layert2v.priorities import DEFAULT_PRIORITY, describe_refusal
from layert2v.rerender import RerenderSpec, rerender_to_json
from layert2v.spec import ModelInfo, spec_to_json
from layert2v.stack import Role
from layert2v_nuke import edits, status_text
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph import tcl
from layert2v_nuke.graph.model import INPUTS
from layert2v_nuke.host import Host
from layert2v_nuke.inputs import InputFrame
from layert2v_nuke.session import footage, renders, requests
from layert2v_nuke.session.saved_request import SavedRequest

BG, FG, FOOTAGE_INPUT, MATTE_INPUT = (INPUTS.index(n) for n in ("bg", "fg", "footage", "matte"))


@dataclass(frozen=True)
class Action:
    """A method of the bridge with its parameters, and the frames to render before it is called.

    ``shown`` are values of knobs that tell the artist about it. With ``split_at_cuts``, footage
    with cuts becomes a stack for each shot.
    """

    method: str
    params: Mapping[str, Any]
    frames: tuple[InputFrame, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)
    split_at_cuts: bool = False

    @property
    def request(self) -> SavedRequest:
        """The request as its node keeps it."""
        return SavedRequest(self.method, self.params, self.split_at_cuts)


@dataclass(frozen=True)
class Scope:
    """Where an action happens: a node, the models of the server, and the folder for stacks.

    ``renders`` is a new folder for what has to be rendered.
    """

    host: Host
    uuid: str
    models: Mapping[str, ModelInfo]
    stacks: Path
    renders: Path


def prepare(scope: Scope, verb: str, layer: str, priority: str = DEFAULT_PRIORITY) -> Action:
    """Return the action of a button such as ``rerender fg_01``.

    Raises ``PluginError`` and ``ContractError``.
    """
    action = _prepare(scope, verb, layer)
    if priority == DEFAULT_PRIORITY:
        return action
    return replace(action, params={**action.params, "priority": priority})


def chosen_priority(scope: Scope, allowed: Sequence[str]) -> str:
    """Return the priority that the node's knob names.

    Raises ``BadRequest`` where the server does not let this user give it.
    """
    values = scope.host.knob_values(scope.uuid)
    priority = str(values.get("priority", DEFAULT_PRIORITY))  # nodes of before have no knob
    refusal = describe_refusal(priority, allowed)
    if refusal:
        raise BadRequest("PRIORITY_REFUSED", refusal)
    return priority


def _prepare(scope: Scope, verb: str, layer: str) -> Action:
    if verb == "generate":
        return _generate(scope)
    if verb == "decompose":
        return _decompose(scope)
    if verb == "match_lighting":
        return _match_lighting(scope)
    by_layer: dict[str, Callable[[Scope, str], Action]] = {
        "plate": _replace,
        "refine": _refine,
        "refine_points": _refine_points,
        "rerender": _rerender,
    }
    return by_layer[verb](scope, layer)


def needs_stack(verb: str) -> bool:
    """Return whether an action changes the stack that the node shows."""
    return verb not in ("generate", "decompose")


def _generate(scope: Scope) -> Action:
    values, project = scope.host.knob_values(scope.uuid), scope.host.project()
    spec = requests.generate_spec(values, project, scope.models)
    params = {"spec": spec_to_json(spec), "folder": str(_take_folder(scope))}
    return Action("generate", params, shown=status_text.output_size(spec, project))


def _rerender(scope: Scope, layer: str) -> Action:
    values = scope.host.knob_values(scope.uuid)
    layers = [layer] if layer else []
    spec = requests.rerender_spec(values, edits.shown_state(values), layers, scope.models)
    return _change(values, spec, {})


def _match_lighting(scope: Scope) -> Action:
    values = scope.host.knob_values(scope.uuid)
    spec = requests.lighting_spec(values, edits.shown_state(values), scope.models)
    return _change(values, spec, {})


def _replace(scope: Scope, layer: str) -> Action:
    values = scope.host.knob_values(scope.uuid)
    stack = edits.shown_state(values)
    space = requests.plate_colorspace(values, scope.host.project())
    spec = requests.plate_spec(values, stack, layer, space, scope.models)
    number = BG if stack.layer(layer).role is Role.background else FG
    scope.host.describe_input(scope.uuid, number)  # refuse before rendering
    frames = range(stack.start_frame, stack.start_frame + stack.frames)
    wanted = renders.input_frames(scope.renders, layer, number, frames)
    return _change(values, spec, {requests.PLATE_INPUT: [str(scope.renders / layer)]}, wanted)


def _change(
    values: Mapping[str, Any],
    spec: RerenderSpec,
    inputs: Mapping[str, list[str]],
    frames: tuple[InputFrame, ...] = (),
) -> Action:
    params = {"folder": values["folder"], "spec": rerender_to_json(spec), "inputs": inputs}
    return Action("rerender", params, frames)


def _refine(scope: Scope, layer: str) -> Action:
    values = scope.host.knob_values(scope.uuid)
    stack = edits.shown_state(values)
    spec = footage.refine_spec(values, stack, layer)
    scope.host.describe_input(scope.uuid, MATTE_INPUT)
    numbers = range(stack.start_frame, stack.start_frame + stack.frames)
    channel = values[f"{layer}_matte"]
    wanted = renders.input_frames(scope.renders, footage.MATTE, MATTE_INPUT, numbers, channel)
    inputs = {footage.MATTE: [str(scope.renders / footage.MATTE)]}
    return _refinement(values, spec, inputs, wanted)


def _refine_points(scope: Scope, layer: str) -> Action:
    values = scope.host.knob_values(scope.uuid)
    stack = edits.shown_state(values)
    points = footage.correction_points(values, stack, layer)
    return _refinement(values, footage.refine_spec(values, stack, layer, points), {})


def _refinement(
    values: Mapping[str, Any],
    spec: RefineSpec,
    inputs: Mapping[str, list[str]],
    frames: tuple[InputFrame, ...] = (),
) -> Action:
    params = {"folder": values["folder"], "spec": refine_to_json(spec), "inputs": inputs}
    return Action("refine", params, frames)


def _decompose(scope: Scope) -> Action:
    host, uuid = scope.host, scope.uuid
    values, project = host.knob_values(uuid), host.project()
    source = host.describe_input(uuid, FOOTAGE_INPUT)
    space = source.colorspace or requests.plate_colorspace(values, project)
    plate_space = requests.plate_colorspace(values, project) if values["footage_plate"] else ""
    spec = footage.decompose_spec(values, source, space, project.fps, plate_space)
    numbers = footage.footage_frames(spec, source)
    inputs: dict[str, list[str]] = {}
    frames: list[InputFrame] = []

    def render(key: str, number: int, wanted: range, channel: str = "") -> None:
        host.describe_input(uuid, number)  # refuse before rendering
        inputs[key] = [str(scope.renders / key)]
        frames.extend(renders.input_frames(scope.renders, key, number, wanted, channel))

    if source.files:
        inputs[FOOTAGE] = [source.files]
    else:
        render(FOOTAGE, FOOTAGE_INPUT, numbers)
    if spec.plate is not None:
        render(spec.plate.input, BG, numbers)
    for subject, knobs in zip(spec.subjects, footage.subjects_of(values).values()):
        if subject.matte:
            wanted = footage.matte_frames(knobs, numbers)
            render(subject.matte, MATTE_INPUT, wanted, knobs["matte"])
    params = {"folder": str(_take_folder(scope)), "spec": decompose_to_json(spec), "inputs": inputs}
    is_split = bool(values.get("footage_split", False))  # nodes of before do not have the knob
    return Action("decompose", params, tuple(frames), split_at_cuts=is_split)


def _take_folder(scope: Scope) -> Path:
    """Return the next ``take_NNN`` of the node that does not exist yet. Raises ``BadPath``."""
    folder = scope.stacks / f"{scope.host.name(scope.uuid)}_{scope.uuid[:8]}"
    number = 1
    while (folder / f"take_{number:03d}").exists():
        number += 1
    take = folder / f"take_{number:03d}"
    tcl.safe_path(take)
    return take
