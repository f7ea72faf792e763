"""An artist's own footage to a layer stack: full video, background, foregrounds, mattes, shadows.

Codecs lift black and lower white, and a foreground on black is premultiplied in display-encoded
values; both are undone here before the colors are linearised. Each clip is read in the color space
that it states. Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from layert2v.rerender import AUTO
from layert2v.stack import Role, Stack
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import ShadowDomain, to_half
from layert2v_engine.image.exr import ExrOptions
from layert2v_engine.image.footage.alpha import (
    MEASURED_FRAMES,
    choose_alpha,
    find_matte,
    make_opaque,
    read_matte,
    to_linear_rgba,
)
from layert2v_engine.image.footage.clip import Clip, open_clip
from layert2v_engine.image.footage.color_tags import find_colorspace
from layert2v_engine.image.footage.info import ImageFrame
from layert2v_engine.image.footage.matting import (
    LEVEL_RANGE,
    Levels,
    measure_levels,
    unpremultiply_from_black,
)
from layert2v_engine.image.footage.stills import StillSequence
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

Edges = Literal["auto", "black", "straight"]


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

    ``fps``, ``source_colorspace``, ``matrix`` and ``full_range`` override what the files say.
    ``edges`` tells whether foregrounds are on black or straight; ``auto`` is what the file says of
    its own alpha, else it looks at the color where the matte is empty. ``levels`` moves a lossy
    codec's black and white of mattes back to 0 and 1.
    """

    name: str
    fps: float | None = None
    start_frame: int = 1001
    colorspace: str = "lin_rec709_scene"
    source_colorspace: str = AUTO
    matrix: str | None = None
    full_range: bool | None = None
    edges: Edges = "auto"
    levels: bool = True
    shadow_domain: ShadowDomain = "display"
    exr: ExrOptions | None = None


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
    config = config or ColorConfig.load()
    _check_fps(options.fps)
    clips = _open_clips(sources, options, config)
    infos = [reader.info for reader in clips.all]
    foregrounds = [_ForegroundReader(number, each, options) for number, each in clips.foregrounds]
    with StackWriter(
        folder,
        name=options.name,
        width=infos[0].width,
        height=infos[0].height,
        pixel_aspect=next((each.pixel_aspect for each in infos if each.pixel_aspect), 1.0),
        fps=options.fps or _common_fps(clips),
        start_frame=options.start_frame,
        frames=clips.frames,
        colorspace=options.colorspace,
        source_colorspace=options.colorspace,
        shadow_domain=options.shadow_domain,
        exr=options.exr,
        config=config,
        timecode=next((each.timecode for each in infos if each.timecode), ""),
    ) as writer:
        writer.add_layer("bg", Role.background, source="imported", tags=clips.background.tags)
        for foreground in foregrounds:
            foreground.declare(writer)
        _write_frames(writer, clips, foregrounds, clips.frames, progress)
        notes = _notes(clips, foregrounds)
        return writer.finish(
            Provenance(
                action="import",
                warnings=notes,
                note=" ".join(notes),
                spec={reader.label: reader.clip.path.name for reader in clips.all},
            ),
        )


class _ClipReader:
    """A clip with the color space that it is read in."""

    def __init__(self, label: str, clip: Clip, options: ImportOptions, config: ColorConfig) -> None:
        self.label, self.clip, self.info = label, clip, clip.info
        working = config.find_linear(options.colorspace).name
        self.colorspace, self.notes = find_colorspace(
            clip.info, clip.path, options.source_colorspace, config, working
        )
        self.is_linear = config.find(self.colorspace).linear
        self.to_linear = config.transform(self.colorspace, working)
        self.tags = {"input_transform": f"{self.colorspace} to {working} ({config.label})"}

    @property
    def is_held(self) -> bool:
        """Tell whether this is a single image, which stays for the whole length of the stack."""
        return isinstance(self.clip, StillSequence) and self.info.frames == 1

    def frames(self) -> Iterator[ImageFrame]:
        """Yield frames, without end where one is held."""
        if isinstance(self.clip, StillSequence) and self.is_held:
            return repeat(self.clip.read(0))
        return iter(self.clip)

    def sample(self) -> list[ImageFrame]:
        """Return the first frames, which are measured."""
        return list(islice(self.clip, MEASURED_FRAMES))

    def opaque_frames(self) -> Iterator[Tensor]:
        """Yield frames as a background is delivered: half ``[H, W, 4]``, over black."""
        kind, notes = choose_alpha(self.info, self.clip.path.name, AUTO)
        self.notes += notes if self.info.alpha else ()
        for frame in self.frames():
            pixels = to_linear_rgba(frame, self.to_linear, kind, self.is_linear)
            yield to_half(make_opaque(pixels))


class _ForegroundClips(NamedTuple):
    color: _ClipReader
    matte: _ClipReader | None
    shadow: _ClipReader | None


