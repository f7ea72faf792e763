"""Changes of the graph that need no server, each of them one undo step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from layert2v import stack as manifest
from layert2v.errors import SpecError
from layert2v.stack import Stack
from layert2v_nuke import status_text
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph import footage_knobs, node, place_knobs, tcl
from layert2v_nuke.graph.knobs import middle_box
from layert2v_nuke.graph.model import INPUTS, ReadColorspace, mute_knob
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.host import Host
from layert2v_nuke.session import versions

SUBJECT_EDITS = {
    "subject_add": "add a subject",
    "subject_nearer": "nearer",
    "subject_farther": "farther",
    "subject_remove": "remove a subject",
}


def create_node(
    host: Host, uuid: str, models: Sequence[str] = (), *, of_selection: bool = False
) -> str:
    """Create a LayerT2V node without a stack and return its uuid.

    ``of_selection`` connects what is selected as its footage.
    """
    with host.undo("Create LayerT2V"):
        offered = tuple(models) or (node.DEFAULT_MODEL,)
        wanted = node.group_node(uuid, None, Path(), ReadColorspace(), models=offered)
        return host.create(wanted, INPUTS.index("footage") if of_selection else None)


def create_shot_nodes(
    host: Host, uuid: str, new: Sequence[str], models: Sequence[str]
) -> list[str]:
    """Create a node like that of ``uuid`` for each new uuid, beside it; return their uuids.

    They have its inputs, and what the artist said about the footage and its subjects.
    """
    if not new:
        return []
    values = host.knob_values(uuid)
    offered = tuple(models) or (values["model"],)
    own = node.footage_values(values)
    numbers = footage_knobs.subject_numbers(values)
    created = []
    with host.undo("LayerT2V: a node for each shot"):
        for place, one in enumerate(new, 1):
            wanted = node.group_node(one, None, Path(), ReadColorspace(), models=offered)
            created.append(host.create_beside(uuid, wanted, place))
            for number in numbers:
                tab = footage_knobs.subject_tab(number, (0.0, 0.0, 0.0, 0.0), 0)
                host.add_knobs(created[-1], tab)
            host.set_knobs(created[-1], own)
    return created


def set_range(host: Host, uuid: str, spec: Mapping[str, Any]) -> None:
    """Let a node of one shot say which frames of the footage it shows."""
    values = {"footage_range": True, "footage_handles": spec["handles"]}
    frames = {"footage_first": spec["first"], "footage_last": spec["last"]}
    host.set_knobs_without_undo(uuid, {**values, **frames}, mark_modified=True)


def change_subjects(host: Host, uuid: str, verb: str, subject: str) -> None:
    """Add a subject, move one in their order, or remove one: a verb of ``SUBJECT_EDITS``."""
    numbers = footage_knobs.subject_numbers(host.knob_values(uuid))
    with host.undo(f"LayerT2V: {SUBJECT_EDITS[verb]}"):
        if verb == "subject_add":
            box = middle_box(*host.footage_size(uuid))
            host.add_knobs(uuid, footage_knobs.subject_tab(len(numbers) + 1, box, host.frame()))
        elif verb == "subject_remove":
            for number in range(int(subject), numbers[-1]):
                _swap_subjects(host, uuid, number, number + 1)
            host.remove_subject(uuid, numbers[-1])
        else:
            other = int(subject) + (-1 if verb == "subject_nearer" else 1)
            if other in numbers:
                _swap_subjects(host, uuid, int(subject), other)


def draw_place(host: Host, uuid: str, number: int) -> None:
    """Give a foreground's place a handle in the viewer, which begins where the place is."""
    values, project = host.knob_values(uuid), host.project()
    size = project.width, project.height
    text = str(values[f"place_{number}"])
    with host.undo(f"LayerT2V: place {number}"):
        host.add_knobs(uuid, place_knobs.place_handle(number, text, size, values))
        box = place_knobs.place_box(text, size)
        words = place_knobs.place_words(box, size, text)
        host.set_knobs(uuid, {f"place_{number}_box": box, f"place_{number}": words})


