"""Previews small enough for a watch stream: PNG of at most 64 KiB, replaced atomically."""

from __future__ import annotations

import io
import logging
from pathlib import Path

from PIL import Image

from layert2v.atomic_write import atomic_write
from layert2v.wire import MAX_PREVIEW_BYTES

MAX_SIDE = 512
_PNG = b"\x89PNG\r\n\x1a\n"

_log = logging.getLogger(__name__)


def write_preview(image: Path, preview: Path) -> bool:
    """Write ``image``, made smaller where needed, to ``preview``, and tell if that worked.

    A preview is optional: an image that cannot be read or written does not fail the job.
    """
    try:
        atomic_write(preview, shrink_to_png(image.read_bytes()), durable=False)
    except OSError:
        _log.warning("no preview from %s", image.name, exc_info=True)
        return False
    return True


def shrink_to_png(data: bytes) -> bytes:
    """Return an image as PNG of at most 64 KiB. Raises ``OSError`` for anything but an image."""
    if data.startswith(_PNG) and len(data) <= MAX_PREVIEW_BYTES:
        return data
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    side = MAX_SIDE
    while True:  # a side of 90 always fits: 4 bytes a pixel, and PNG adds next to nothing
        smaller = image.copy()
        smaller.thumbnail((side, side))
        out = io.BytesIO()
        smaller.save(out, "PNG", optimize=True)
        if out.tell() <= MAX_PREVIEW_BYTES:
            return out.getvalue()
        side = side * 3 // 4