class _Clips(NamedTuple):
    full: _ClipReader | None
    background: _ClipReader
    foregrounds: list[tuple[int, _ForegroundClips]]
    all: list[_ClipReader]  # full first

    @property
    def frames(self) -> int:
        """The length of the stack: that of any clip that is not one image, held."""
        return max(reader.info.frames for reader in self.all)


class _MatteReader:
    """A matte or a shadow while its frames are read, with what was measured at its start."""

    def __init__(self, reader: _ClipReader, options: ImportOptions) -> None:
        sample = reader.sample()
        self._place, self.notes = find_matte(sample, reader.clip.path.name)
        info = reader.info
        lossless = info.is_alpha_lossless if self._place == "alpha" else info.is_lossless
        planes = [read_matte(frame, self._place) for frame in sample]
        measured = options.levels and planes and not lossless
        self.levels = measure_levels(planes) if measured else Levels()
        self._reader = reader

    def frames(self) -> Iterator[Tensor]:
        """Yield mattes ``[H, W]`` in 0..1."""
        for frame in self._reader.frames():
            yield self.levels.apply(read_matte(frame, self._place))


class _ForegroundReader:
    """One foreground while its frames are read: what was measured, iterators open."""

    def __init__(self, number: int, clips: _ForegroundClips, options: ImportOptions) -> None:
        self.name, self.shadow_name = f"fg_{number:02d}", f"shadow_{number:02d}"
        self._color = clips.color
        self._matte = _MatteReader(clips.matte, options) if clips.matte else None
        self._shadow = _MatteReader(clips.shadow, options) if clips.shadow else None
        self._notes: tuple[str, ...] = ()
        sample = clips.color.sample()
        self._levels = self._measure_levels(sample, options)
        mattes = self._matte.frames() if self._matte else map(self._own_alpha, sample)
        pairs = list(zip(sample, mattes, strict=False))
        self._black: Tensor | None = None
        self._kind = self._choose_kind(pairs, options)
        self._frames = self._read_pixels()
        self._shadows = self._shadow.frames() if self._shadow else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed or overruled."""
        readers = [each for each in (self._matte, self._shadow) if each is not None]
        return (*self._notes, *(note for each in readers for note in each.notes))

    def declare(self, writer: StackWriter) -> None:
        """Declare the layers of this foreground."""
        if self._shadows is not None:
            writer.add_layer(self.shadow_name, Role.shadow, caster=self.name, source="imported")
        tags = self._color.tags
        writer.add_layer(self.name, Role.foreground, source="imported", tags=tags)

    def write(self, writer: StackWriter, index: int) -> None:
        """Write the next frame of its layers."""
        if self._shadows is not None:
            opacity = _next_frame(self._shadows, self.shadow_name, index)
            writer.write_frame(self.shadow_name, index, None, opacity)
        writer.write_pixels(self.name, index, _next_frame(self._frames, self.name, index))

    def _own_alpha(self, frame: ImageFrame) -> Tensor:
        if frame.alpha is None:
            raise FootageError(
                f"{self._color.clip.path} has no alpha, so it needs a matte.",
                "Add --matte.",
                reason="MATTE_MISSING",
            )
        return self._levels.apply(frame.alpha)

    def _measure_levels(self, sample: list[ImageFrame], options: ImportOptions) -> Levels:
        if self._matte is not None or not options.levels or self._color.info.is_alpha_lossless:
            return Levels()
        planes = [frame.alpha for frame in sample if frame.alpha is not None]
        return measure_levels(planes) if planes else Levels()

    def _choose_kind(self, pairs: list[tuple[ImageFrame, Tensor]], options: ImportOptions) -> str:
        """Return how color and alpha are related, and measure black where the color lies on it."""
        empty = [frame.rgb[:, matte <= 0.0] for frame, matte in pairs]
        outside = torch.cat(empty, dim=1) if empty else torch.zeros(3, 0)
        black = outside.median(dim=1).values if outside.shape[1] else torch.zeros(3)
        asked = {"black": "premultiplied"}.get(options.edges, options.edges)
        if self._matte is None:
            sample = [frame for frame, _ in pairs]
            name = self._color.clip.path.name
            kind, self._notes = choose_alpha(self._color.info, name, asked, sample)
            on_black = kind == "premultiplied" and not self._color.info.is_lossless
        else:
            is_dark = float(black.max()) <= LEVEL_RANGE
            kind = ("premultiplied" if is_dark else "straight") if asked == AUTO else asked
            on_black = kind == "premultiplied"
        if on_black and not self._color.is_linear:
            self._black = black.clamp_max(LEVEL_RANGE)
        return kind

    def _read_pixels(self) -> Iterator[Tensor]:
        """Yield frames as they are delivered: half ``[H, W, 4]``."""
        color = self._color
        mattes = self._matte.frames() if self._matte else None
        for frame in color.frames():
            alpha = next(mattes, None) if mattes else self._own_alpha(frame)
            if alpha is None:
                return
            if self._black is not None:
                straight = unpremultiply_from_black(frame.rgb, alpha, self._black)
                frame = ImageFrame(straight, alpha)
                pixels = to_linear_rgba(frame, color.to_linear, "straight", color.is_linear)
            else:
                frame = ImageFrame(frame.rgb, alpha)
                pixels = to_linear_rgba(frame, color.to_linear, self._kind, color.is_linear)
            yield to_half(pixels)


def _write_frames(
    writer: StackWriter,
    clips: _Clips,
    foregrounds: list[_ForegroundReader],
    frames: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    background = clips.background.opaque_frames()
    full = clips.full.opaque_frames() if clips.full else None
    for index in range(frames):
        writer.write_pixels("bg", index, _next_frame(background, "background", index))
        for foreground in foregrounds:
            foreground.write(writer, index)
        if full is not None:
            writer.write_ref(index, _next_frame(full, "full video", index))
        if progress is not None:
            progress(index + 1, frames)


def _next_frame(frames: Iterator[Tensor], label: str, index: int) -> Tensor:
    frame = next(frames, None)
    if frame is None:
        raise FootageError(
            f"The {label} ends after {index} frames, before it should.",
            "The file may be damaged; play it to its end.",
            reason="FOOTAGE_SHORT",
        )
    return frame


def _open_clips(sources: ImportSources, options: ImportOptions, config: ColorConfig) -> _Clips:
    opened: list[_ClipReader] = []

    def open_reader(label: str, path: Path | None) -> _ClipReader | None:
        if path is None:
            return None
        clip = open_clip(
            path,
            matrix=options.matrix,
            full_range=options.full_range,
            fps=options.fps,
            colorspace=options.source_colorspace,
        )
        opened.append(_ClipReader(label, clip, options, config))
        return opened[-1]

    full = open_reader("full video", sources.full)
    background = open_reader("background", sources.background)
    foregrounds = []
    for number, each in enumerate(sources.foregrounds, start=1):
        suffix = f" {number}" if len(sources.foregrounds) > 1 else ""
        color = open_reader(f"foreground{suffix}", each.color)
        matte = open_reader(f"matte{suffix}", each.matte)
        shadow = open_reader(f"shadow{suffix}", each.shadow)
        if color is not None:
            foregrounds.append((number, _ForegroundClips(color, matte, shadow)))
    _check_agreement(opened)
    if background is None:
        raise ValueError("a stack has a background")
    return _Clips(full, background, foregrounds, opened)


def _check_agreement(readers: list[_ClipReader]) -> None:
    reference, first = readers[0].label, readers[0].info
    longest = next((each for each in readers if not each.is_held), readers[0])
    aspects = [each for each in readers if each.info.pixel_aspect]
    for reader in readers[1:]:
        label, info = reader.label, reader.info
        if (info.width, info.height) != (first.width, first.height):
            raise FootageError(
                f"The {label} is {info.width} x {info.height} pixels, "
                f"but the {reference} is {first.width} x {first.height}.",
                "All clips of a stack have one size; scale them first.",
                reason="SIZES_DIFFER",
            )
        if info.frames != longest.info.frames and not reader.is_held:
            raise FootageError(
                f"The {label} has {info.frames} frames, "
                f"but the {longest.label} has {longest.info.frames}.",
                "All clips of a stack have one length; trim them first.",
                reason="LENGTHS_DIFFER",
            )
    for reader in aspects[1:]:
        (one, other) = aspects[0].info.pixel_aspect, reader.info.pixel_aspect
        if one and other and abs(one / other - 1.0) > 0.01:
            raise FootageError(
                f"The {reader.label} has pixels of shape {other:g}, but the {aspects[0].label} "
                f"{one:g}.",
                "All clips of a stack have pixels of one shape; desqueeze them first.",
                reason="ASPECTS_DIFFER",
            )


def _check_fps(fps: float | None) -> None:
    if fps is not None and not (math.isfinite(fps) and 0 < fps <= 1000):
        raise FootageError(
            f"{fps:g} frames a second are no rate for a stack.",
            "Give --fps a number above 0, such as 23.976.",
            reason="FPS_INVALID",
        )


def _common_fps(clips: _Clips) -> float:
    rates = [(reader.label, reader.info.fps) for reader in clips.all if reader.info.fps]
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


def _notes(clips: _Clips, foregrounds: list[_ForegroundReader]) -> tuple[str, ...]:
    """Return what was assumed, followed, guessed or repaired, each sentence once."""
    files: dict[tuple[str, ...], list[str]] = {}
    for reader in clips.all:
        if reader.info.assumed:
            files.setdefault(reader.info.assumed, []).append(reader.clip.path.name)
    assumed = [
        f"Colours taken as {' and '.join(what)}, which no tag says: {', '.join(names)}."
        for what, names in files.items()
    ]
    said = [note for reader in clips.all for note in (*reader.clip.notes, *reader.notes)]
    return tuple(dict.fromkeys([*assumed, *said, *(n for each in foregrounds for n in each.notes)]))
