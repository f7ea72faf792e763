"""One sample of a layered data set: which files it is in, and its frames.

Knows no form of data set: those give the files, this reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from layert2v_engine.errors import EngineError
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.info import ImageFrame


class DataSetError(EngineError):
    """A data set of layered video that cannot be read."""

    reason = "DATA_SET_UNUSABLE"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFiles:
    """The files of one foreground; ``color``, ``shadow``, ``light`` are None where there are none.

    Without ``color`` the foreground is the full video times the matte, as the authors have it.
    ``over`` shows it over all that lies below it: what is left when the foregrounds above it are
    peeled off. The topmost has none, since that is the full video.
    """

    matte: Path
    caption: str = ""
    color: Path | None = None
    shadow: Path | None = None
    light: Path | None = None
    over: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleFiles:
    """Where the streams of a sample are, and what is said of them; foregrounds bottom to top."""

    name: str
    full: Path
    background: Path
    foregrounds: tuple[LayerFiles, ...]
    caption: str = ""
    background_caption: str = ""
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def captions(self) -> tuple[str, ...]:
        """Captions of the whole, of each foreground, and of the background."""
        return (self.caption, *(each.caption for each in self.foregrounds), self.background_caption)


class DataSet(Protocol):
    """Samples by number; reading frames is ``read_sample``."""

    @property
    def samples(self) -> Sequence[SampleFiles]:
        """All samples, in a fixed order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleLayer:
    """One foreground: ``color`` [T, 3, H, W] straight, ``matte`` and ``shadow`` [T, 1, H, W].

    ``light`` [T, 3, H, W], display-referred, is what it adds to the background: a reflection,
    bounced light; ``over`` is like the full video, as ``LayerFiles`` has it.
    """

    color: Tensor
    matte: Tensor
    shadow: Tensor | None
    light: Tensor | None = None
    over: Tensor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LayeredSample:
    """A sample in memory, float32 0..1: display-referred pictures [T, 3, H, W], linear mattes."""

    files: SampleFiles
    full: Tensor
    background: Tensor
    foregrounds: tuple[SampleLayer, ...]


def read_sample(files: SampleFiles) -> LayeredSample:
    """Read all layers of a sample.

    Raises ``DataSetError``, which names the clip, where a file is missing or the layers have
    different lengths or sizes; ``FootageError`` for a file that cannot be read.
    """
    full = _read_video(files, files.full, "full video")
    background = _read_video(files, files.background, "background")
    _require_same(files, "background", background, full)
    layers = []
    for number, each in enumerate(files.foregrounds, 1):
        matte = _read_plane(files, each.matte, f"matte {number}", full)
        shadow = None
        if each.shadow is not None:
            shadow = _read_plane(files, each.shadow, f"shadow {number}", full)
        color, light, over = full, None, None
        if each.color is not None:
            color = _read_video(files, each.color, f"foreground {number}")
            _require_same(files, f"foreground {number}", color, full)
        if each.light is not None:
            light = _read_video(files, each.light, f"light {number}")
            _require_same(files, f"light {number}", light, full)
        if each.over is not None:
            over = _read_video(files, each.over, f"video over foreground {number}")
            _require_same(files, f"video over foreground {number}", over, full)
        layer = SampleLayer(color=color, matte=matte, shadow=shadow, light=light, over=over)
        layers.append(layer)
    return LayeredSample(files=files, full=full, background=background, foregrounds=tuple(layers))


def _read_video(files: SampleFiles, path: Path, label: str) -> Tensor:
    return torch.stack([frame.rgb for frame in _frames(files, path, label)]).clamp(0, 1)


def _read_plane(files: SampleFiles, path: Path, label: str, full: Tensor) -> Tensor:
    """Return a matte [T, 1, H, W]: the fourth channel, or the mean of three, as the authors do."""
    planes = [
        frame.rgb.mean(0) if frame.alpha is None else frame.alpha
        for frame in _frames(files, path, label)
    ]
    matte = torch.stack(planes)[:, None].clamp(0, 1)
    _require_same(files, label, matte, full)
    return matte


def _frames(files: SampleFiles, path: Path, label: str) -> list[ImageFrame]:
    if not path.exists():
        raise DataSetError(
            f"Clip {files.name} has no {label}: there is no {path}.",
            "Copy the missing file, or remove the clip from the data set.",
            reason="LAYER_MISSING",
        )
    return list(open_clip(path))


def _require_same(files: SampleFiles, label: str, layer: Tensor, full: Tensor) -> None:
    for what, own, other in (
        ("frames", layer.shape[0], full.shape[0]),
        ("pixels", tuple(layer.shape[:-3:-1]), tuple(full.shape[:-3:-1])),
    ):
        if own != other:
            raise DataSetError(
                f"Clip {files.name}: the {label} has {own} {what}, the full video {other}.",
                "Make all layers of the clip alike, or remove it from the data set.",
                reason="LAYERS_DIFFER",
            )