def move_place(host: Host, uuid: str, number: int) -> None:
    """Write in words where the handle of a foreground's place was moved."""
    values, project = host.knob_values(uuid), host.project()
    size, before = (project.width, project.height), str(values[f"place_{number}"])
    with suppress(SpecError):  # no picture in it: the handle will move on
        words = place_knobs.place_words(values[f"place_{number}_box"], size, before)
        host.set_knobs_without_undo(uuid, {f"place_{number}": words}, mark_modified=True)


def move_hint(host: Host, uuid: str, knob: str) -> None:
    """Let a box or a point that was moved in the viewer count on the frame that is shown."""
    values = footage_knobs.moved_hint(knob, host.knob_values(uuid), host.frame())
    host.set_knobs_without_undo(uuid, values, mark_modified=True)


def _swap_subjects(host: Host, uuid: str, one: int, other: int) -> None:
    values = host.knob_values(uuid)
    for number, source in ((one, other), (other, one)):
        found = footage_knobs.subject_values(values, source)
        host.set_knobs(uuid, {f"subject_{number}_{end}": value for end, value in found.items()})


def import_stack(host: Host, uuid: str, folder: Path) -> str:
    """Create a LayerT2V node that shows a stack and return its uuid.

    Raises ``PluginError`` and ``ManifestError``.
    """
    stack = manifest.read(folder)
    tcl.safe_path(folder)
    colorspace = host.read_colorspace(stack.colorspace)
    with host.undo("Import LayerT2V stack"):
        created = host.create(node.group_node(uuid, None, Path(), ReadColorspace()))
        host.show_stack(created, stack, folder, colorspace)
    host.set_knobs_without_undo(created, status_text.stack_summary(stack))
    return created


def explode(host: Host, uuid: str) -> None:
    """Build the node's stack as open nodes below it.

    Raises ``PluginError`` and ``ManifestError``.
    """
    values = host.knob_values(uuid)
    folder = stack_folder(values)
    stack = versions.stack_with_versions(folder, node.shown_versions(values))
    colorspace = host.read_colorspace(stack.colorspace)
    muted = [layer.name for layer in stack.layers if values[mute_knob(layer.name)]]
    origin = host.position_below(uuid)
    graph = open_comp(stack, folder, colorspace, owner=uuid, origin=origin, muted=muted)
    with host.undo("Explode LayerT2V"):
        host.add_nodes(graph)


def show_chosen_version(host: Host, uuid: str, layer: str) -> None:
    """Show the version that the layer's knob names, its shadow too.

    Raises ``PluginError`` and ``ManifestError``.
    """
    values = host.knob_values(uuid)
    chosen = node.shown_versions(values)
    folder = stack_folder(values)
    for changed in versions.layer_and_shadow(folder, layer, chosen[layer]):
        chosen[changed.name] = changed.version
    stack = versions.stack_with_versions(folder, chosen)
    colorspace = host.read_colorspace(stack.colorspace)
    with host.undo(f"LayerT2V: {layer} v{chosen[layer]:03d}"):
        host.show_stack(uuid, stack, folder, colorspace)
    if values[node.STATUS_KNOB] == node.FAILED:  # such as by a version that does not exist
        host.set_knobs_without_undo(uuid, status_text.stack_summary(stack))


def show_newest_state(host: Host, uuid: str, folder: Path) -> Stack:
    """Show the newest state of a stack in the node.

    Raises ``PluginError`` and ``ManifestError``.
    """
    stack = manifest.read(folder)
    colorspace = host.read_colorspace(stack.colorspace)
    with host.undo(f"LayerT2V: {stack.name} v{stack.state:03d}"):
        host.show_stack(uuid, stack, folder, colorspace)
    return stack


def shown_state(values: Mapping[str, Any]) -> Stack:
    """Return the state of its stack that the node shows.

    Raises ``BadRequest`` where its versions belong to no state, and ``ManifestError``.
    """
    return versions.state_with_versions(stack_folder(values), node.shown_versions(values))


def stack_folder(values: Mapping[str, Any]) -> Path:
    """Return the folder of the node's stack. Raises ``BadRequest`` where it has none yet."""
    if not values["folder"]:
        raise BadRequest("NO_STACK", "There is no stack yet.", "Press Generate first.")
    return Path(values["folder"])
