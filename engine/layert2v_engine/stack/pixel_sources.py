"""Pixels for a layer that no model drew: an artist's plate, a layer of another stack, a mask.

They are brought to the colours and the size of the stack they go into, and to nothing else: what
already has both is delivered to the bit. Knows no model.
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

from layert2v.stack import Layer, Role, Stack
from layert2v_engine.errors import FootageError
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import premultiply, to_half
from layert2v_engine.image.stills import Picture, find_pictures, picture_size, read_picture
from layert2v_engine.stack.manifest import Format

FILTER = "lanczos3"
# How far a kept region fades out into what is drawn around it.
SOFT_EDGE_PX = 2


class PixelSource(Protocol):
    """Frames ready to be delivered; `note` says what was done to them, if anything."""

    @property
    def note(self) -> str: ...

    def frame(self, index: int) -> Tensor:
        """Frame `index` (from 0): half, premultiplied, scene-linear `[H, W, 4]`.

        Raises `FootageError` or `StackError`.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How pictures of one size come to fill another: scaled as a whole, its middle on the middle.

    A background covers the frame and loses what stands out; a foreground or a shadow fits inside
    and is surrounded by nothing. Shapes are kept also where pixels are not square.
    """

    source: tuple[int, int]  # width, height
    target: tuple[int, int]
    scaled: tuple[int, int]

    @classmethod
    def of(cls, source: tuple[int, int, float], format: Format, role: Role) -> Fit:
        """From width, height and pixel aspect of `source` to those of the stack."""
        width, height, aspect = source
        wide = width * aspect / format.pixel_aspect
        ratios = (format.width / wide, format.height / height)
        scale = max(ratios) if role is Role.background else min(ratios)
        return cls(
            source=(width, height),
            target=(format.width, format.height),
            scaled=(max(1, round(wide * scale)), max(1, round(height * scale))),
        )

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return not self.source == self.scaled == self.target

    @property
    def note(self) -> str:
        """What is done, for the history."""
        if not self.changes:
            return ""
        (a, b), (c, d) = self.source, self.scaled
        cut = "cropped to the middle" if c > self.target[0] or d > self.target[1] else "centred"
        return f"scaled from {a} x {b} to {c} x {d} with {FILTER} and {cut}"

    def apply(self, pixels: Tensor) -> Tensor:
        """Premultiplied linear float `[h, w, 4]` at the size of the stack."""
        if not self.changes:
            return pixels
        low, high = pixels.amin((0, 1)), pixels.amax((0, 1))
        source = oiio.ImageBuf(np.ascontiguousarray(pixels.float().numpy()))
        region = oiio.ROI(0, self.scaled[0], 0, self.scaled[1], 0, 1, 0, 4)
        made = oiio.ImageBufAlgo.resize(source, filtername=FILTER, roi=region)
        scaled = torch.from_numpy(np.asarray(made.get_pixels(oiio.FLOAT)))
        # The filter overshoots at hard edges; no pixel may leave what the picture holds, and none
        # may shine where it does not cover, if none did before.
        scaled = scaled.clamp(low, high)
        if not _shines_uncovered(pixels):
            scaled[..., :3] *= to_half(scaled)[..., 3:] > 0
        return self._placed(scaled)

    def _placed(self, pixels: Tensor) -> Tensor:
        margins = [side - had for side, had in zip(self.target, self.scaled, strict=True)]
        left, top = (margin // 2 for margin in margins)
        right, bottom = margins[0] - left, margins[1] - top
        return F.pad(pixels, (0, 0, left, right, top, bottom))  # a negative margin crops


class PlateSource:
    """An artist's pictures as frames of a layer.

    `colorspace` is any space of `config`, `alpha` one of `layert2v.rerender.ALPHAS`. A single
    picture is held; a longer sequence is cut at its end. Raises `FootageError` for pictures that
    are missing, too few or, without `fitted`, of another size, and `ColorError`.
    """

    def __init__(
        self,
        folder: Path,
        format: Format,
        role: Role,
        *,
        colorspace: str,
        alpha: str = "premultiplied",
        fitted: bool = False,
        config: ColorConfig | None = None,
    ) -> None:
        config = config or ColorConfig.load()
        self._files = find_pictures(folder, "plate")
        self._number, counted = _counted(len(self._files), format.frames, "plate")
        size = picture_size(self._files[0])
        if not fitted:
            _same_size(self._files[0], size[:2], format, "plate")
        source = config.find(colorspace)
        self._fit = Fit.of(size, format, role) if fitted else None
        self._to_linear = config.transform(source.name, format.colorspace)
        self._linear, self._alpha, self._role = source.linear, alpha, role
        self._size = size[:2]
        given = f"plate in {source.name}, {alpha} alpha"
        fitted_note = self._fit.note if self._fit else ""
        self.note = ", ".join(part for part in (given, fitted_note, counted) if part)

    def frame(self, index: int) -> Tensor:
        path = self._files[self._number(index)]
        picture = read_picture(path)
        if (picture.rgb.shape[2], picture.rgb.shape[1]) != self._size:
            raise FootageError(
                f"{path.name} of the plate has another size than its first frame.",
                "All frames of a plate have one size; scale them first.",
                reason="SIZES_DIFFER",
            )
        pixels = self._premultiplied(picture)
        if self._fit is not None:
            pixels = self._fit.apply(pixels)
        if self._role is Role.background:
            pixels = torch.cat((pixels[..., :3], torch.ones_like(pixels[..., 3:])), dim=-1)
        return to_half(pixels)

    def _premultiplied(self, picture: Picture) -> Tensor:
        """Scene-linear, premultiplied float `[H, W, 4]`."""
        rgb, alpha = picture
        if alpha is None or self._alpha == "opaque":
            return _packed(self._to_linear(rgb), torch.ones_like(rgb[0]))
        alpha = alpha.clamp(0.0, 1.0)
        if self._alpha == "straight":
            return premultiply(_packed(self._to_linear(rgb), alpha))
        if self._linear:  # a matrix does the same to premultiplied colour, and loses nothing
            return _packed(self._to_linear(rgb), alpha)
        solid = torch.where(alpha > 0, alpha, 1.0)  # light without coverage stays as it is
        return _packed(self._to_linear(rgb / solid) * solid, alpha)


class DonorSource:
    """A layer of another stack as frames of a layer, always fitted.

    A stack of one frame is held, a longer one cut at its end. Raises `FootageError` and
    `ColorError`.
    """

    def __init__(
        self,
        folder: Path,
        stack: Stack,
        layer: Layer,
        format: Format,
        *,
        config: ColorConfig | None = None,
    ) -> None:
        config = config or ColorConfig.load()
        self._folder, self.layer = folder, layer
        self._number, counted = _counted(stack.frames, format.frames, "layer of the other stack")
        self._fit = Fit.of((stack.width, stack.height, stack.pixel_aspect), format, layer.role)
        self._to_linear = config.transform(stack.colorspace, format.colorspace)
        self._role = layer.role
        recoloured = ""
        if stack.colorspace != format.colorspace:
            recoloured = f"from {stack.colorspace} to {format.colorspace}"
        given = f"{layer.name} of {stack.name}"
        parts = (given, recoloured, self._fit.note, counted)
        self.note = ", ".join(part for part in parts if part)
        self.unchanged = not (recoloured or self._fit.changes or counted)

    def frame(self, index: int) -> Tensor:
        path = self._folder / self.layer.files[self._number(index)].path
        stored = exr.read(path).float()
        color = self._to_linear(stored[..., :3].movedim(-1, 0))
        pixels = self._fit.apply(_packed(color, stored[..., 3]))
        if self._role is Role.background:
            pixels = torch.cat((pixels[..., :3], torch.ones_like(pixels[..., 3:])), dim=-1)
        return to_half(pixels)


class MaskSource:
    """Where the old pixels of a layer stay: pictures of the size of the stack, white where they do.

    One picture is held. What is not quite white in any channel is a soft transition.
    Raises `FootageError`.
    """

    def __init__(self, folder: Path, format: Format, layer: str) -> None:
        what = f"mask of {layer}"
        files = find_pictures(folder, what)
        number, _ = _counted(len(files), format.frames, what)
        _same_size(files[0], picture_size(files[0])[:2], format, what)
        used = [files[number(index)] for index in range(format.frames)]
        planes = {path: read_picture(path).rgb.amin(0).clamp(0.0, 1.0) for path in {*used}}
        for path, plane in planes.items():
            _same_size(path, (plane.shape[1], plane.shape[0]), format, what)
        self.planes = torch.stack([planes[path] for path in used])  # [T, H, W] in 0..1

    def softened(self, index: int) -> Tensor:
        """The mask of a frame `[H, W]`, faded out around its white, which stays white."""
        mask = self.planes[index]
        width = 2 * SOFT_EDGE_PX + 1
        wide = F.max_pool2d(mask[None, None], width, 1, SOFT_EDGE_PX)
        padded = F.pad(wide, (SOFT_EDGE_PX,) * 4, mode="replicate")
        return torch.maximum(mask, F.avg_pool2d(padded, width, 1)[0, 0])


def keep(old: Tensor, new: Tensor, mask: Tensor) -> Tensor:
    """Half `[H, W, 4]` of which `mask` `[H, W]` says how much is old: 1 and 0 are exact."""
    share = mask[..., None]
    mixed = to_half(torch.lerp(new.float(), old.float(), share))
    return torch.where(share >= 1.0, old, torch.where(share <= 0.0, new, mixed))


def _shines_uncovered(pixels: Tensor) -> bool:
    """Whether light lies where nothing covers, as flames and glints may."""
    return bool(((pixels[..., 3] == 0) & (pixels[..., :3] != 0).any(-1)).any())


def _packed(rgb: Tensor, alpha: Tensor) -> Tensor:
    return torch.cat((rgb, alpha[None])).movedim(0, -1)


def _counted(there: int, wanted: int, what: str) -> tuple[Callable[[int], int], str]:
    """Which frame to take for each of those wanted, and what to say about it."""
    if there == 1:
        return (lambda index: 0), "" if wanted == 1 else "its one frame held"
    if there < wanted:
        raise FootageError(
            f"The {what} has {there} frames, but the stack has {wanted}.",
            "Give one frame to hold, or as many as the stack has; more are cut at the end.",
            reason="FRAMES_SHORT",
        )
    note = "" if there == wanted else f"cut from {there} to {wanted} frames"
    return (lambda index: index), note


def _same_size(path: Path, size: tuple[int, int], format: Format, what: str) -> None:
    if size != (format.width, format.height):
        raise FootageError(
            f"{path.name} of the {what} is {size[0]} x {size[1]} pixels, but the stack is "
            f"{format.width} x {format.height}.",
            "Scale it, or ask for a plate to be fitted." if what == "plate" else "Scale it first.",
            reason="SIZES_DIFFER",
        )
