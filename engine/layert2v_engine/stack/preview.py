"""Images of a stack for people: a contact sheet and a movie of the comp, both plain sRGB.

Previews are colorimetric: they show the values of the layers without a view transform.
Reads finished frames; knows no model and writes no manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from layert2v.stack import FlattenedSequence, Layer, Stack, frame_path
from layert2v_engine.image import exr
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.image.color import ColorConfig, ColorTransform
from layert2v_engine.image.compositing import over
from layert2v_engine.image.exr_header import frame_rate
from layert2v_engine.image.footage.yuv import convert_samples

FOLDER = "preview"
CONTACT_SHEET, MOVIE, VIEWER = "contact.png", "preview.mp4", "viewer.html"
DISPLAY_SPACE = "srgb_rec709_scene"

# A light and a dark square on which white hair and black shadows both show; linear light.
_CHECKER = (0.16, 0.24)
_CHECKER_PX = 8
_MOVIE_LINES = 360  # smaller clips are enlarged by a whole factor to about this
_BT709, _LIMITED_RANGE = 1, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetStyle:
    """Sizes in pixels and colors of the contact sheet."""

    columns: int = 5
    cell_width: int = 256
    label_width: int = 210
    gap: int = 10
    margin: int = 24
    line: int = 18
    background: str = "#15171a"
    text: str = "#e6e6e3"
    muted: str = "#8d939b"


def write_previews(folder: Path, stack: Stack, to_display: ColorTransform) -> list[Path]:
    """Write contact sheet and movie; returns their paths. Raises ``DiskFull`` or ``StackError``."""
    return [
        write_contact_sheet(folder, stack, to_display),
        write_movie(folder, stack, to_display),
    ]


def preview_folder(state: int) -> str:
    """Return where the previews of a state are, relative to the stack, such as ``preview/v001``."""
    return f"{FOLDER}/v{state:03d}"


def remove_previews(folder: Path, state: int) -> None:
    """Remove whatever this module and the viewer write of a state."""
    for name in (CONTACT_SHEET, MOVIE, VIEWER):
        (folder / preview_folder(state) / name).unlink(missing_ok=True)


def display_transform(stack: Stack, config: ColorConfig, colorspace: str = "") -> ColorTransform:
    """Return the transform from the stack to sRGB; ``colorspace`` where its own is ``unknown``."""
    return config.transform(colorspace or stack.colorspace, DISPLAY_SPACE)


def load_frame(folder: Path, sequence: Layer | FlattenedSequence, frame: int) -> Tensor:
    """Read one frame of a layer or flat: half, premultiplied, scene-linear ``[H, W, 4]``."""
    return exr.read(folder / frame_path(sequence.pattern, frame))


def to_srgb_bytes(pixels: Tensor, to_display: ColorTransform) -> np.ndarray:
    """Return scene-linear color ``[H, W, 3]``, further channels ignored, as sRGB bytes."""
    display = to_display(pixels[..., :3].float().movedim(-1, 0)).movedim(0, -1)
    return (display.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).contiguous().numpy()


def composite_on_checker(pixels: Tensor) -> Tensor:
    """Composite premultiplied scene-linear ``[H, W, 4]`` over a checkerboard, float32."""
    rows, columns = (torch.arange(size) // _CHECKER_PX for size in pixels.shape[:2])
    dark, light = _CHECKER
    squares = dark + (light - dark) * ((rows[:, None] + columns) % 2).float()
    board = torch.stack((squares, squares, squares, torch.ones_like(squares)), dim=-1)
    return over(pixels.float(), board)


def write_movie(folder: Path, stack: Stack, to_display: ColorTransform) -> Path:
    """Write the comp as H.264, limited range, BT.709 matrix and tags; returns its path."""
    path = folder / preview_folder(stack.state) / MOVIE
    factor = max(1, round(_MOVIE_LINES / stack.height))
    size = (stack.width * factor, stack.height * factor)
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=frame_rate(stack.fps))
        # 4:2:0 needs even sizes; the last row or column is repeated.
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        # With its look at later frames, x264 does not always make the same file of the same frames.
        stream.options = {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        context.sample_aspect_ratio = Fraction(stack.pixel_aspect).limit_denominator(1000)
        for image in _comp_images(folder, stack, to_display):
            container.mux(stream.encode(_video_frame(image.resize(size, Image.Resampling.BICUBIC))))
        container.mux(stream.encode())
    return path


def write_contact_sheet(
    folder: Path, stack: Stack, to_display: ColorTransform, style: SheetStyle | None = None
) -> Path:
    """Write a PNG with a row for comp, each layer from top to bottom, and ref; return its path."""
    style = style or SheetStyle()
    rows: list[Layer | FlattenedSequence] = [stack.flat("comp"), *reversed(stack.layers)]
    rows += [flat for flat in stack.flats if flat.name == "ref"]
    frames = _sample_frames(stack, style.columns)
    shown_width = stack.width * stack.pixel_aspect  # desqueezed, as the viewer shows it
    cell = (style.cell_width, max(1, round(style.cell_width * stack.height / shown_width)))
    top = style.margin + 4 * style.line
    left = style.margin + style.label_width
    width = left + len(frames) * (cell[0] + style.gap) - style.gap + style.margin
    row_height = max(cell[1], 4 * style.line)
    height = top + len(rows) * (row_height + style.gap) - style.gap + style.margin
    sheet = Image.new("RGB", (width, height), style.background)
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, stack, style, width)
    for column, frame in enumerate(frames):
        x = left + column * (cell[0] + style.gap)
        draw.text((x, top - style.line), str(frame), fill=style.muted, font=_font(12))
        for row, sequence in enumerate(rows):
            pixels = to_srgb_bytes(
                composite_on_checker(load_frame(folder, sequence, frame)), to_display
            )
            image = Image.fromarray(pixels).resize(cell, Image.Resampling.LANCZOS)
            sheet.paste(image, (x, top + row * (row_height + style.gap)))
    for row, sequence in enumerate(rows):
        _draw_label(draw, sequence, top + row * (row_height + style.gap), style)
    path = folder / preview_folder(stack.state) / CONTACT_SHEET
    with atomic_write(path) as temporary:
        sheet.save(temporary, format="PNG")
    return path


def describe_sequence(sequence: Layer | FlattenedSequence) -> str:
    """Return what a sequence is, in a few words."""
    if isinstance(sequence, Layer):
        words = sequence.role.value
        return f"{words} of {sequence.caster}" if sequence.caster else words
    return "linear over of the layers" if sequence.name == "comp" else "full video, for reference"


def summary(stack: Stack) -> str:
    """Return size, frame range, rate and color space of a stack in one line."""
    last = stack.start_frame + stack.frames - 1
    return (
        f"{stack.width} x {stack.height}   {stack.start_frame}-{last} at {stack.fps:g} fps   "
        f"{stack.colorspace}   {stack.model or stack.layers[0].source}"
    )


def _comp_images(folder: Path, stack: Stack, to_display: ColorTransform) -> Iterator[Image.Image]:
    comp = stack.flat("comp")
    for frame in range(stack.start_frame, stack.start_frame + stack.frames):
        yield Image.fromarray(to_srgb_bytes(load_frame(folder, comp, frame), to_display))


def _video_frame(image: Image.Image) -> av.VideoFrame:
    pixels = np.asarray(image)
    rows, columns = (side % 2 for side in pixels.shape[:2])
    even = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
    # Without the destination named, the matrix would be BT.601 whatever the tags say.
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
    return convert_samples(frame, format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _sample_frames(stack: Stack, count: int) -> list[int]:
    """Return up to ``count`` frame numbers from first to last, evenly spread."""
    count = min(count, stack.frames)
    steps = max(count - 1, 1)
    return [stack.start_frame + round(i * (stack.frames - 1) / steps) for i in range(count)]


def _draw_header(draw: ImageDraw.ImageDraw, stack: Stack, style: SheetStyle, width: int) -> None:
    x, y = style.margin, style.margin - 6
    draw.text((x, y), stack.name, fill=style.text, font=_font(20))
    right = width - style.margin
    draw.text((right, y + 6), summary(stack), fill=style.muted, font=_font(12), anchor="ra")
    for line in _wrap_text(stack.prompt, _font(14), right - x, limit=1):
        draw.text((x, y + 30), line, fill=style.muted, font=_font(14))


def _draw_label(
    draw: ImageDraw.ImageDraw, sequence: Layer | FlattenedSequence, y: int, style: SheetStyle
) -> None:
    x = style.margin
    draw.text((x, y - 2), sequence.name, fill=style.text, font=_font(15))
    lines = [describe_sequence(sequence)]
    prompt = sequence.prompt if isinstance(sequence, Layer) else ""
    lines += _wrap_text(prompt, _font(12), style.label_width - 32, limit=2)
    for number, line in enumerate(lines, start=1):
        draw.text((x, y + 2 + number * style.line), line, fill=style.muted, font=_font(12))


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101  Pillow with FreeType, as in every wheel
    return font


def _wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int, limit: int) -> list[str]:
    """Return at most ``limit`` lines of whole words; dots show that there is more."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        elif len(lines) < limit:
            lines.append(word)
        else:
            lines[-1] += " ..."
            break
    return lines
