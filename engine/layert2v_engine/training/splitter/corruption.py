"""Plates and masks as real removers and trackers give them, made of true ones.

A remover drifts in color, all over and from place to place; it shifts, blurs, adds noise, invents
what it never saw and leaves some of the shadow. A temporal fill is exact, but only inside its hole.
A tracker's mask wanders, is coarse, too large or too small, and lacks parts. All of it is a
function of one generator.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from layert2v_engine.decompose.splitter.network import linear_values, network_values
from layert2v_engine.training.splitter.draws import Draws
from layert2v_engine.training.splitter.splits import Split


def blur(x: Tensor, sigma: float) -> Tensor:
    """Return ``x`` [B, C, H, W] under a Gaussian of ``sigma`` pixels, its edges continued."""
    radius = max(1, int(3 * sigma))
    kernel = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * sigma**2))
    kernel, channels = (kernel / kernel.sum()).to(x), x.shape[1]
    padded = functional.pad(x, (radius,) * 4, mode="replicate")
    rows = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = functional.conv2d(padded, rows, groups=channels)
    return functional.conv2d(padded, rows.transpose(2, 3), groups=channels)


def dilate(x: Tensor, radius: int) -> Tensor:
    """Return the largest value [B, C, H, W] within ``radius`` pixels in both directions."""
    return functional.max_pool2d(x, 2 * radius + 1, 1, radius)


class Corruption(Draws):
    """Draws plates and masks for splits; one generator, so that a seed gives the same again."""

    def __call__(self, true: Split) -> tuple[Split, Tensor]:
        """Return a split with the plate of a remover, and a rough mask [B, 1, H, W] in 0..1."""
        true = self._expose(true)
        mask = self.rough_mask(true.alpha, true.shadow)
        noisy = replace(true, source=self._grain(true.source))
        drifted, filled = self._drifted_plate(noisy, mask), self._filled_plate(noisy, mask)
        is_filled = self._some(true.alpha, 0.4)
        split = Split(
            source=noisy.source,
            plate=torch.where(is_filled, filled.plate, drifted.plate),
            alpha=true.alpha,
            shadow=torch.where(is_filled, filled.shadow, drifted.shadow),
        )
        return self._compress(split), mask

    def rough_mask(self, alpha: Tensor, shadow: Tensor) -> Tensor:
        """Return a tracker's mask of ``alpha``: coarse, wandering, wrong in places."""
        coarse = 2.0 + 2.0 * float(self._uniform(1))
        small = [max(8, round(side / coarse)) for side in alpha.shape[-2:]]
        low = functional.interpolate(alpha, small, mode="bilinear", antialias=True)
        low = torch.lerp(low, blur(low, 2.0), self._amount(alpha, 0.0, 1.0))
        wander = self._smooth(alpha, 14) * 0.16 + self._smooth(alpha, 5) * 0.1
        soft = functional.interpolate(low, alpha.shape[-2:], mode="bilinear")
        level = soft + wander * (soft * (1 - soft) * 4).clamp(0, 1) - self._amount(alpha, 0.2, 0.8)
        sharpness = torch.where(self._some(alpha, 0.5), 200.0, self._amount(alpha, 3.0, 12.0))
        mask = (level * sharpness).sigmoid()
        lacking = (self._smooth(alpha, 4) > 1.2) & self._some(alpha, 0.25)
        added = (self._smooth(alpha, 4) > 1.6) & (dilate(alpha, 9) > 0.3) & self._some(alpha, 0.2)
        added = added | ((shadow > 0.15) & self._some(alpha, 0.08))
        return torch.where(lacking, 0.0, torch.where(added, 1.0, mask))

    def _expose(self, true: Split) -> Split:
        """Return the split under another exposure and white balance; values may pass 1."""
        gain = torch.exp2(self._amount(true.source, -1.5, 1.2))
        tint = 1 + 0.12 * self._normal(len(true.source), 3, 1, 1)
        source, plate = (
            network_values(linear_values(x) * gain * tint) for x in (true.source, true.plate)
        )
        return replace(true, source=source, plate=plate)

    def _drifted_plate(self, true: Split, mask: Tensor) -> Split:
        """Return the split with the whole plate drawn anew, as a network does."""
        count = len(mask)
        severity = self._amount(mask, 0.0, 1.5) ** 1.5
        plate = torch.lerp(true.plate, blur(true.plate, 1.4), self._amount(mask, 0.0, 1.0))
        leftover = self._amount(mask, 0.3, 1.0) * self._some(mask, 0.15) * self._blob(mask)
        left = leftover * true.shadow
        plate = network_values(linear_values(plate) * (1 - left))
        invented = self._invent(plate, dilate((mask > 0.3).float(), 4))
        hidden = dilate((mask > 0.3).float(), 3) * self._blob(mask) * self._some(mask, 0.5)
        plate = torch.lerp(plate, invented, blur(hidden, 1.5))
        leak = self._blob(mask) * self._some(mask, 0.2) * (1 - dilate(1 - mask, 3))
        plate = torch.lerp(plate, true.source, 0.7 * blur(leak, 1.0))
        plate = self._move(plate, severity)
        gain = 1 + 0.05 * severity * self._normal(count, 3, 1, 1)
        offset = 0.012 * severity * self._normal(count, 3, 1, 1)
        field = 0.05 * severity * self._smooth(plate, 4)
        plate = (plate * gain + offset) * (1 + field)
        plate = plate + 0.01 * self._amount(mask, 0.0, 1.0) * self._normal(*plate.shape)
        shadow = 1 - (1 - true.shadow) / (1 - left).clamp_min(1e-3)
        return replace(true, plate=plate.clamp_min(0), shadow=shadow.clamp(0, 1))

    def _filled_plate(self, true: Split, mask: Tensor) -> Split:
        """Return the split with the source's own pixels around a hole that may be too small."""
        radius = 2 + int(8 * float(self._uniform(1)))
        hole = dilate((mask > 0.3).float(), radius)
        cast = dilate((true.shadow > 0.02).float(), 4) * (1 - self._blob(mask) * 0.999).round()
        hole = torch.maximum(hole, cast * self._some(mask, 0.8))
        fill = torch.lerp(true.plate, blur(true.plate, 1.2), self._amount(mask, 0.0, 1.0))
        fill = fill * (1 + 0.03 * self._normal(len(mask), 3, 1, 1) * self._amount(mask, 0.0, 1.0))
        fill = self._move(fill, self._amount(mask, 0.0, 1.0))
        unseen = self._blob(mask) * self._some(mask, 0.4)
        fill = torch.lerp(fill, self._invent(true.source, hole), blur(unseen, 1.5))
        grain = 0.01 * self._amount(mask, 0.0, 1.0) * self._normal(*fill.shape)
        soft = torch.where(self._some(mask, 0.5), hole, blur(hole, 1.5))
        plate = torch.lerp(true.source, fill + grain, soft).clamp_min(0)
        return replace(true, plate=plate, shadow=true.shadow * soft)

    def _invent(self, picture: Tensor, hole: Tensor) -> Tensor:
        """Return the picture with its hole filled from around, without detail."""
        small = [max(4, side // 8) for side in picture.shape[-2:]]
        outside = 1 - hole
        parts = torch.cat([picture * outside, outside + 1e-3], 1)
        low = blur(functional.interpolate(parts, small, mode="area"), 2.0)
        smooth = functional.interpolate(
            low[:, :3] / low[:, 3:], picture.shape[-2:], mode="bilinear"
        )
        return torch.lerp(picture, smooth, hole)

    def _move(self, plate: Tensor, severity: Tensor) -> Tensor:
        """Return the plate displaced by up to about a pixel, not the same everywhere."""
        count, _, height, width = plate.shape
        shift = 0.5 * self._normal(count, 2, 1, 1) + 0.3 * self._smooth(plate[:, :2], 4)
        size = torch.tensor([2 / width, 2 / height]).view(1, 2, 1, 1)
        identity = torch.eye(2, 3).expand(count, -1, -1)
        grid = functional.affine_grid(identity, list(plate.shape), align_corners=False)
        grid = grid + (shift * severity * size).permute(0, 2, 3, 1)
        return functional.grid_sample(plate, grid, padding_mode="border", align_corners=False)

    def _grain(self, picture: Tensor) -> Tensor:
        amount = 0.02 * self._amount(picture, 0.0, 1.0) ** 2
        return (picture + amount * self._normal(*picture.shape)).clamp_min(0)

    def _compress(self, split: Split) -> Split:
        """Return the split with some of its pictures as an 8-bit codec leaves them."""
        source, plate = split.source.clone(), split.plate.clone()
        for row in range(len(source)):
            draw = self._uniform(3).tolist()
            quality = 40 + int(55 * draw[2])
            if draw[0] < 0.25:
                source[row] = _through_jpeg(source[row], quality)
            if draw[1] < 0.15:
                plate[row] = _through_jpeg(plate[row], quality)
        return replace(split, source=source, plate=plate)


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    """Return a picture [3, H, W] of network values as JPEG shows it; brighter than 1 stays."""
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    shown = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1) / 255
    return torch.where(picture > 1, picture, shown)
