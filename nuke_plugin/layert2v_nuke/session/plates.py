"""Renders an input of a node to files, a frame at a time, so that Nuke stays responsive."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from layert2v.stack import Role, Stack
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph import tcl
from layert2v_nuke.host import Host

INPUT_NAMES = ("bg", "fg")  # by number


@dataclass
class PlateRender:
    """A render in progress: its layer and color space, and the frames that are left."""

    layer: str
    colorspace: str
    number: int
    folder: Path
    pattern: str
    total: int
    frames: list[int] = field(default_factory=list)


def start_plate(
    host: Host, uuid: str, stack: Stack, layer: str, colorspace: str, folder: Path
) -> PlateRender:
    """Prepare the plate for a layer, in a new ``folder``. Raises ``BadRequest`` and ``BadPath``."""
    number = 0 if stack.layer(layer).role is Role.background else 1
    if not host.has_input(uuid, number):
        message = f"Nothing is connected to the input {INPUT_NAMES[number]}."
        raise BadRequest("NO_INPUT", message, "Connect what should be used.")
    pattern = f"{tcl.safe_path(folder)}/{layer}.%04d.exr"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        message = f"The input cannot be rendered to {folder}: {error.strerror}."
        raise BadRequest("FOLDER_NOT_MADE", message, "Choose another folder.") from error
    frames = list(range(stack.start_frame, stack.start_frame + stack.frames))
    return PlateRender(layer, colorspace, number, folder, pattern, len(frames), frames)


def render_next_frame(host: Host, uuid: str, plate: PlateRender) -> bool:
    """Render a frame; return False when there is none left. Raises ``HostRefused``."""
    if not plate.frames:
        return False
    host.render_frame(uuid, plate.number, plate.pattern, plate.frames.pop(0))
    return True
