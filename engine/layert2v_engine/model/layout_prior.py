"""Where subjects usually are: the mean of the noise that their mattes are drawn from.

Position, heading and outline are decided at the highest noise, where a small network finds them
last. A prior that depends on the text says them at once: a matte is drawn from noise whose mean is
moved towards the latents of the mean matte of such subjects. Sources of the idea: a conditional
prior (arXiv 2502.09611), and regions in noise (Wan-Alpha, arXiv 2509.24979).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from layert2v_engine.layout import Figure
from layert2v_engine.tensor_file import load_tensors

FILE = "layout_prior.safetensors"
# Share of the difference between the mean matte and an empty one that noise is moved by.
STRENGTH = 0.3
MAX_SUBJECTS = 2  # with more of them in a scene, they are as in one of so many
_SPOTS = ("left", "middle", "right")
_VISIBLE = 0.1  # of a mean matte, where it counts as the subject


class LayoutPrior:
    """Mean mattes by subject and number of subjects, which head right and stand in the middle.

    mattes: bytes [h, w] by number and subject, and by number the middles of subjects on the left,
        in the middle and on the right, 3 shares of the width.
    """

    def __init__(
        self, mattes: Mapping[tuple[int, str], Tensor], middles: Mapping[int, Tensor]
    ) -> None:
        self._mattes, self._middles = dict(mattes), dict(middles)

    @property
    def subjects(self) -> frozenset[str]:
        """The names of the subjects that are known."""
        return frozenset(name for _, name in self._mattes)

    def matte(self, figure: Figure, count: int, height: int, width: int) -> Tensor | None:
        """Return the mean matte [H, W] in 0..1 of a subject of ``count``, None if unknown."""
        count = min(count, MAX_SUBJECTS)
        mean = self._mean(figure, count)
        if mean is None or figure.spot not in _SPOTS or count not in self._middles:
            return None
        middle = float(self._middles[count][_SPOTS.index(figure.spot)])
        matte = _resize(mean, height, width)
        offset = round((middle - 0.5) * width)
        moved = torch.zeros_like(matte)
        if offset >= 0:
            moved[:, offset:] = matte[:, : width - offset]
        else:
            moved[:, :offset] = matte[:, -offset:]
        return moved

    def outline(self, figure: Figure, count: int, height: int, width: int) -> Tensor | None:
        """Return the same without what is around it, as large as a height and width allow.

        It stands at the bottom, in the middle.
        """
        mean = self._mean(figure, min(count, MAX_SUBJECTS))
        if mean is None:
            return None
        rows, columns = ((mean > _VISIBLE).any(axis).nonzero() for axis in (1, 0))
        part = mean[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
        scale = min(height / part.shape[0], width / part.shape[1])
        size = (max(1, round(part.shape[0] * scale)), max(1, round(part.shape[1] * scale)))
        size = min(size[0], height), min(size[1], width)
        left = (width - size[1]) // 2
        canvas = torch.zeros(height, width)
        canvas[height - size[0] :, left : left + size[1]] = _resize(part, *size)
        return canvas

    def _mean(self, figure: Figure, count: int) -> Tensor | None:
        mean = self._mattes.get((count, figure.subject))
        if mean is None or not figure.heading:
            return None
        right = mean.float() / 255
        return right.flip(-1) if figure.heading == "left" else right

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        tensors = {f"{count}.matte.{name}": each for (count, name), each in self._mattes.items()}
        tensors |= {f"{count}.middles": each for count, each in self._middles.items()}
        save_file({name: each.contiguous() for name, each in tensors.items()}, path)

    @classmethod
    def load(cls, folder: Path) -> LayoutPrior | None:
        """Read what ``save`` wrote as ``FILE`` of a folder, None where there is none."""
        path = folder / FILE
        if not path.is_file():
            return None
        mattes, middles = dict[tuple[int, str], Tensor](), dict[int, Tensor]()
        for key, tensor in load_tensors(path).items():
            count, _, name = key.partition(".")
            if name == "middles":
                middles[int(count)] = tensor
            else:
                mattes[int(count), name.removeprefix("matte.")] = tensor
        return cls(mattes, middles)


def _resize(matte: Tensor, height: int, width: int) -> Tensor:
    resized = functional.interpolate(
        matte[None, None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0, 0].clamp(0, 1)
