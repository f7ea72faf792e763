"""Attention against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from layert2v_engine.model.attention import attend


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(300, 300), (70, 900), (9, 5)])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_chunks_is_attention(lengths: tuple[int, int], masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, n, 3, 16) for n in (lengths[0], lengths[1], lengths[1]))
    query, key, value = (torch.randn(s, generator=generator).bfloat16() for s in shapes)
    mask = torch.arange(lengths[1]).expand(2, 1, -1) < torch.tensor([4, 2])[:, None, None]
    mine = attend(query, key, value, mask if masked else None, None)
    wide = (x.float().transpose(1, 2) for x in (query, key, value))
    exact = F.scaled_dot_product_attention(*wide, attn_mask=mask[:, None] if masked else None)
    assert mine.dtype == torch.bfloat16
    torch.testing.assert_close(mine.float(), exact.transpose(1, 2), atol=0.02, rtol=0.02)
