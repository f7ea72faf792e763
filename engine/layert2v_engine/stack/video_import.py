"""Ordinary videos to a layer stack: full video, background, foregrounds on black, mattes, shadows.

Codecs lift black and lower white, and a foreground on black is premultiplied in display-encoded
values; both are undone here before the colors are linearised. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from layert2v.stack import Role, Stack
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import ShadowDomain
from layert2v_engine.image.exr import ExrOptions
from layert2v_engine.image.video import Clip, open_clip
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

_T = TypeVar("_T")
Edges = Literal["auto", "black", "straight"]

# Levels are measured on the first frames and kept for the clip, so that they cannot flicker.
_MEASURED_FRAMES = 8
# Within this distance of 0 and 1 a codec may have moved black and white; more is meant that way.
_LEVEL_RANGE = 0.06
_LEVEL_SHARE = 0.01

# Fitted on synthetic soft mattes through 8-bit 4:2:0 H.264: mean error of the premultiplied linear
# edge 0.058 as it comes, 0.013 when divided by alpha, 0.011 with thin alpha filled from beside it.
_DIVISION_FLOOR = 0.02
_DIVISION_FROM, _DIVISION_TO = 0.02, 0.5
_FILL_SIGMA_PX = 1.5
# A matte that ends before its foreground does turns the division into a bright fringe; the solid
# pixels beside an edge bound its color. Costs 0.0002 of mean error where the matte is right.
_SOLID_ALPHA = 0.95
_NEIGHBOR_PX = 2
_BRIGHTNESS_MARGIN = 0.05

_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForegroundSources:
    """One foreground: its color, its matte (not needed if the color has alpha), its shadow.

    A matte is white where the foreground is, a shadow white where the shadow is deepest.
    """

    color: Path
    matte: Path | None = None
    shadow: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportSources:
    """The videos of one stack; foregrounds run from back to front."""

    background: Path
    foregrounds: tuple[ForegroundSources, ...]
    full: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """How videos become layers.

    ``fps``, ``matrix`` and ``full_range`` override what the files say. ``edges`` tells whether
    foregrounds are on black or straight; ``auto`` looks at the color where the matte is empty.
    ``levels`` moves the codec's black and white of mattes back to 0 and 1.
    """

    name: str
    fps: float | None = None
    start_frame: int = 1001
    colorspace: str = "lin_rec709_scene"
    source_colorspace: str = "srgb_rec709_scene"
    matrix: str | None = None
    full_range: bool | None = None
    edges: Edges = "auto"
    levels: bool = True
    shadow_domain: ShadowDomain = "display"
    exr: ExrOptions | None = None


class Levels(NamedTuple):
    """The values that count as 0 and as 1 in a matte."""

    black: float = 0.0
    white: float = 1.0

    def apply(self, matte: Tensor) -> Tensor:
        """Return the matte, any shape, stretched and clamped to 0..1."""
        return ((matte - self.black) / (self.white - self.black)).clamp(0.0, 1.0)


def import_videos(
    sources: ImportSources,
    folder: Path,
    options: ImportOptions,
    *,
    config: ColorConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Stack:
    """Write the stack of ``sources`` into ``folder``. ``progress(done, total)`` counts frames.

    Raises ``FootageError`` for clips that cannot be read or do not fit each other, ``StackError``,
    ``ColorError`` and ``DiskFull``; nothing is left behind then.
    """
    clips = _open_clips(sources, options)
    first = clips.all[0][1].info
    fps = options.fps or _common_fps(clips)
    foregrounds = [_ForegroundReader(number, clip, options) for number, clip in clips.foregrounds]
    with StackWriter(
        folder,
        name=options.name,
        width=first.width,
        height=first.height,
        pixel_aspect=first.pixel_aspect,
        fps=fps,
        start_frame=options.start_frame,
        frames=first.frames,
        colorspace=options.colorspace,
        source_colorspace=options.source_colorspace,
        shadow_domain=options.shadow_domain,
        exr=options.exr,
        config=config,
    ) as writer:
        writer.add_layer("bg", Role.background, source="imported")
        for foreground in foregrounds:
            foreground.declare(writer)
        _write_frames(writer, clips, foregrounds, first.frames, progress)
        return writer.finish(
            Provenance(
                action="import",
                warnings=_warnings(clips),
                spec={label: clip.path.name for label, clip in clips.all},
            ),
        )


def measure_levels(mattes: list[Tensor]) -> Levels:
    """Return where a codec has put black and white of mattes ``[H, W]`` in 0..1.

    That is the commonest value near each end, and one code more. An end without at least 1 % of the
    pixels near it stays where it is.
    """
    values = torch.cat([matte.flatten() for matte in mattes])
    codes = torch.bincount((values * 255.0).round().long(), minlength=256)
    span, threshold = round(_LEVEL_RANGE * 255), _LEVEL_SHARE * len(values)
    low, high = codes[: span + 1], codes[255 - span :]
    black = int(low.argmax()) if low.sum() >= threshold else 0
    white = 255 - span + int(high.argmax()) if high.sum() >= threshold else 255
    return Levels(
        black=(black + 1) / 255.0 if black > 0 else 0.0,
        white=(white - 1) / 255.0 if white < 255 else 1.0,
    )


def unpremultiply_from_black(rgb: Tensor, alpha: Tensor, black: Tensor) -> Tensor:
    """Return straight color of a foreground ``rgb`` on ``black`` ``[3]``, both ``[3, H, W]``.

    ``alpha`` is ``[H, W]``. All values are display-encoded, as the premultiplication was. Color is
    divided by alpha. Where alpha is thin, so that the division would blow up the codec's noise, the
    alpha-weighted mean of the neighbourhood fades in. No edge gets brighter than the solid
    foreground beside it.
    """
    premultiplied = (rgb - (1.0 - alpha) * black[:, None, None]).clamp_min(0.0)
    divided = premultiplied / alpha.clamp_min(_DIVISION_FLOOR)
    blurred = _blur(torch.cat((premultiplied, alpha[None])))
    nearby = blurred[:3] / blurred[3:].clamp_min(1e-3)
    weight = ((alpha - _DIVISION_FROM) / (_DIVISION_TO - _DIVISION_FROM)).clamp(0.0, 1.0)
    weight = weight * weight * (3.0 - 2.0 * weight)
    straight = nearby + weight * (divided - nearby)
    return torch.minimum(straight, _edge_color_limit(premultiplied, alpha)).clamp(0.0, 1.0)


def _edge_color_limit(premultiplied: Tensor, alpha: Tensor) -> Tensor:
    """Return the largest color a pixel may have, ``[3, H, W]``; infinite far from solid pixels."""
    solid = (alpha >= _SOLID_ALPHA).to(premultiplied.dtype)[None]
    neighbors = F.max_pool2d(
        torch.cat((premultiplied * solid, solid))[None], 2 * _NEIGHBOR_PX + 1, 1, _NEIGHBOR_PX
    )[0]
    return torch.where(neighbors[3:] > 0.0, neighbors[:3] + _BRIGHTNESS_MARGIN, torch.inf)


class _ForegroundClip(NamedTuple):
    color: Clip
    matte: Clip | None
    shadow: Clip | None


class _Clips(NamedTuple):
    full: Clip | None
    background: Clip
    foregrounds: list[tuple[int, _ForegroundClip]]
    all: list[tuple[str, Clip]]  # with their labels for messages, full first


class _ForegroundReader:
    """One foreground while its frames are read: levels measured, iterators open."""

    def __init__(self, number: int, clips: _ForegroundClip, options: ImportOptions) -> None:
        self.name, self.shadow_name = f"fg_{number:02d}", f"shadow_{number:02d}"
        self._clips = clips
        sample = list(islice(self._read_pairs(), _MEASURED_FRAMES))
        mattes = [matte for _, matte in sample]
        self._levels = measure_levels(mattes) if options.levels else Levels()
        empty = [rgb[:, self._levels.apply(matte) <= 0.0] for rgb, matte in sample]
        outside = torch.cat(empty, dim=1)
        black = outside.median(dim=1).values if outside.shape[1] else torch.zeros(3)
        on_black = options.edges == "black" or (
            options.edges == "auto" and float(black.max()) <= _LEVEL_RANGE
        )
        self._black = black.clamp_max(_LEVEL_RANGE) if on_black else None
        self._frames = self._read_pairs()
        self._shadows = iter(clips.shadow) if clips.shadow else None
        shadow_sample = list(islice(clips.shadow, _MEASURED_FRAMES)) if clips.shadow else []
        measured = options.levels and bool(shadow_sample)
        self._shadow_levels = (
            measure_levels([_luma(frame.rgb) for frame in shadow_sample]) if measured else Levels()
        )

    def declare(self, writer: StackWriter) -> None:
        if self._shadows is not None:
            writer.add_layer(self.shadow_name, Role.shadow, caster=self.name, source="imported")
        writer.add_layer(self.name, Role.foreground, source="imported")

    def write(self, writer: StackWriter, index: int) -> None:
        if self._shadows is not None:
            opacity = _luma(_next_frame(self._shadows, self.shadow_name, index).rgb)
            writer.write_frame(self.shadow_name, index, None, self._shadow_levels.apply(opacity))
        rgb, matte = _next_frame(self._frames, self.name, index)
        alpha = self._levels.apply(matte)
        straight = rgb if self._black is None else unpremultiply_from_black(rgb, alpha, self._black)
        writer.write_frame(self.name, index, straight, alpha)

    def _read_pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._clips.matte is None:
            for frame in self._clips.color:
                if frame.alpha is None:
                    raise FootageError(
                        f"{self._clips.color.path} has no alpha, so it needs a matte.",
                        "Add --matte.",
                        reason="MATTE_MISSING",
                    )
                yield frame.rgb, frame.alpha
            return
        for frame, matte in zip(self._clips.color, self._clips.matte, strict=False):
            yield frame.rgb, _luma(matte.rgb)


def _write_frames(
    writer: StackWriter,
    clips: _Clips,
    foregrounds: list[_ForegroundReader],
    frames: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    background = iter(clips.background)
    full = iter(clips.full) if clips.full else None
    for index in range(frames):
        writer.write_frame("bg", index, _next_frame(background, "background", index).rgb)
        for foreground in foregrounds:
            foreground.write(writer, index)
        if full is not None:
            writer.write_ref(index, _next_frame(full, "full video", index).rgb)
        if progress is not None:
            progress(index + 1, frames)


def _next_frame(frames: Iterator[_T], label: str, index: int) -> _T:
    frame = next(frames, None)
    if frame is None:
        raise FootageError(
            f"The {label} ends after {index} frames, before it should.",
            "The file may be damaged; play it to its end.",
            reason="FOOTAGE_SHORT",
        )
    return frame


def _open_clips(sources: ImportSources, options: ImportOptions) -> _Clips:
    def open_optional(path: Path | None) -> Clip | None:
        if path is None:
            return None
        return open_clip(path, matrix=options.matrix, full_range=options.full_range)

    full = open_optional(sources.full)
    background = open_clip(sources.background, matrix=options.matrix, full_range=options.full_range)
    labeled: list[tuple[str, Clip | None]] = [("full video", full), ("background", background)]
    foregrounds = []
    for number, each in enumerate(sources.foregrounds, start=1):
        color = open_clip(each.color, matrix=options.matrix, full_range=options.full_range)
        clip = _ForegroundClip(color, open_optional(each.matte), open_optional(each.shadow))
        foregrounds.append((number, clip))
        suffix = f" {number}" if len(sources.foregrounds) > 1 else ""
        names = (f"foreground{suffix}", f"matte{suffix}", f"shadow{suffix}")
        labeled += zip(names, clip, strict=True)
    present = [(label, clip) for label, clip in labeled if clip is not None]
    _check_agreement(present)
    return _Clips(full, background, foregrounds, present)


def _check_agreement(clips: list[tuple[str, Clip]]) -> None:
    reference, first = clips[0][0], clips[0][1].info
    for label, clip in clips[1:]:
        info = clip.info
        if (info.width, info.height) != (first.width, first.height):
            raise FootageError(
                f"The {label} is {info.width} x {info.height} pixels, "
                f"but the {reference} is {first.width} x {first.height}.",
                "All clips of a stack have one size; scale them first.",
                reason="SIZES_DIFFER",
            )
        if info.frames != first.frames:
            raise FootageError(
                f"The {label} has {info.frames} frames, but the {reference} has {first.frames}.",
                "All clips of a stack have one length; trim them first.",
                reason="LENGTHS_DIFFER",
            )


def _common_fps(clips: _Clips) -> float:
    rates = [(label, clip.info.fps) for label, clip in clips.all if clip.info.fps]
    if not rates:
        raise FootageError(
            "Image sequences do not say how fast they run.", "Add --fps.", reason="FPS_UNKNOWN"
        )
    reference, fps = rates[0]
    for label, other in rates[1:]:
        if abs(other - fps) > 0.01:
            raise FootageError(
                f"The {label} runs at {other:g} fps, but the {reference} at {fps:g}.",
                "Add --fps to say which is meant.",
                reason="FPS_DIFFER",
            )
    return fps


def _warnings(clips: _Clips) -> tuple[str, ...]:
    """Return one sentence for all files about which the same was assumed."""
    files: dict[tuple[str, ...], list[str]] = {}
    for _, clip in clips.all:
        if clip.info.assumed:
            files.setdefault(clip.info.assumed, []).append(clip.path.name)
    return tuple(
        f"Colours taken as {' and '.join(assumed)}, which no tag says: {', '.join(names)}."
        for assumed, names in files.items()
    )


def _luma(rgb: Tensor) -> Tensor:
    """Return a grey image ``[3, H, W]`` as one plane; for R = G = B the weights do not matter."""
    red, green, blue = _LUMA
    return red * rgb[0] + green * rgb[1] + blue * rgb[2]


def _blur(planes: Tensor) -> Tensor:
    """Blur ``[C, H, W]`` with a Gaussian, edges repeated."""
    radius = round(3 * _FILL_SIGMA_PX)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / _FILL_SIGMA_PX) ** 2)
    kernel = (kernel / kernel.sum()).to(planes.device)
    stacked = F.pad(planes[:, None], (radius,) * 4, mode="replicate")
    rows = F.conv2d(stacked, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1))[:, 0]
