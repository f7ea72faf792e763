"""What a PNG says that OpenImageIO does not pass on: its primaries, and that it is an animation.

After the PNG specification, third edition. Knows the chunks before the first pixels, no more.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IDAT", b"IEND")
_SRGB = 0.0  # as a gamma: the sRGB curve


class PngHeader(NamedTuple):
    """``frames`` of an animation, else 1; x, y of red, green, blue, white where they are stated.

    ``gamma`` is that of the file, 0 for the sRGB curve.
    """

    frames: int = 1
    chromaticities: tuple[float, ...] = ()
    gamma: float = _SRGB


def read_png_header(path: Path) -> PngHeader:
    """Return the header of a PNG file, the default where its bytes make no sense."""
    chunks: dict[bytes, bytes] = {}
    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return PngHeader()
            while len(head := file.read(8)) == 8 and head[4:] not in _PIXELS:
                length, name = struct.unpack(">I4s", head)
                if name in (b"acTL", b"cHRM", b"gAMA", b"sRGB"):
                    chunks[name] = file.read(min(length, 64))
                    length -= len(chunks[name])
                file.seek(length + 4, 1)
    except OSError:
        return PngHeader()
    return PngHeader(_frames(chunks), *_color(chunks))


def is_animation(path: Path) -> bool:
    """Tell whether a file is a PNG of several frames, which is read as video."""
    return path.suffix.lower() == ".png" and read_png_header(path).frames > 1


def _frames(chunks: dict[bytes, bytes]) -> int:
    data = chunks.get(b"acTL", b"")
    return max(1, struct.unpack_from(">I", data)[0]) if len(data) >= 8 else 1


def _color(chunks: dict[bytes, bytes]) -> tuple[tuple[float, ...], float]:
    """Return chromaticities and gamma; none where the file says that it is sRGB."""
    data = chunks.get(b"cHRM", b"")
    if len(data) < 32 or b"sRGB" in chunks:
        return (), _SRGB
    white_x, white_y, *primaries = (each / 1e5 for each in struct.unpack_from(">8I", data))
    stored = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big")
    return (*primaries, white_x, white_y), 1e5 / stored if stored else _SRGB
