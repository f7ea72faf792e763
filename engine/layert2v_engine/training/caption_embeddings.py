"""Token embeddings of captions, each encoded once.

Knows sentences and their encoder, not what they describe.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from layert2v_engine.model.text import TextEncoder


class CaptionEmbeddings:
    """Embeddings of captions, each encoded when it first occurs.

    They are kept as float16 on the device of the encoder.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._rows: dict[str, int] = {}
        self._embeddings, self._mask = torch.empty(0), torch.empty(0)  # [N, L, D], [N, L]

    def batch(self, prompts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return embeddings [B, P, L, D] and mask [B, P, L] of B rows of P prompts."""
        captions = [text for row in prompts for text in row]
        self._encode([text for text in dict.fromkeys(captions) if text not in self._rows])
        rows = torch.tensor([self._rows[text] for text in captions]).to(self._embeddings.device)
        shape = (len(prompts), len(prompts[0]))
        embeddings, mask = self._embeddings[rows].float(), self._mask[rows]
        return embeddings.unflatten(0, shape), mask.unflatten(0, shape)

    def _encode(self, new: Sequence[str]) -> None:
        if not new:
            return
        embeddings, mask = self._encoder.encode(new)
        known = len(self._rows)
        self._rows |= {text: known + i for i, text in enumerate(new)}
        self._embeddings = (
            torch.cat([self._embeddings, embeddings.half()]) if known else embeddings.half()
        )
        self._mask = torch.cat([self._mask, mask]) if known else mask
