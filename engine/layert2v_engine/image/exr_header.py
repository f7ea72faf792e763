"""What is said about the EXR files of a stack: channels, compression, attributes, reserved names.

No pixels and no file library, so that a check of finished files shares neither with their writer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from layert2v_engine.errors import StackError

RGBA = ("R", "G", "B", "A")
TAG_PREFIX = "layert2v/"
GENERATOR = "layert2v 0.1.0"

# Names that Nuke maps to its own layers or views, and the other folders of a stack.
_NUKE_NAMES = (
    *("rgb", "rgba", "alpha", "depth", "motion", "forward", "backward", "mask", "rotopaint_mask"),
    *("disparity", "disparityl", "disparityr", "main", "left", "right", "other", "ci"),
)
RESERVED_NAMES = frozenset((*_NUKE_NAMES, "comp", "ref", "packed", "latents", "preview"))

# What is offered, and whether the pixels come back to the bit. OIIO turns a name it does not know
# (such as htj2k) into zip without a word, so only names that were tried are let through.
COMPRESSIONS: Mapping[str, bool] = {
    "none": True,
    "zips": True,
    "zip": True,
    "piz": True,
    "htj2k256": True,
    "zstd": True,
    "dwaa": False,
    "dwab": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExrOptions:
    """How files are compressed.

    ``zips`` scrubs faster in Nuke, ``dwaa`` and ``dwab`` lose precision, ``htj2k256`` and ``zstd``
    are small or fast but current Nuke and older hosts cannot open them.
    """

    compression: str = "zips"

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise StackError(
                f"{self.compression} is not a compression for layers.",
                f"Choose one of {', '.join(COMPRESSIONS)}.",
                reason="COMPRESSION_UNKNOWN",
            )

    @property
    def lossless(self) -> bool:
        """Tell whether the pixels come back to the bit."""
        return COMPRESSIONS[self.compression]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """The attributes of a file's header.

    ``custom`` values are stored as text under ``layert2v/``: numbers above 31 bits do not survive
    as numbers. ``comments`` is the prompt, in any script. ``colorspace`` is an OCIO interop id.
    ``timecode`` is SMPTE text, "" for none; None counts it from the frame number.
    """

    colorspace: str
    fps: float
    frame: int
    pixel_aspect: float = 1.0
    comments: str = ""
    timecode: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


def frame_rate(fps: float) -> Fraction:
    """Return frames per second as a fraction; 23.976 and its kin become x * 1000 / 1001."""
    whole = Fraction(round(fps))
    if fps == whole:
        return whole
    broadcast = Fraction(round(fps * 1.001) * 1000, 1001)
    return broadcast if abs(broadcast - fps) < 0.005 else Fraction(fps).limit_denominator(1001)
