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

from layert2v.stack import Layer, Role, Stack, StackFormat
from layert2v_engine.errors import FootageError
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import premultiply, to_half
from layert2v_engine.image.stills import ImageFrame, ImageInfo, find_sequence, read_image, read_info

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
    def compute(cls, source: ImageInfo | StackFormat, format: StackFormat, role: Role) -> Fit:
        """Return the fit from the size and pixel aspect of ``source`` to those of the stack."""
        wide = source.width * source.pixel_aspect / format.pixel_aspect
        ratios = (format.width / wide, format.height / source.height)
        scale = max(ratios) if role is Role.background else min(ratios)
        return cls(
            source=(source.width, source.height),
            target=(format.width, format.height),
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

    ``colorspace`` is any space of ``config``, ``alpha`` one of ``layert2v.rerender.ALPHAS``. A
    single image is held; a longer sequence is cut at its end. Raises ``FootageError`` for images
    that are missing, too few or, without ``fit``, of another size, and ``ColorError``.
    """

    def __init__(
        self,
        folder: Path,
        format: StackFormat,
        role: Role,
        *,
        colorspace: str,
        alpha: str = "premultiplied",
        fit: bool = False,
        config: ColorConfig | None = None,
    ) -> None:
        config = config or ColorConfig.load()
        self._files = find_sequence(folder, "plate")
        self._frame_number, length_note = _match_length(len(self._files), format.frames, "plate")
        first = read_info(self._files[0])
        self._size = (first.width, first.height)
        if not fit:
            _check_size(self._files[0], self._size, format, "plate")
        source = config.find(colorspace)
        self._fit = Fit.compute(first, format, role) if fit else None
        self._to_linear = config.transform(source.name, format.colorspace)
        self._linear, self._alpha, self._role = source.linear, alpha, role
        origin = f"plate in {source.name}, {alpha} alpha"
        fit_note = self._fit.note if self._fit else ""
        self.note = ", ".join(part for part in (origin, fit_note, length_note) if part)

    def frame(self, index: int) -> Tensor:
        path = self._files[self._frame_number(index)]
        image = read_image(path)
        if (image.rgb.shape[2], image.rgb.shape[1]) != self._size:
            raise FootageError(
                f"{path.name} of the plate has another size than its first frame.",
                "All frames of a plate have one size; scale them first.",
                reason="SIZES_DIFFER",
            )
        pixels = self._premultiply(image)
        if self._fit is not None:
            pixels = self._fit.apply(pixels)
        return to_half(_make_opaque(pixels) if self._role is Role.background else pixels)

    def _premultiply(self, image: ImageFrame) -> Tensor:
        """Return scene-linear, premultiplied float ``[H, W, 4]``."""
        rgb, alpha = image
        if alpha is None or self._alpha == "opaque":
            return _to_rgba(self._to_linear(rgb), torch.ones_like(rgb[0]))
        alpha = alpha.clamp(0.0, 1.0)
        if self._alpha == "straight":
            return premultiply(_to_rgba(self._to_linear(rgb), alpha))
        if self._linear:  # a matrix does the same to premultiplied color, and loses nothing
            return _to_rgba(self._to_linear(rgb), alpha)
        divisor = torch.where(alpha > 0, alpha, 1.0)  # light without coverage stays as it is
        return _to_rgba(self._to_linear(rgb / divisor) * divisor, alpha)


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
        self._frame_number, length_note = _match_length(
            stack.frames, format.frames, "layer of the other stack"
        )
        self._fit = Fit.compute(stack, format, layer.role)
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
        pixels = self._fit.apply(_to_rgba(color, stored[..., 3]))
        return to_half(_make_opaque(pixels) if self._role is Role.background else pixels)


class MaskSource:
    """Where the old pixels of a layer stay: images of the size of the stack, white where they do.

    ``planes`` is ``[T, H, W]`` in 0..1. One image is held. What is not quite white in any channel
    is a soft transition. Raises ``FootageError``.
    """

    def __init__(self, folder: Path, format: StackFormat, layer: str) -> None:
        label = f"mask of {layer}"
        files = find_sequence(folder, label)
        frame_number, _ = _match_length(len(files), format.frames, label)
        first = read_info(files[0])
        _check_size(files[0], (first.width, first.height), format, label)
        used = [files[frame_number(index)] for index in range(format.frames)]
        planes = {path: read_image(path).rgb.amin(0).clamp(0.0, 1.0) for path in {*used}}
        for path, plane in planes.items():
            _check_size(path, (plane.shape[1], plane.shape[0]), format, label)
        self.planes = torch.stack([planes[path] for path in used])

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


def _to_rgba(rgb: Tensor, alpha: Tensor) -> Tensor:
    return torch.cat((rgb, alpha[None])).movedim(0, -1)


def _make_opaque(pixels: Tensor) -> Tensor:
    return torch.cat((pixels[..., :3], torch.ones_like(pixels[..., 3:])), dim=-1)


def _match_length(count: int, required: int, label: str) -> tuple[Callable[[int], int], str]:
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


def _check_size(path: Path, size: tuple[int, int], format: StackFormat, label: str) -> None:
    if size != (format.width, format.height):
        raise FootageError(
            f"{path.name} of the {label} is {size[0]} x {size[1]} pixels, but the stack is "
            f"{format.width} x {format.height}.",
            "Scale it, or ask for a plate to be fitted." if label == "plate" else "Scale it first.",
            reason="SIZES_DIFFER",
        )
