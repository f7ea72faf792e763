"""Pixels of a layer that the model does not generate: a plate, a layer of another stack, a mask.

They are converted to the color space and the size of the stack they go into, and to nothing else:
what already has both is delivered to the bit. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import OpenImageIO as oiio
import torch
import torch.nn.functional as F
from torch import Tensor

from layert2v.rerender import AUTO
from layert2v.stack import Layer, Role, Stack, StackFormat
from layert2v_engine.errors import FootageError
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import to_half
from layert2v_engine.image.footage.alpha import (
    MEASURED_FRAMES,
    choose_alpha,
    find_matte,
    make_opaque,
    note_limits,
    to_linear_rgba,
)
from layert2v_engine.image.footage.color_tags import find_colorspace
from layert2v_engine.image.footage.info import FootageInfo, FrameNotes, ImageFrame
from layert2v_engine.image.footage.stills import StillSequence

FILTER = "lanczos3"
# How far a kept region fades out into what is generated around it.
SOFT_EDGE_PX = 2


class PixelSource(Protocol):
    """Frames ready to be delivered; ``note`` says what was done to them, if anything."""

    @property
    def note(self) -> str: ...

    def frame(self, index: int) -> Tensor:
        """Return frame ``index`` (from 0): half, premultiplied, scene-linear ``[H, W, 4]``.

        Raises ``FootageError`` or ``StackError``.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How images of one size fill another: scaled uniformly, centre on centre.

    A background covers the frame and is cropped; a foreground or a shadow fits inside and is padded
    with transparency. Shapes are kept also where pixels are not square. Sizes are width, height.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    scaled: tuple[int, int]

    @classmethod
    def compute(
        cls,
        source: FootageInfo | StackFormat,
        target: tuple[int, int],
        pixel_aspect: float,
        role: Role,
    ) -> Fit:
        """Return the fit from the size and pixel aspect of ``source`` to those given."""
        wide = source.width * (source.pixel_aspect or 1.0) / pixel_aspect
        ratios = (target[0] / wide, target[1] / source.height)
        scale = max(ratios) if role is Role.background else min(ratios)
        return cls(
            source=(source.width, source.height),
            target=target,
            scaled=(max(1, round(wide * scale)), max(1, round(source.height * scale))),
        )

    @property
    def is_identity(self) -> bool:
        """Tell whether there is nothing to do."""
        return self.source == self.scaled == self.target

    @property
    def note(self) -> str:
        """Return what is done in words, for the history."""
        if self.is_identity:
            return ""
        (width, height), (new_width, new_height) = self.source, self.scaled
        is_larger = new_width > self.target[0] or new_height > self.target[1]
        placement = "cropped to the middle" if is_larger else "centred"
        return (
            f"scaled from {width} x {height} to {new_width} x {new_height} with {FILTER} and "
            f"{placement}"
        )

    def apply(self, pixels: Tensor) -> Tensor:
        """Return premultiplied scene-linear float ``[h, w, 4]`` at the size of the stack."""
        if self.is_identity:
            return pixels
        low, high = pixels.amin((0, 1)), pixels.amax((0, 1))
        source = oiio.ImageBuf(np.ascontiguousarray(pixels.float().numpy()))
        region = oiio.ROI(0, self.scaled[0], 0, self.scaled[1], 0, 1, 0, 4)
        resized = oiio.ImageBufAlgo.resize(source, filtername=FILTER, roi=region)
        scaled = torch.from_numpy(np.asarray(resized.get_pixels(oiio.FLOAT)))
        # The filter overshoots at hard edges; no pixel may leave the range of the image, and none
        # may have light without alpha, if none had before.
        scaled = scaled.clamp(low, high)
        if not _has_light_without_alpha(pixels):
            scaled[..., :3] *= to_half(scaled)[..., 3:] > 0
        return self._pad_or_crop(scaled)

    def _pad_or_crop(self, pixels: Tensor) -> Tensor:
        margins = [side - scaled for side, scaled in zip(self.target, self.scaled, strict=True)]
        left, top = (margin // 2 for margin in margins)
        right, bottom = margins[0] - left, margins[1] - top
        return F.pad(pixels, (0, 0, left, right, top, bottom))  # a negative margin crops


class PlateSource:
    """An artist's images as frames of a layer.

    ``colorspace`` is any space of ``config``, ``alpha`` one of ``layert2v.rerender.ALPHAS``, both
    as the files say where they are ``AUTO``. A single image is held. A longer sequence gives the
    frames with the numbers of the stack, or is cut at its end where it does not have them. Raises
    ``FootageError`` for images that are missing, too few or, without ``fit``, of another size, and
    ``ColorError``.
    """

    def __init__(
        self,
        folder: Path,
        format: StackFormat,
        role: Role,
        *,
        colorspace: str = AUTO,
        alpha: str = AUTO,
        fit: bool = False,
        config: ColorConfig | None = None,
    ) -> None:
        config = config or ColorConfig.load()
        self._images = StillSequence(folder, "plate")
        info = self._images.info
        self._frame_number, length_note = _match_length(info, format, "plate")
        first = self._images.files[0]
        if not fit:
            _check_size(first, (info.width, info.height), format, "plate")
            check_aspect(f"{first.name} of the plate", info, format.pixel_aspect, "stack")
        name, color_notes = find_colorspace(info, first, colorspace, config, format.colorspace)
        source = config.find(name)
        self._fit = Fit.compute(info, _size(format), format.pixel_aspect, role) if fit else None
        self._to_linear = config.transform(source.name, format.colorspace)
        self._linear, self._role = source.linear, role
        self._alpha, alpha_notes = choose_alpha(info, first.name, alpha)
        origin = f"plate in {source.name}, {self._alpha} alpha"
        fit_note = self._fit.note if self._fit else ""
        self._parts = [part for part in (origin, fit_note, length_note) if part]
        self._notes = (*color_notes, *alpha_notes)
        self._happened = FrameNotes()

    @property
    def note(self) -> str:
        """What was done to the images so far, guesses and repairs included."""
        sentences = (*self._notes, *self._images.notes, *self._happened.sentences())
        return " ".join((", ".join(self._parts) + ("." if sentences else ""), *sentences))

    def frame(self, index: int) -> Tensor:
        """Return frame ``index`` (from 0) of the layer; see ``PixelSource``."""
        number = self._frame_number(index)
        name = self._images.files[number].name
        image = self._images.read(number)
        pixels = to_linear_rgba(image, self._to_linear, self._alpha, self._linear)
        note_limits(self._happened, name, image.alpha, pixels)
        if self._fit is not None:
            pixels = self._fit.apply(pixels)
        return to_half(make_opaque(pixels) if self._role is Role.background else pixels)


class DonorSource:
    """A layer of another stack as frames of a layer, always fitted.

    A stack of one frame is held, a longer one cut at its end. Raises ``FootageError`` and
    ``ColorError``.
    """

    def __init__(
        self,
        folder: Path,
        stack: Stack,
        layer: Layer,
        format: StackFormat,
        *,
        config: ColorConfig | None = None,
    ) -> None:
        config = config or ColorConfig.load()
        self._folder, self.layer = folder, layer
        self._frame_number, length_note = _match_count(
            stack.frames, format.frames, "layer of the other stack"
        )
        self._fit = Fit.compute(stack, _size(format), format.pixel_aspect, layer.role)
        self._to_linear = config.transform(stack.colorspace, format.colorspace)
        self._role = layer.role
        color_note = ""
        if stack.colorspace != format.colorspace:
            color_note = f"from {stack.colorspace} to {format.colorspace}"
        origin = f"{layer.name} of {stack.name}"
        parts = (origin, color_note, self._fit.note, length_note)
        self.note = ", ".join(part for part in parts if part)
        self.unchanged = not (color_note or not self._fit.is_identity or length_note)

    def frame(self, index: int) -> Tensor:
        path = self._folder / self.layer.files[self._frame_number(index)].path
        stored = exr.read(path).float()
        color = self._to_linear(stored[..., :3].movedim(-1, 0))
        pixels = self._fit.apply(torch.cat((color.movedim(0, -1), stored[..., 3:]), dim=-1))
        return to_half(make_opaque(pixels) if self._role is Role.background else pixels)


class MaskSource:
    """Where the old pixels of a layer stay: images of the size of the stack, white where they do.

    ``planes`` is ``[T, H, W]`` in 0..1. One image is held. What is not quite white in any channel
    is a soft transition. Raises ``FootageError``.
    """

    def __init__(self, folder: Path, format: StackFormat, layer: str) -> None:
        label = f"mask of {layer}"
        images = StillSequence(folder, label)
        frame_number, _ = _match_length(images.info, format, label)
        _check_size(images.files[0], (images.info.width, images.info.height), format, label)
        used = [frame_number(index) for index in range(format.frames)]
        frames = {number: images.read(number) for number in sorted({*used})}
        place, _ = find_matte([*frames.values()][:MEASURED_FRAMES], label)
        planes = {number: _mask_plane(frame, place) for number, frame in frames.items()}
        self.planes = torch.stack([planes[number] for number in used])

    def soft_mask(self, index: int) -> Tensor:
        """Return the mask of a frame ``[H, W]``, faded out around its white, which stays white."""
        mask = self.planes[index]
        width = 2 * SOFT_EDGE_PX + 1
        dilated = F.max_pool2d(mask[None, None], width, 1, SOFT_EDGE_PX)
        padded = F.pad(dilated, (SOFT_EDGE_PX,) * 4, mode="replicate")
        return torch.maximum(mask, F.avg_pool2d(padded, width, 1)[0, 0])


def blend_masked(old: Tensor, new: Tensor, mask: Tensor) -> Tensor:
    """Return half ``[H, W, 4]``: ``mask`` ``[H, W]`` is the weight of ``old``, exact at 0 and 1."""
    weight = mask[..., None]
    mixed = to_half(torch.lerp(new.float(), old.float(), weight))
    return torch.where(weight >= 1.0, old, torch.where(weight <= 0.0, new, mixed))


def _has_light_without_alpha(pixels: Tensor) -> bool:
    """Tell whether pixels without alpha have color, as those of flames and glints may."""
    return bool(((pixels[..., 3] == 0) & (pixels[..., :3] != 0).any(-1)).any())


def _size(format: StackFormat) -> tuple[int, int]:
    return format.width, format.height


def _match_length(
    info: FootageInfo, format: StackFormat, label: str
) -> tuple[Callable[[int], int], str]:
    """Return which frame of footage is taken for an index, by number where it has handles."""
    first, last = info.first_frame, format.start_frame + format.frames - 1
    if info.frames > format.frames and first is not None:
        before = format.start_frame - first
        if before >= 0 and first + info.frames - 1 >= last:
            note = f"frames {format.start_frame} to {last} of {first} to {first + info.frames - 1}"
            return (lambda index: index + before), note
    return _match_count(info.frames, format.frames, label)


def _match_count(count: int, required: int, label: str) -> tuple[Callable[[int], int], str]:
    """Return which source frame is taken for an index, and a note for the history."""
    if count == 1:
        return (lambda index: 0), "" if required == 1 else "its one frame held"
    if count < required:
        raise FootageError(
            f"The {label} has {count} frames, but the stack has {required}.",
            "Give one frame to hold, or as many as the stack has; more are cut at the end.",
            reason="FRAMES_SHORT",
        )
    note = "" if count == required else f"cut from {count} to {required} frames"
    return (lambda index: index), note


def _mask_plane(frame: ImageFrame, place: str) -> Tensor:
    if place == "alpha" and frame.alpha is not None:
        return frame.alpha.clamp(0.0, 1.0)
    return frame.rgb.amin(0).clamp(0.0, 1.0)


def check_aspect(name: str, info: FootageInfo, pixel_aspect: float, whole: str) -> None:
    """Raise ``FootageError`` where pixels have not the shape of those of the ``whole``."""
    if info.pixel_aspect and abs(info.pixel_aspect / pixel_aspect - 1.0) > 0.01:
        raise FootageError(
            f"{name} has pixels of shape {info.pixel_aspect:g}, but the {whole} {pixel_aspect:g}.",
            "Desqueeze it, or ask for a plate to be fitted.",
            reason="ASPECTS_DIFFER",
        )


def _check_size(path: Path, size: tuple[int, int], format: StackFormat, label: str) -> None:
    if size != (format.width, format.height):
        raise FootageError(
            f"{path.name} of the {label} is {size[0]} x {size[1]} pixels, but the stack is "
            f"{format.width} x {format.height}.",
            "Scale it, or ask for a plate to be fitted." if label == "plate" else "Scale it first.",
            reason="SIZES_DIFFER",
        )
