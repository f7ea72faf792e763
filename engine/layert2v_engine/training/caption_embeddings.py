"""Token embeddings of captions, each encoded once as long as there is room for it.

Knows sentences and their encoder, not what they describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from layert2v_engine.model.text import TextStates

TABLE_BYTES = 256 << 20
# Lengths in tokens that batches are cut to: few, since a compiled network is compiled for each.
LENGTH_STEP = 16


class CaptionEncoder(Protocol):
    """Encodes captions as token states of at most ``max_tokens``."""

    max_tokens: int

    def encode(self, prompts: Sequence[str], *, padded: bool = True) -> TextStates:
        """Return states [N, L, D], 0 at padding, and mask [N, L] of N captions, in order."""


class CaptionEmbeddings:
    """A table of embeddings of captions, each encoded when it first occurs.

    The table has as many rows as fit into ``TABLE_BYTES`` and takes no more: new captions take the
    place of those not used for longest. It is float16, on the device of the encoder.
    """

    def __init__(self, encoder: CaptionEncoder, *, rows: int = 0) -> None:
        self._encoder = encoder
        self._capacity = rows
        self._rows: dict[str, int] = {}  # least recently used first
        self._embeddings, self._mask = torch.empty(0), torch.empty(0)  # [N, L, D], [N, L]

    def batch(self, prompts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return embeddings [B, P, L, D] and mask [B, P, L] of B rows of P prompts.

        L is no longer than the longest prompt of the batch needs.
        """
        captions = [text for row in prompts for text in row]
        self._ensure(list(dict.fromkeys(captions)))
        rows = torch.tensor([self._rows[text] for text in captions]).to(self._embeddings.device)
        mask = self._mask[rows]
        longest = int(mask.sum(1).amax())
        length = min(-(-longest // LENGTH_STEP) * LENGTH_STEP, mask.shape[1])
        embeddings = self._embeddings[rows, :length].float()
        shape = (len(prompts), len(prompts[0]))
        return embeddings.unflatten(0, shape), mask[:, :length].unflatten(0, shape)

    def __len__(self) -> int:
        return len(self._rows)

    def _ensure(self, captions: list[str]) -> None:
        """Encode those of the captions that are not in the table."""
        for text in captions:
            if text in self._rows:
                self._rows[text] = self._rows.pop(text)
        new = [text for text in captions if text not in self._rows]
        if not new:
            return
        embeddings, mask = self._encoder.encode(new, padded=False)
        if len(captions) > len(self._embeddings):
            self._allocate(embeddings, len(captions))
        for text, states, is_token in zip(new, embeddings, mask, strict=True):
            row = len(self._rows)
            if row == len(self._embeddings):
                row = self._rows.pop(next(iter(self._rows)))
            self._rows[text] = row
            tokens = len(states)
            self._embeddings[row, :tokens] = states.to(self._embeddings.dtype)
            self._embeddings[row, tokens:] = 0
            self._mask[row, :tokens], self._mask[row, tokens:] = is_token, False

    def _allocate(self, like: Tensor, least: int) -> None:
        """Make a table of ``least`` rows or more; what an older one held is kept."""
        length, width = self._encoder.max_tokens, like.shape[-1]
        rows = max(least, self._capacity or TABLE_BYTES // (2 * length * width))
        older = self._embeddings, self._mask
        self._embeddings = like.new_empty(rows, length, width, dtype=torch.float16)
        self._mask = like.new_empty(rows, length, dtype=torch.bool)
        if count := len(older[0]):
            self._embeddings[:count], self._mask[:count] = older
