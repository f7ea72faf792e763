"""What a clip says about itself, and the frames that come of it.

Where a file says nothing the field says so too; what is taken then is decided in one place for all
entrances (``color_tags``, ``alpha``). Knows no file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor

from layert2v_engine.errors import FootageError

AlphaKind = Literal["straight", "premultiplied"]


class ImageFrame(NamedTuple):
    """One frame as it is stored: float32 ``rgb`` ``[3, H, W]``, ``alpha`` ``[H, W]`` or None.

    A grey image has three equal planes. Integer files are 0..1, float files unbounded.
    """

    rgb: Tensor
    alpha: Tensor | None


class ColorTag(NamedTuple):
    """The color encoding that a file states.

    ``name`` is an interop id or the name of a color space. ``primaries`` are x, y of red, green,
    blue and white, with ``gamma`` (0: the sRGB curve), where no config has to know the name.
    ``label`` says it in words. ``refusal`` says why it is not followed without being asked for.
    """

    name: str
    label: str
    primaries: tuple[float, ...] = ()
    gamma: float = 1.0
    refusal: str = ""


class Turn(NamedTuple):
    """How stored pixels are turned to stand upright: first transposed, then mirrored."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, pixels: Tensor) -> Tensor:
        """Return ``[..., H, W]`` upright."""
        if self.transpose:
            pixels = pixels.transpose(-1, -2)
        sides = [side for side, flips in ((-1, self.flip_x), (-2, self.flip_y)) if flips]
        return pixels.flip(sides) if sides else pixels

    def turn_frame(self, frame: ImageFrame) -> ImageFrame:
        """Return a frame upright."""
        if not any(self):
            return frame
        alpha = None if frame.alpha is None else self.apply(frame.alpha).contiguous()
        return ImageFrame(self.apply(frame.rgb).contiguous(), alpha)


UPRIGHT = Turn()


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageInfo:
    """What a clip's files say, as it is presented: upright, in the order of time.

    ``width`` and ``height`` are pixels of the display window. ``fps``, ``pixel_aspect``, ``color``,
    ``alpha`` and ``first_frame`` are None where nothing says them. ``matrix`` and ``full_range``
    tell how samples become R'G'B'; ``assumed`` names what no tag said of that. ``is_linear`` tells
    whether the format holds light and not display values. ``is_lossless`` and ``is_alpha_lossless``
    tell whether a codec may have moved black and white. ``timecode`` is that of the first frame,
    SMPTE text. ``notes`` are sentences about what was followed or guessed.
    """

    width: int
    height: int
    frames: int
    sample_format: str
    fps: float | None = None
    pixel_aspect: float | None = None
    color: ColorTag | None = None
    is_linear: bool = False
    has_alpha: bool = False
    alpha: AlphaKind | None = None
    is_lossless: bool = False
    is_alpha_lossless: bool = False
    matrix: str = "rgb"
    full_range: bool = True
    turn: Turn = UPRIGHT
    first_frame: int | None = None
    timecode: str = ""
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class FrameNotes:
    """What happened to single frames: each kind once, with the number of frames and the first."""

    _frames: dict[str, list[str]] = field(default_factory=dict)

    def add(self, sentence: str, frame: str) -> None:
        """Record ``sentence`` about ``frame``, the name of a file or its number."""
        frames = self._frames.setdefault(sentence, [])
        if frame not in frames:
            frames.append(frame)

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each kind."""
        return tuple(
            f"{sentence}: {frames[0]}{f' and {len(frames) - 1} more' if frames[1:] else ''}."
            for sentence, frames in self._frames.items()
        )


def read_error(path: object, detail: str, hint: str = "") -> FootageError:
    """Return the error for a file that cannot be read, with the first line of ``detail``."""
    cause = (detail.strip() or "no reason given").splitlines()[0].rstrip(".")
    return FootageError(
        f"{path} cannot be read: {cause}.",
        hint or "Check that the file opens elsewhere, or save it again.",
        reason="FOOTAGE_UNREADABLE",
    )
