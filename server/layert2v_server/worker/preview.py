"""Previews small enough for a watch stream: PNG pictures of at most 64 KiB, replaced atomically."""

from __future__ import annotations

import io
import logging
from pathlib import Path

from PIL import Image

from layert2v.wire import MAX_PREVIEW_BYTES

FIRST_SIDE = 512
_PNG = b"\x89PNG\r\n\x1a\n"

_log = logging.getLogger(__name__)


def offer_preview(picture: Path, preview: Path) -> bool:
    """Put `picture`, made smaller where needed, at `preview`; whether that worked.

    A preview is a courtesy: a picture that cannot be read or written costs the job nothing.
    """
    temporary = preview.with_suffix(".tmp")
    try:
        temporary.write_bytes(small_png(picture.read_bytes()))
        temporary.replace(preview)
    except OSError:
        _log.warning("no preview from %s", picture.name, exc_info=True)
        temporary.unlink(missing_ok=True)
        return False
    return True


def small_png(data: bytes) -> bytes:
    """The picture as PNG of at most 64 KiB. Raises `OSError` for anything but a picture."""
    if data.startswith(_PNG) and len(data) <= MAX_PREVIEW_BYTES:
        return data
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    side = FIRST_SIDE
    while True:  # a side of 90 always fits: 4 bytes a pixel, and PNG adds next to nothing
        smaller = picture.copy()
        smaller.thumbnail((side, side))
        out = io.BytesIO()
        smaller.save(out, "PNG", optimize=True)
        if out.tell() <= MAX_PREVIEW_BYTES:
            return out.getvalue()
        side = side * 3 // 4
