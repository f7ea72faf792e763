"""An artist's own footage to a layer stack: full video, background, foregrounds, mattes, shadows.

Each clip is read in the color space that it states. Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from layert2v.rerender import AUTO
from layert2v.stack import Role, Stack
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import ShadowDomain
from layert2v_engine.image.exr_header import ExrOptions
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.stack.clip_reader import ClipReader, next_frame, notes_of
from layert2v_engine.stack.foreground_reader import ForegroundClips, ForegroundReader
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
    ``deinterlace`` makes whole frames of fields. ``edges`` tells whether foregrounds are on black
    or straight; ``auto`` is what the file says of its own alpha, else it looks at the color where
    the matte is empty. ``levels`` moves a lossy codec's black and white of mattes back to 0 and 1.
    """

    name: str
    fps: float | None = None
    start_frame: int = 1001
    colorspace: str = "lin_rec709_scene"
    source_colorspace: str = AUTO
    matrix: str | None = None
    full_range: bool | None = None
    deinterlace: bool = False
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
    foregrounds = [
        ForegroundReader(number, each, edges=options.edges, with_levels=options.levels)
        for number, each in clips.foregrounds
    ]
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


class _Clips(NamedTuple):
    full: ClipReader | None
    background: ClipReader
    foregrounds: list[tuple[int, ForegroundClips]]
    all: list[ClipReader]  # full first

    @property
    def frames(self) -> int:
        """The length of the stack: that of any clip that is not one image, held."""
        return max(reader.info.frames for reader in self.all)


def _write_frames(
    writer: StackWriter,
    clips: _Clips,
    foregrounds: list[ForegroundReader],
    frames: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    background = clips.background.opaque_frames()
    full = clips.full.opaque_frames() if clips.full else None
    for index in range(frames):
        writer.write_pixels("bg", index, next_frame(background, "background", index))
        for foreground in foregrounds:
            foreground.write(writer, index)
        if full is not None:
            writer.write_ref(index, next_frame(full, "full video", index))
        if progress is not None:
            progress(index + 1, frames)


def _open_clips(sources: ImportSources, options: ImportOptions, config: ColorConfig) -> _Clips:
    opened: list[ClipReader] = []
    working = config.find_linear(options.colorspace).name

    def open_reader(label: str, path: Path | None) -> ClipReader | None:
        if path is None:
            return None
        clip = open_clip(
            path,
            matrix=options.matrix,
            full_range=options.full_range,
            fps=options.fps,
            deinterlace=options.deinterlace,
            colorspace=options.source_colorspace,
        )
        opened.append(ClipReader(label, clip, options.source_colorspace, working, config))
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
            foregrounds.append((number, ForegroundClips(color, matte, shadow)))
    _check_agreement(opened)
    if background is None:
        raise ValueError("a stack has a background")
    return _Clips(full, background, foregrounds, opened)


def _check_agreement(readers: list[ClipReader]) -> None:
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


def _notes(clips: _Clips, foregrounds: list[ForegroundReader]) -> tuple[str, ...]:
    said = notes_of(clips.all)
    return tuple(dict.fromkeys([*said, *(n for each in foregrounds for n in each.notes)]))
