"""Work on a few rows of a tensor at a time, where its intermediate results would take much memory.

Only without gradients, which would keep all of them anyway. The numbers are the same, up to the
order in which a matrix product adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Bytes of the widest intermediate result of a chunk. A CPU keeps that in its cache; a GPU needs
# some ten thousand rows for matrix products at its full rate.
CHUNK_BYTES = {"cpu": 1 << 22}
CHUNK_BYTES_DEVICE = 1 << 28
# Numbers of a scene's latents up to which both passes of guidance are one batch: 4,096 tokens of
# Wan. Beyond, a batch is no faster.
BATCHED_NUMBERS = 1 << 18


def chunk_count(rows: int, row_bytes: int, device: torch.device) -> int:
    """Return in how many chunks to work on ``rows`` that take ``row_bytes`` each; 1 with gradients.

    rows: of the whole batch.
    """
    if torch.is_grad_enabled():
        return 1
    limit = CHUNK_BYTES.get(device.type, CHUNK_BYTES_DEVICE)
    return max(1, math.ceil(rows * row_bytes / limit))


def map_rows(function: Callable[[slice], Tensor], rows: int, count: int) -> Tensor:
    """Return the results [B, n, ...] of ``count`` calls with slices of all ``rows``, in one tensor.

    The results are never in memory twice.
    """
    if count <= 1:
        return function(slice(0, rows))
    size = math.ceil(rows / count)
    first = function(slice(0, size))
    out = first.new_empty(first.shape[0], rows, *first.shape[2:])
    out[:, :size] = first
    del first
    for start in range(size, rows, size):
        out[:, start : start + size] = function(slice(start, start + size))
    return out
