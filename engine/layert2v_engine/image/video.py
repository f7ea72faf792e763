"""Videos and image sequences as float frames.

YCbCr is converted here and not by the video library, so that 10 and 12 bits stay 10 and 12 bits,
and so that the matrix and range are those of the file's tags or of a stated assumption. Values are
display-referred in 0..1, in whatever color space the file was made for. Image sequences are those
of ``image.stills``. Knows no layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layert2v import image_sequence
from layert2v_engine.errors import FootageError
from layert2v_engine.image import stills
from layert2v_engine.image.stills import ImageFrame

# Kr and Kb of each matrix, by the name that the command line uses.
MATRICES = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
# FFmpeg's AVColorSpace, AVColorTransferCharacteristic and AVColorRange numbers.
_MATRIX_TAGS = {1: "bt709", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_UNSPECIFIED, _LIMITED_RANGE, _FULL_RANGE = 2, 1, 2

# Packed or interleaved layouts and the planar one that holds the same samples.
_REPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "p010le": "yuv420p10le",
    "uyvy422": "yuv422p",
    "yuyv422": "yuv422p",
}

# Image files that are display-referred, as video is.
_IMAGE_SUFFIXES = image_sequence.IMAGE_SUFFIXES - {".exr", ".dpx"}
_PLANAR = re.compile(r"yuva?j?(?P<sampling>420|422|444)p(?P<bits>\d\d)?(le)?")
_GRAY = re.compile(r"gray(?P<bits>\d\d)?(le)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipInfo:
    """The format of a clip: size in pixels, frames, rate, and how its samples are coded.

    ``fps`` is None where nothing says it; ``assumed`` names what no tag said.
    """

    width: int
    height: int
    frames: int
    fps: float | None
    pixel_aspect: float
    pixel_format: str
    matrix: str
    full_range: bool
    assumed: tuple[str, ...] = ()


class Clip:
    """A video file or an image sequence; iterate over it for its frames."""

    def __init__(self, path: Path, info: ClipInfo, images: tuple[Path, ...] = ()) -> None:
        self.path = path
        self.info = info
        self._images = images

    def __iter__(self) -> Iterator[ImageFrame]:
        if self._images:
            yield from map(stills.read_image, self._images)
            return
        with _open_container(self.path) as container:
            for frame in _decode(self.path, container):
                yield _to_image_frame(frame, self.info)


def open_clip(
    source: str | Path, *, matrix: str | None = None, full_range: bool | None = None
) -> Clip:
    """Open a video file, a folder with one image sequence, or a pattern such as ``shot.####.png``.

    ``matrix`` (a name of ``MATRICES``) and ``full_range`` override what the file says. Untagged
    video is taken as limited range, BT.709 from 720 lines up and BT.601 below, as players do.
    Raises ``FootageError``.
    """
    path = Path(source)
    images = stills.find_images(path, _IMAGE_SUFFIXES)
    if images:
        return _open_images(path, images)
    if path.suffix.lower() == ".exr":
        raise FootageError(
            f"{path} is EXR, which is linear already; only display-referred pictures are imported.",
            "Read it in the compositor, or convert it to sRGB PNG first.",
            reason="FOOTAGE_LINEAR",
        )
    if not path.is_file():
        raise FootageError(
            f"There is no video or image sequence at {path}.",
            "Give a video file, a folder of images, or a pattern such as shot.####.png.",
            reason="FOOTAGE_NOT_FOUND",
        )
    return _open_video(path, matrix, full_range)


def decode_yuv(planes: list[Tensor], bits: int, matrix: str, full_range: bool) -> Tensor:
    """Return R'G'B' ``[3, H, W]`` in 0..1 for code values of ``bits`` bits as floats.

    ``planes`` are Y ``[H, W]``, Cb and Cr, the last two possibly smaller. ``matrix`` is a name of
    ``MATRICES``.
    """
    luma, *chroma = planes
    step = 1.0 if full_range else 2.0 ** (bits - 8)
    top = 2.0**bits - 1.0
    black, luma_span = (0.0, top) if full_range else (16.0 * step, 219.0 * step)
    chroma_span = top if full_range else 224.0 * step
    y = (luma - black) / luma_span
    blue, red = (
        _upsample((plane - 2.0 ** (bits - 1)) / chroma_span, luma.shape) for plane in chroma
    )
    kr, kb = MATRICES[matrix]
    r = y + 2.0 * (1.0 - kr) * red
    b = y + 2.0 * (1.0 - kb) * blue
    g = (y - kr * r - kb * b) / (1.0 - kr - kb)
    return torch.stack((r, g, b)).clamp(0.0, 1.0)


def _upsample(plane: Tensor, size: torch.Size) -> Tensor:
    """Return a chroma plane at full size.

    MPEG-2, H.264 and ProRes place it on the left pixel of each pair and, in 4:2:0, between two
    rows.
    """
    height, width = size
    if plane.shape[0] < height:
        plane = F.interpolate(
            plane[None, None], size=(height, plane.shape[1]), mode="bilinear", align_corners=False
        )[0, 0]
    if plane.shape[1] < width:
        following = torch.cat((plane[:, 1:], plane[:, -1:]), dim=1)
        middle = (plane + following) / 2.0
        plane = torch.stack((plane, middle), dim=-1).flatten(1)[:, :width]
    return plane


def _open_images(path: Path, images: tuple[Path, ...]) -> Clip:
    error = image_sequence.sequence_error(images)
    if error:
        raise FootageError(
            f"{path} is not one image sequence: {error}",
            "Number the frames without gaps; name one of several with a pattern such as "
            "shot.####.png.",
            reason="SEQUENCE_UNCLEAR",
        )
    first = stills.read_info(images[0])
    info = ClipInfo(
        width=first.width,
        height=first.height,
        frames=len(images),
        fps=None,
        pixel_aspect=1.0,
        pixel_format=first.sample_format,
        matrix="rgb",
        full_range=True,
    )
    return Clip(path, info, images)


def _open_container(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise _read_error(path, str(error)) from error
    if not container.streams.video:
        container.close()
        raise _read_error(path, "there is no picture in it")
    return container


def _open_video(path: Path, matrix: str | None, full_range: bool | None) -> Clip:
    with _open_container(path) as container:
        stream = container.streams.video[0]
        file_tags = _color_tags(stream.codec_context)
        frames = sum(1 for packet in container.demux(stream) if packet.size)
        fps, aspect = stream.average_rate or stream.guessed_rate, stream.sample_aspect_ratio
    with _open_container(path) as container:
        first = next(_decode(path, container), None)
    if first is None:
        raise _read_error(path, "there are no frames in it")
    # A ProRes picture often says nothing where the file around it does.
    picture_tags = _color_tags(first)
    tags = _ColorTags(*(a or b for a, b in zip(picture_tags, file_tags, strict=True)))
    transfer = _HDR_TRANSFERS.get(tags.transfer)
    if transfer is not None:
        raise FootageError(
            f"{path} is {transfer} video.", "Convert it to SDR first.", reason="FOOTAGE_HDR"
        )
    tagged_range = tags.range
    if full_range is not None:
        tagged_range = _FULL_RANGE if full_range else _LIMITED_RANGE
    assumed: list[str] = []
    info = ClipInfo(
        width=first.width,
        height=first.height,
        frames=frames,
        fps=float(fps) if fps else None,
        pixel_aspect=float(aspect) if aspect else 1.0,
        pixel_format=first.format.name,
        matrix=_matrix(first, matrix or _MATRIX_TAGS.get(tags.matrix), assumed),
        full_range=_is_full_range(first, tagged_range, assumed),
        assumed=tuple(assumed),
    )
    return Clip(path, info)


class _ColorTags(NamedTuple):
    """FFmpeg's numbers, 0 where nothing is said."""

    matrix: int
    transfer: int
    range: int


