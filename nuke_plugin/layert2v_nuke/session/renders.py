"""Renders inputs of a node to files, a frame at a time, so that Nuke stays responsive."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph import tcl
from layert2v_nuke.host import Host
from layert2v_nuke.inputs import InputFrame

FOLDER = "renders"  # beside the stacks; what is in it goes when its request has succeeded


@dataclass
class Rendering:
    """A render in progress: how many frames it has, and which are left."""

    total: int
    left: list[InputFrame]


def input_frames(
    folder: Path, name: str, number: int, frames: Iterable[int], channel: str = ""
) -> tuple[InputFrame, ...]:
    """Return the frames of an input as ``folder/name/name.NNNN.exr``. Raises ``BadPath``."""
    path = f"{tcl.safe_path(folder / name)}/{name}.%04d.exr"
    return tuple(InputFrame(number, channel, path, frame) for frame in frames)


def start(frames: Sequence[InputFrame]) -> Rendering:
    """Make the folders of ``frames``. Raises ``BadRequest``."""
    for folder in {Path(frame.path).parent for frame in frames}:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            message = f"The input cannot be rendered to {folder}: {error.strerror}."
            raise BadRequest("FOLDER_NOT_MADE", message, "Choose another folder.") from error
    return Rendering(len(frames), list(frames))


def render_next_frame(host: Host, uuid: str, rendering: Rendering) -> bool:
    """Render a frame; return False when there is none left. Raises ``HostRefused``."""
    if not rendering.left:
        return False
    host.render_frame(uuid, rendering.left.pop(0))
    return True


def remove(
    inputs: Mapping[str, Sequence[str]], stacks: Path, others: Iterable[Mapping[str, Sequence[str]]]
) -> None:
    """Remove what was rendered for a request; the artist's own files stay, and ``others``' inputs.

    The shots of one edit share their inputs.
    """
    in_use = {folder for each in others for folder in _folders(each)}
    for folder in _folders(inputs) - in_use:
        if folder.parent == stacks / FOLDER:
            shutil.rmtree(folder, ignore_errors=True)


def _folders(inputs: Mapping[str, Sequence[str]]) -> set[Path]:
    return {Path(path).parent for given in inputs.values() for path in given}
