"""A stack as Blender shows it, as plain data: which layers, which versions, at which frames.

The compositor, the planes and the strips are made from this and know no manifest and no property.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layert2v.stack import frame_path


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerView:
    """One layer in the version that is shown; ``pattern`` is relative to the stack's folder."""

    name: str
    pattern: str
    visible: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class StackView:
    """A stack at its place in a scene; ``layers`` run from bottom to top.

    The file numbered ``first_file`` is shown at the scene's frame ``first_frame``. Where Blender
    does not offer ``colorspace``, ``nearest_colorspace`` takes the nearest.
    """

    uid: str
    name: str
    folder: Path
    width: int
    height: int
    pixel_aspect: float
    frames: int
    first_file: int
    first_frame: int
    colorspace: str
    nearest_colorspace: bool = False
    layers: tuple[LayerView, ...]

    @property
    def layer_names(self) -> list[str]:
        """The layers' names from bottom to top."""
        return [layer.name for layer in self.layers]

    def files(self, layer: LayerView) -> list[Path]:
        """Return the files of a layer, one per frame."""
        numbers = range(self.first_file, self.first_file + self.frames)
        return [self.folder / frame_path(layer.pattern, number) for number in numbers]
