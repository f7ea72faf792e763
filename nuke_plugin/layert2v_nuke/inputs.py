"""What is connected to a LayerT2V node: its size and frames, its files, and its rendered frames.

Nuke and its nodes are handed in. Undo and the project are the caller's matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from layert2v_nuke.errors import BadRequest, HostRefused
from layert2v_nuke.graph.colorspaces import interop_id, item_value
from layert2v_nuke.graph.model import INPUTS

# A Read with other values shows something else than what is in its files.
_PLAIN_READ = {
    "frame_mode": "expression", "frame": "", "premultiplied": False, "raw": False, "disable": False,
}  # fmt: skip
_SEQUENCE = re.compile(r"[^\[\]{}$]*(?:%0?[0-9]*d|#+)[^\[\]{}$%#]*\.exr")


@dataclass(frozen=True)
class InputImages:
    """What an input shows: a name, its format in pixels, its range, its files.

    ``files`` is a pattern and ``colorspace`` the id of what is in it; both are "" where the input
    is more than files, and has to be rendered.
    """

    name: str
    width: int
    height: int
    first: int
    last: int
    files: str = ""
    colorspace: str = ""


@dataclass(frozen=True)
class InputFrame:
    """One frame of an input to be rendered: its number, a channel or "" for color, a file pattern.

    ``path`` has ``%04d`` for the frame.
    """

    number: int
    channel: str
    path: str
    frame: int


def describe(node: Any, number: int) -> InputImages:
    """Return what is connected to an input of ``node``. Raises ``BadRequest`` for nothing."""
    source = _skip_dots(node.input(number))
    if source is None:
        raise BadRequest(
            "NO_INPUT",
            f"Nothing is connected to the input {INPUTS[number]}.",
            "Connect what should be used.",
        )
    size = source.format()
    first, last = int(source.firstFrame()), int(source.lastFrame())
    found = (int(size.width()), int(size.height()), first, last)
    if source.Class() == "Read":
        files = source["file"].getText()
        space = interop_id(item_value(source["colorspace"].value()))
        is_plain = all(source[name].value() == value for name, value in _PLAIN_READ.items())
        if space and is_plain and _SEQUENCE.fullmatch(files):
            return InputImages(_title(files), *found, files=files, colorspace=space)
    return InputImages(source.name(), *found)


def render(nuke: Any, node: Any, wanted: InputFrame) -> None:
    """Render one frame of an input as it is in the working space. Raises ``HostRefused``.

    A single channel becomes gray without alpha.
    """
    created: list[Any] = []
    try:
        source = node.input(wanted.number)
        if wanted.channel:
            source = _shuffle(nuke, source, wanted.channel)
            created.append(source)
        write = nuke.nodes.Write()
        created.append(write)
        values = {
            "file_type": "exr",
            "file": wanted.path,
            "channels": "rgb" if wanted.channel else "rgba",
            "raw": True,
        }
        for name, value in values.items():
            write[name].setValue(value)
        write.setInput(0, source)
        nuke.execute(write, wanted.frame, wanted.frame, 1)
    except RuntimeError as error:
        raise HostRefused(
            "RENDER_FAILED",
            f"The input cannot be rendered at frame {wanted.frame}: {error}.",
        ) from error
    finally:
        for one in reversed(created):
            nuke.delete(one)


def _shuffle(nuke: Any, source: Any, channel: str) -> Any:
    shuffle = nuke.nodes.Shuffle()
    for name in ("red", "green", "blue"):
        shuffle[name].setValue(channel)
    shuffle["alpha"].setValue("white")
    shuffle.setInput(0, source)
    return shuffle


def _skip_dots(node: Any) -> Any:
    while node is not None and node.Class() == "Dot":
        node = node.input(0)
    return node


def _title(files: str) -> str:
    """Return the name of a sequence without its numbers and ending."""
    return re.sub(r"[_.-]*(%0?[0-9]*d|#+).*", "", PurePosixPath(files).name) or "footage"
