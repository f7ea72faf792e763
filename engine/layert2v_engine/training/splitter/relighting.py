"""Frames under other shadows and on other ground, made of true layers.

Deeper shadows, fainter ones and none at all, over ground that is darker in places: so that what
is dark beside a subject is not always its shadow, and a subject does not always cast one.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from layert2v_engine.decompose.splitter.network import linear_values, network_values
from layert2v_engine.training.splitter.draws import Draws
from layert2v_engine.training.splitter.splits import Split

_NO_SHADOW, _DARK_GROUND = 0.15, 0.35  # shares of the frames
_DEEPEST = 0.97


class Relighting(Draws):
    """Draws shadows and grounds for true splits; one generator, so that a seed repeats itself."""

    def __call__(self, true: Split) -> Split:
        """Return the split with another ground and another shadow on it, the same subject."""
        factor = torch.where(
            self._some(true.alpha, _NO_SHADOW), 0.0, self._amount(true.alpha, 0.5, 1.3)
        )
        shadow = (true.shadow * factor).clamp(max=_DEEPEST)
        source, plate = linear_values(true.source), linear_values(true.plate)
        ground = plate * self._dark_places(true.alpha)
        seen = 1 - true.alpha
        changed = source + seen * (ground * (1 - shadow) - plate * (1 - true.shadow))
        return replace(
            true,
            source=network_values(changed.clamp_min(0)),
            plate=network_values(ground),
            shadow=shadow,
        )

    def _dark_places(self, like: Tensor) -> Tensor:
        """Return a factor [B, 1, H, W]: 1, or less in places with soft or hard edges."""
        field = torch.where(self._some(like, 0.5), self._smooth(like, 4), self._smooth(like, 9))
        places = ((field - 0.6) * self._amount(like, 2.0, 30.0)).sigmoid()
        depth = self._amount(like, 0.1, 0.7) * self._some(like, _DARK_GROUND)
        return 1 - depth * places
