"""Video files as float frames, upright and at a constant rate.

Values are display-referred in 0..1, in whatever color space the file was made for. Only what a
player shows counts: no cover pictures, nothing that an edit list hides. Knows no layers.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from layert2v.limits import MAX_FRAMES
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage import timing
from layert2v_engine.image.footage.color_tags import tag_from_numbers
from layert2v_engine.image.footage.fields import check_fields, deinterlace, fields_note
from layert2v_engine.image.footage.info import (
    UPRIGHT,
    FootageInfo,
    FrameNotes,
    ImageFrame,
    Turn,
    read_error,
)
from layert2v_engine.image.footage.video_tags import (
    FULL_RANGE,
    LIMITED_RANGE,
    MATRIX_TAGS,
    ColorTags,
    check_matrix,
    choose_matrix,
    is_full_range,
    read_tags,
)
from layert2v_engine.image.footage.yuv import has_alpha, to_image_frame

# FFmpeg's own decoders of these drop alpha.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Lossy color, but alpha is stored to the bit.
_LOSSLESS_ALPHA_CODECS = ("prores",)
# Their standards define alpha as straight; that of PNG in MOV is what the editor made of it.
_STRAIGHT_ALPHA_CODECS = ("apng", "gif", "webp")
# Every failure that PyAV has for a file whose bytes are wrong.
_BROKEN = (av.FFmpegError, OSError, ValueError, EOFError, struct.error)


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoOptions:
    """What goes before what a file says: matrix, range, the rate of variable ones, and fields."""

    matrix: str | None = None
    full_range: bool | None = None
    fps: float | None = None
    deinterlace: bool = False


class VideoClip:
    """A video file. ``repeats`` tells how often each frame is shown, empty: each once."""

    def __init__(
        self,
        path: Path,
        info: FootageInfo,
        repeats: tuple[int, ...] = (),
        *,
        deinterlace: bool = False,
    ) -> None:
        self.path = path
        self.info = info
        self._repeats = repeats
        self._deinterlace = deinterlace
        self._happened = FrameNotes()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed, followed or repaired so far."""
        return (*self.info.notes, *self._happened.sentences())

    def __iter__(self) -> Iterator[ImageFrame]:
        frames: Iterator[av.VideoFrame] = _decode(self.path)
        if self._deinterlace:
            frames = deinterlace(frames)
        for index, frame in enumerate(frames):
            count = 1
            if self._repeats:
                count = self._repeats[index] if index < len(self._repeats) else 0
            if count:
                yield from [self._convert(frame, index)] * count

    def _convert(self, frame: av.VideoFrame, index: int) -> ImageFrame:
        info = self.info
        upright = info.turn.turn_frame(to_image_frame(frame, info.matrix, info.full_range))
        height, width = upright.rgb.shape[-2:]
        if (width, height) != (info.width, info.height):
            raise FootageError(
                f"{self.path} changes its size at frame {index + 1}: it is {width} x {height} "
                f"pixels there and {info.width} x {info.height} at its start.",
                "Scale it to one size first.",
                reason="SIZES_DIFFER",
            )
        return upright


