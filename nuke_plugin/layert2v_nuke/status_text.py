"""What a node says about its request, in the artist's words: values for its knobs.

Everything that comes from elsewhere passes through ``tcl.label``, because Nuke expands labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layert2v.errors import ContractError
from layert2v.spec import GenerateSpec
from layert2v.stack import Stack
from layert2v_nuke.errors import BadPath, PluginError
from layert2v_nuke.graph import node, tcl
from layert2v_nuke.session.requests import Project

Values = dict[str, Any]

_STATES = {
    "waiting": "Waiting for the server",
    "uploading": "Sending files",
    "queued": "In the queue",
    "running": "Working",
    "cancelling": "Cancelling",
    "fetching": "Fetching pictures",
}
_STAGES = {
    "load": "loading the model", "text": "reading the prompt", "denoise": "drawing",
    "decode": "developing frames", "write": "writing files", "encode": "reading layers",
}  # fmt: skip


def life(state: str, sentence: str) -> Values:
    """A new state of the request."""
    return {"l2v_life": state, **_told(sentence), "progress": "", "tile_color": node.TILE_COLOUR}


def changed(event: Mapping[str, Any]) -> Values:
    """A ``RequestUpdated`` event."""
    parts = []
    if event["queue_position"] is not None and event["state"] == "queued":
        parts.append(f"{event['queue_position']} ahead")
    if event["state"] == "running":
        parts.append(f"{100 * event['fraction']:.0f} %")
        parts.append(_STAGES.get(event["stage"], event["stage"]))
    if event["total"]:
        parts.append(f"{event['done']} of {event['total']}")
    if event["eta_s"] is not None:
        parts.append(f"about {_duration(event['eta_s'])} left")
    progress = ", ".join(part for part in parts if part)
    sentence = _STATES[event["state"]]
    return {**_told(sentence, parts[0] if parts else ""), "progress": tcl.label(progress),
            "tile_color": node.TILE_COLOUR}  # fmt: skip


def rendering(done: int, total: int) -> Values:
    """A frame of an input is rendered."""
    return {**life(node.RENDERING, "Rendering the input"), "progress": f"{done} of {total}"}


def waiting(why: str) -> Values:
    """The server or the bridge is away; the request stays."""
    return {**_told(f"Waiting: {why}", "waiting"), "progress": ""}


def shown(stack: Stack) -> Values:
    """A stack is in the node."""
    sentence = (
        f"{stack.name}: {len(stack.layers)} layers, {stack.frames} frames, seed {stack.seed}."
    )
    understood = f" Understood: {stack.understood}." if stack.understood else ""
    warnings = "".join(f" {warning}." for warning in stack.warnings)
    done = life(node.DONE, f"{sentence}{understood}{warnings}")
    return {**done, "label": tcl.label(f"{stack.name} v{stack.state:03d}")}


def failed(problem: Mapping[str, Any]) -> Values:
    """The end, with ``message`` and ``hint``."""
    sentence = f"{problem['message']} {problem['hint']}".strip()
    return {**life(node.FAILED, sentence), "label": tcl.label(sentence, 80),
            "tile_color": node.FAILED_COLOUR}  # fmt: skip


def told(problem: PluginError | ContractError) -> Values:
    """Something is wrong, but what the node waits for goes on."""
    return {"status": tcl.label(f"{problem.message} {problem.hint}".strip(), 600)}


def cancelled() -> Values:
    """The end that was wanted."""
    return {**life(node.CANCELLED, "Cancelled."), "label": ""}


def unknown() -> Values:
    """The end that nobody knows of."""
    sentence = "The server does not know this job any more. Ask again."
    return {**life(node.LOST, sentence), "tile_color": node.FAILED_COLOUR}


def made_as(spec: GenerateSpec, project: Project) -> Values:
    """How the size was snapped."""
    made = f"{spec.width} x {spec.height}, {spec.frames} frames"
    asked = f"{project.width} x {project.height}, {project.last - project.first + 1} frames"
    return {"size_note": made if made == asked else f"{made} (project: {asked})"}


def preview(path: str) -> Values:
    """A picture on the panel; none where its path is nothing that Nuke would take as text."""
    try:
        return {"preview": f"<img src='{tcl.path(Path(path))}'>"}
    except BadPath:
        return {}


def _told(sentence: str, short: str = "") -> Values:
    status = tcl.label(sentence, 600)
    return {"status": status, "label": tcl.label(f"{sentence} {short}".strip(), 80)}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
