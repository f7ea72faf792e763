"""Status of a node's request as values for its knobs.

All text from elsewhere passes through ``tcl.safe_label``, because Nuke expands labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layert2v.errors import ContractError
from layert2v.spec import GenerateSpec
from layert2v.stack import Stack
from layert2v.status_text import account_text, progress_text, queue_text, state_text, transfer_text
from layert2v_nuke.errors import BadPath, PluginError
from layert2v_nuke.graph import node, tcl
from layert2v_nuke.graph.open_nodes import is_footage
from layert2v_nuke.project import ProjectSettings

Values = dict[str, Any]


def status(state: str, sentence: str) -> Values:
    """Return a new state of the request."""
    values = {node.STATUS_KNOB: state, "progress": "", "tile_color": node.TILE_COLOR}
    return {**values, **_status_and_label(sentence)}


def job_progress(event: Mapping[str, Any]) -> Values:
    """Return the progress in a ``RequestUpdated`` event."""
    state, done, total = event["state"], event["done"], event["total"]
    detail = progress = ""
    if state == "running":
        detail = f"{100 * event['fraction']:.0f} %"
        work = progress_text(event["stage"], done, total, event["eta_s"])
        progress = f"{detail}, {work}"
    elif state == "queued":
        detail = progress = queue_text(event["queue_position"], event["eta_s"]).partition(", ")[2]
    elif total:
        progress = transfer_text(state, done, total)
    values = {"progress": tcl.safe_label(progress), "tile_color": node.TILE_COLOR}
    return {**values, **_status_and_label(state_text(state).capitalize(), detail)}


def render_progress(done: int, total: int) -> Values:
    """Return how many frames of an input are rendered."""
    return {**status(node.RENDERING, "Rendering the input"), "progress": f"{done} of {total}"}


def waiting_for(reason: str) -> Values:
    """Return why the server or the bridge cannot be reached; the request stays."""
    return {**_status_and_label(f"Waiting: {reason}"), "progress": ""}


def stack_summary(stack: Stack, note: str = "") -> Values:
    """Return what the node shows about its stack, and a note on how it came about."""
    origin = "of footage" if is_footage(stack) else f"seed {stack.seed}"
    sentence = f"{stack.name}: {len(stack.layers)} layers, {stack.frames} frames, {origin}."
    account = stack.prompt_interpretation
    interpretation = f" Understood: {account}." if account else ""
    warnings = "".join(f" {warning}." for warning in stack.warnings)
    done = status(node.DONE, f"{sentence}{interpretation}{warnings} {note}".strip())
    return {**done, "label": tcl.safe_label(f"{stack.name} v{stack.state:03d}")}


def failure(error: Mapping[str, Any]) -> Values:
    """Return the end of a request by an error with ``message`` and ``hint``."""
    sentence = f"{error['message']} {error['hint']}".strip()
    values = {"label": tcl.safe_label(sentence, 80), "tile_color": node.FAILED_COLOR}
    return {**status(node.FAILED, sentence), **values}


def error_message(error: PluginError | ContractError) -> Values:
    """Return an error that does not end the active request."""
    return {"status": tcl.safe_label(f"{error.message} {error.hint}".strip(), 600)}


def cancellation() -> Values:
    """Return the end of a request that was cancelled."""
    return {**status(node.CANCELLED, "Cancelled."), "label": ""}


def lost_job() -> Values:
    """Return the end of a request whose job the server does not know."""
    sentence = "The server does not know this job any more. Press Generate or Re-render again."
    return {**status(node.LOST, sentence), "tile_color": node.FAILED_COLOR}


def output_size(spec: GenerateSpec, project: ProjectSettings) -> Values:
    """Return the size and length that are requested, and the project's where they differ."""
    output = f"{spec.width} x {spec.height}, {spec.frames} frames"
    wanted = f"{project.width} x {project.height}, {project.frames} frames"
    return {"size_note": output if output == wanted else f"{output} (project: {wanted})"}


def account(event: Mapping[str, Any]) -> Values:
    """Return what an ``AccountUpdated`` event tells about the user."""
    names = ("used_bytes", "max_bytes", "open_jobs", "queued_jobs", "max_open_jobs")
    return {"account": tcl.safe_label(account_text(*(event[name] for name in names)))}


def preview_image(path: str) -> Values:
    """Return the preview on the panel; nothing where Nuke would run parts of its path."""
    try:
        return {"preview": f"<img src='{tcl.safe_path(Path(path))}'>"}
    except BadPath:
        return {}


def _status_and_label(sentence: str, detail: str = "") -> Values:
    label = tcl.safe_label(f"{sentence} {detail}".strip(), 80)
    return {"status": tcl.safe_label(sentence, 600), "label": label}