def open_video(path: Path, options: VideoOptions) -> VideoClip:
    """Open a video file. Raises ``FootageError``."""
    name = path.name
    with _open_container(path) as container:
        stream = _main_stream(path, container)
        tags = read_tags(stream.codec_context)
        facts = _StreamFacts.read(container, stream)
        packets = _read_packets(path, container, stream)
        # A stream must not be looked at once its container is closed.
        track, tracks = stream.index, [each.index for each in _picture_streams(container)]
    first = packets.first
    if first is None:
        raise read_error(path, "there are no frames in it")
    times = packets.times or _decoded_times(path)
    # A ProRes frame often says nothing where the file around it does.
    tags = ColorTags(*(a or b for a, b in zip(read_tags(first), tags, strict=True)))
    check_matrix(path, first, tags.matrix, options.matrix)
    notes: list[str] = []
    if len(tracks) > 1:
        number = tracks.index(track) + 1
        notes.append(f"{name} holds {len(tracks)} video tracks; number {number} is read.")
    if options.deinterlace:
        check_fields(path, first)
        notes.append(fields_note(name, first))
    elif first.interlaced_frame:
        notes.append(f"{name} is interlaced; its two fields stay woven into each frame.")
    rate, repeats = _constant_rate(path, times, packets.duration, facts, options.fps)
    if repeats:
        notes.append(
            f"{name} has a variable frame rate; it is resampled to {float(rate or 0):g} fps, "
            f"{len(times)} frames to {sum(repeats)}."
        )
    assumed: list[str] = []
    tagged_range = tags.range
    if options.full_range is not None:
        tagged_range = FULL_RANGE if options.full_range else LIMITED_RANGE
    turn = _read_turn(path, first)
    size = (first.height, first.width) if turn.transpose else (first.width, first.height)
    aspect = facts.aspect
    info = FootageInfo(
        width=size[0],
        height=size[1],
        frames=sum(repeats) if repeats else len(times),
        fps=float(rate) if rate else None,
        pixel_aspect=1 / aspect if aspect and turn.transpose else aspect,
        sample_format=first.format.name,
        color=tag_from_numbers(tags.primaries, tags.transfer),
        has_alpha=has_alpha(first),
        alpha="straight" if facts.codec in _STRAIGHT_ALPHA_CODECS else None,
        is_lossless=facts.is_lossless,
        is_alpha_lossless=facts.is_lossless or facts.codec in _LOSSLESS_ALPHA_CODECS,
        matrix=choose_matrix(first, options.matrix or MATRIX_TAGS.get(tags.matrix), assumed),
        full_range=is_full_range(first, tagged_range, assumed),
        turn=turn,
        timecode=facts.timecode,
        assumed=tuple(assumed),
        notes=tuple(notes),
    )
    return VideoClip(path, info, repeats, deinterlace=options.deinterlace)


class _Packets(NamedTuple):
    """The first frame, and when frames are shown: seconds, in order, empty where not known."""

    first: av.VideoFrame | None
    times: tuple[Fraction, ...]
    duration: Fraction


class _StreamFacts(NamedTuple):
    """What the file around the frames says."""

    codec: str
    is_lossless: bool
    rates: tuple[Fraction, ...]
    aspect: float | None
    timecode: str

    @classmethod
    def read(cls, container: av.container.InputContainer, stream: av.VideoStream) -> _StreamFacts:
        """Return the facts of ``stream``."""
        codec = stream.codec_context.codec
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        texts = [each.metadata.get("timecode") for each in (stream, *container.streams, container)]
        aspect = stream.sample_aspect_ratio
        return cls(
            codec=stream.codec_context.name,
            is_lossless=(codec.lossless and not codec.lossy) or codec.name == "rawvideo",
            rates=tuple(rate for rate in rates if rate),
            aspect=float(aspect) if aspect else None,
            timecode=next((text for text in texts if text), ""),
        )


def _open_container(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path))
    except _BROKEN as error:
        raise read_error(path, _cause(error)) from error


def _cause(error: Exception) -> str:
    """Return what went wrong in words, without FFmpeg's number and function."""
    return str(getattr(error, "strerror", None) or error)


def _main_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Return the video stream that players show: the first one marked so, else the first."""
    streams = _picture_streams(container)
    if not streams:
        raise read_error(path, "there is no picture in it")
    chosen = next((each for each in streams if each.disposition & Disposition.default), streams[0])
    if chosen.codec_context is None:
        raise read_error(path, "its video codec is not known here")
    return chosen


def _picture_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the video streams that are no cover pictures."""
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]


