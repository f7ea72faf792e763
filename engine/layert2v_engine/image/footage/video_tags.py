"""Matrix, primaries, transfer and range as a video's tags number them, and what players assume.

Knows FFmpeg's numbers of single frames and streams, no files.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import av

from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.yuv import is_gray

# FFmpeg's AVColorSpace and AVColorRange numbers.
MATRIX_TAGS = {1: "bt709", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
# Those that are no matrix of light and two differences, or not with these weights.
_OTHER_MATRICES = {4: "FCC", 8: "YCgCo", 10: "BT.2020 constant luminance", 11: "Y'D'zD'x"} | {
    12: "chromaticity-derived",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
}
_UNSPECIFIED, LIMITED_RANGE, FULL_RANGE = 2, 1, 2


class ColorTags(NamedTuple):
    """FFmpeg's numbers, 0 where nothing is said."""

    matrix: int
    primaries: int
    transfer: int
    range: int


def read_tags(source: av.VideoFrame | av.VideoCodecContext) -> ColorTags:
    def stated_number(number: int) -> int:
        return 0 if number == _UNSPECIFIED else number

    return ColorTags(
        matrix=stated_number(int(source.colorspace)),
        primaries=stated_number(int(source.color_primaries)),
        transfer=stated_number(int(source.color_trc)),
        range=int(source.color_range),
    )


def check_matrix(path: Path, frame: av.VideoFrame, tagged: int, asked: str | None) -> None:
    """Raise ``FootageError`` for a tag of the matrix that is not followed."""
    if tagged and tagged not in MATRIX_TAGS and asked is None and not frame.format.is_rgb:
        label = _OTHER_MATRICES.get(tagged, f"number {tagged} of ITU-T H.273")
        raise FootageError(
            f"{path} says that its colors are made with the matrix {label}, which is not followed.",
            "Convert it to BT.709 first, or name the matrix with --matrix.",
            reason="FOOTAGE_MATRIX",
        )


def choose_matrix(frame: av.VideoFrame, tagged: str | None, assumed: list[str]) -> str:
    """Return the matrix; players take untagged video as BT.709 from HD widths or heights on."""
    if frame.format.is_rgb:
        return "rgb"
    if tagged is not None:
        return tagged
    default = "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"
    if not is_gray(frame.format.name):
        assumed.append(f"{default} matrix")
    return default


def is_full_range(frame: av.VideoFrame, tagged: int, assumed: list[str]) -> bool:
    name = frame.format.name
    if frame.format.is_rgb or name.startswith("yuvj"):
        return True
    if tagged in (LIMITED_RANGE, FULL_RANGE):
        return tagged == FULL_RANGE
    if is_gray(name):
        return True
    assumed.append("limited range")
    return False
