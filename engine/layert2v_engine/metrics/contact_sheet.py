"""Contact sheets: tiles of layers, and captioned rows of tiles in one image file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from layert2v_engine.stream_codec import ForegroundFrames

CAPTION_HEIGHT = 16
BACKDROP, INK, ACCENT = (24, 24, 26), (230, 230, 230), (255, 208, 120)


def checkerboard(height: int, width: int, cell: int = 8) -> Tensor:
    """Return a gray checkerboard [H, W] in 0..1, to show transparent pictures over."""
    rows, columns = np.mgrid[:height, :width] // cell
    return torch.from_numpy(0.45 + 0.15 * ((rows + columns) % 2)).float()


def foreground_tiles(foreground: ForegroundFrames, row: int, frame: int) -> list[Tensor]:
    """Return one frame of a foreground as pictures [3, H, W] in 0..1.

    They are its color over a checkerboard, its matte and its shadow, black without one; ``row`` is
    its place in the batch.
    """
    color, alpha = foreground.color[row, :, frame], foreground.alpha[row, :, frame]
    shadow = foreground.shadow
    cast = torch.zeros_like(alpha) if shadow is None else shadow[row, :, frame]
    over = color * alpha + checkerboard(*color.shape[-2:]) * (1 - alpha)
    return [over, alpha.expand(3, -1, -1), cast.expand(3, -1, -1)]


def save_grid(rows: Sequence[Tensor], path: Path, *, scale: int = 2) -> None:
    """Write rows of pictures [N, 3, H, W] in 0..1, in one image, enlarged by ``scale``."""
    lines = [_line(row, scale) for row in rows]
    width = max(line.width for line in lines)
    sheet = Image.new("RGB", (width, sum(line.height for line in lines)), BACKDROP)
    top = 0
    for line in lines:
        sheet.paste(line, (0, top))
        top += line.height
    sheet.save(path)


def save_captioned(
    rows: Sequence[Tensor],
    captions: Sequence[str],
    columns: Sequence[str],
    path: Path,
    *,
    scale: int = 1,
) -> None:
    """Write one row of pictures [N, 3, H, W] in 0..1 per caption, column titles on top."""
    lines = [_line(row, scale) for row in rows]
    cell = lines[0].width // len(columns)
    height = CAPTION_HEIGHT + sum(line.height + CAPTION_HEIGHT for line in lines)
    sheet = Image.new("RGB", (lines[0].width, height), BACKDROP)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(columns):
        draw.text((column * cell + 4, 2), title, fill=ACCENT)
    top = CAPTION_HEIGHT
    for line, caption in zip(lines, captions, strict=True):
        draw.text((4, top + 2), caption, fill=INK)
        sheet.paste(line, (0, top + CAPTION_HEIGHT))
        top += line.height + CAPTION_HEIGHT
    sheet.save(path)


def _line(pictures: Tensor, scale: int) -> Image.Image:
    strip = (
        pictures.detach().float().cpu().clamp(0, 1).permute(2, 0, 3, 1).flatten(1, 2)
    )  # [H, N*W, 3]
    image = Image.fromarray((strip.numpy() * 255).round().astype(np.uint8))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