def _read_packets(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> _Packets:
    """Return when frames are shown, without decoding more than the first.

    Raises ``FootageError`` for a file that ends before its header says.
    """
    shown: list[int | None] = []
    length, count = 0, 0
    # Without threads, which would be handed many frames before they give the first.
    decoder, first = _open_decoder(stream, "NONE"), None
    try:
        for packet in container.demux(stream):
            if first is None:
                first = next(iter(decoder.decode(packet)), None)
            if packet.size == 0:
                continue
            count += 1
            if packet.is_corrupt or (first is not None and first.is_corrupt):
                raise _damage_error(path, count)
            if not packet.is_discard:
                shown.append(packet.pts)
                length = packet.duration or length
    except _BROKEN as error:
        raise read_error(path, _cause(error)) from error
    end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    if end > path.stat().st_size:
        raise read_error(
            path,
            f"it ends after {count} frames, before its own index does",
            "The file was not copied whole; copy it again.",
        )
    base = stream.time_base
    # Hidden packets of VP8 and packets without a time do not tell which frames are shown.
    if base is None or None in shown or len({*shown}) < len(shown) or "vp8" in _codec(stream):
        return _Packets(first, (), Fraction(0))
    times = tuple(sorted(base * pts for pts in shown if pts is not None))
    duration = times[-1] - times[0] + base * length if times else Fraction(0)
    return _Packets(first, times, duration)


def _codec(stream: av.VideoStream) -> str:
    return str(stream.codec_context.name)


def _damage_error(path: Path, number: int) -> FootageError:
    return read_error(
        path,
        f"frame {number} is damaged",
        "The file was perhaps not copied or written whole; copy it again.",
    )


def _decoded_times(path: Path) -> tuple[Fraction, ...]:
    """Return when frames are shown by decoding them all; without times, one second each."""
    times: list[Fraction] = []
    for index, frame in enumerate(_decode(path)):
        base = frame.time_base
        times.append(Fraction(index) if frame.pts is None or base is None else frame.pts * base)
    if sorted({*times}) != times:
        return tuple(map(Fraction, range(len(times))))
    return tuple(times)


def _constant_rate(
    path: Path,
    times: tuple[Fraction, ...],
    duration: Fraction,
    facts: _StreamFacts,
    asked: float | None,
) -> tuple[Fraction | None, tuple[int, ...]]:
    """Return the rate of a clip, and how often each frame is shown where it was variable."""
    rate = facts.rates[0] if facts.rates else None
    if len(times) < 2 or rate is None or not duration:
        return rate, ()
    if not timing.is_variable(times, rate, duration):
        return rate, ()
    likely = timing.likely_rate(times, facts.rates)
    if not timing.is_variable(times, likely, duration):
        return likely, ()
    target = Fraction(asked).limit_denominator(1001) if asked else likely
    if duration * target > MAX_FRAMES:
        raise FootageError(
            f"{path} shows {len(times)} frames in {float(duration):.0f} seconds; at "
            f"{float(target):g} fps that is more than the {MAX_FRAMES} frames that can be read.",
            "Cut it into parts, or export it again where its time stamps are wrong.",
            reason="TOO_LONG",
        )
    return target, tuple(timing.schedule(times, duration, target))


def _read_turn(path: Path, frame: av.VideoFrame) -> Turn:
    """Return how a frame is turned by its display matrix."""
    side_data: Any = frame.side_data  # its stubs know text as keys, it knows numbers
    data = side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    right, down, _, left, below = struct.unpack("=5i", bytes(data)[:20])
    if right and below and not (down or left):
        return Turn(flip_x=right < 0, flip_y=below < 0)
    if down and left and not (right or below):
        return Turn(transpose=True, flip_x=left < 0, flip_y=down < 0)
    raise FootageError(
        f"{path} is to be shown at an angle that is no quarter turn.",
        "Turn it in an editor first.",
        reason="FOOTAGE_TURNED",
    )


def _decode(path: Path) -> Generator[av.VideoFrame]:
    """Yield the frames that a player shows. Raises ``FootageError``, also for damaged ones."""
    with _open_container(path) as container:
        stream = _main_stream(path, container)
        decoder = _open_decoder(stream, "AUTO")
        number = 0
        try:
            for packet in container.demux(stream):
                for frame in decoder.decode(packet):
                    number += 1
                    if frame.is_corrupt or packet.is_corrupt:
                        raise _damage_error(path, number)
                    yield frame
        except _BROKEN as error:
            raise read_error(path, _cause(error)) from error


def _open_decoder(stream: av.VideoStream, threads: str) -> av.VideoCodecContext:
    context = stream.codec_context
    library = _ALPHA_DECODERS.get(context.name)
    if library is None or stream.metadata.get("alpha_mode") != "1":
        context.thread_type = threads
        return context
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(library, "r"))
    decoder.extradata = context.extradata
    return decoder