def _color_tags(source: av.VideoFrame | av.VideoCodecContext) -> _ColorTags:
    matrix, transfer = int(source.colorspace), int(source.color_trc)
    return _ColorTags(
        matrix=0 if matrix == _UNSPECIFIED else matrix,
        transfer=0 if transfer == _UNSPECIFIED else transfer,
        range=int(source.color_range),
    )


def _matrix(frame: av.VideoFrame, tagged: str | None, assumed: list[str]) -> str:
    if frame.format.is_rgb:
        return "rgb"
    if tagged is not None:
        return tagged
    default = "bt709" if frame.height >= 720 else "bt601"
    if not _GRAY.fullmatch(frame.format.name):
        assumed.append(f"{default} matrix")
    return default


def _is_full_range(frame: av.VideoFrame, tagged: int, assumed: list[str]) -> bool:
    if frame.format.is_rgb or frame.format.name.startswith("yuvj"):
        return True
    if tagged not in (_LIMITED_RANGE, _FULL_RANGE):
        assumed.append("limited range")
    return tagged == _FULL_RANGE


def _decode(path: Path, container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(video=0)
    except av.FFmpegError as error:
        raise _read_error(path, str(error)) from error


def _to_image_frame(frame: av.VideoFrame, info: ClipInfo) -> ImageFrame:
    name = frame.format.name
    if frame.format.is_rgb:
        return _from_rgb_frame(frame)
    if name in _REPACKED:
        frame = frame.reformat(format=_REPACKED[name])
        name = frame.format.name
    match = _PLANAR.fullmatch(name) or _GRAY.fullmatch(name)
    if match is None:
        raise FootageError(
            f"Video in the pixel format {name} cannot be imported.",
            "Convert it to ProRes 4444 or H.264 first.",
            reason="PIXEL_FORMAT",
        )
    bits = int(match["bits"] or 8)
    planes = [_plane_samples(plane, bits) for plane in frame.planes]
    alpha = planes.pop() / (2.0**bits - 1.0) if name.startswith("yuva") else None
    if len(planes) == 1:
        neutral = torch.full_like(planes[0], 2.0 ** (bits - 1))
        planes += [neutral, neutral]
    return ImageFrame(decode_yuv(planes, bits, info.matrix, info.full_range), alpha)


def _from_rgb_frame(frame: av.VideoFrame) -> ImageFrame:
    name, bits = frame.format.name, frame.format.components[0].bits
    has_alpha = any(component.is_alpha for component in frame.format.components)
    if name.startswith("gbr"):
        green, blue, red, *alpha = (_plane_samples(plane, bits) for plane in frame.planes)
        planes = torch.stack((red, green, blue, *alpha)) / (2.0**bits - 1.0)
    else:
        # Between equal depths only: FFmpeg widens 8 bits by shifting, and white would be 0.996.
        formats = ("rgb24", "rgba") if bits == 8 else ("rgb48le", "rgba64le")
        pixels = frame.to_ndarray(format=formats[has_alpha]).astype(np.float32)
        planes = torch.from_numpy(pixels).movedim(-1, 0) / (2.0 ** (8 if bits == 8 else 16) - 1.0)
    return ImageFrame(planes[:3].contiguous(), planes[3] if has_alpha else None)


def _plane_samples(plane: av.video.plane.VideoPlane, bits: int) -> Tensor:
    samples = np.frombuffer(memoryview(plane), np.dtype("u1" if bits == 8 else "<u2"))
    rows = samples.reshape(-1, plane.line_size // samples.itemsize)
    return torch.from_numpy(rows[: plane.height, : plane.width].astype(np.float32))


def _read_error(path: Path, detail: str) -> FootageError:
    return FootageError(
        f"{path} cannot be read: {detail.strip().rstrip('.')}.", reason="FOOTAGE_UNREADABLE"
    )
