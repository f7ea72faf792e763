"""Attention against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from layert2v_engine.model import attention
from layert2v_engine.model.attention import attend, one_way_mask


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


@torch.no_grad()
def test_a_mask_of_streams_needs_none_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over two samples with other frozen streams; the limit for a mask of tokens is lowered."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4 * 6, 2, 8)
    frozen = torch.tensor([[True, False, True, False], [False, False, False, True]])
    mask = one_way_mask(frozen)
    dense = attend(query, key, value, mask, None)
    seen: list[torch.Tensor | None] = []
    monkeypatch.setattr(attention, "DENSE_MASK_SCORES", 0)
    kernel = attention.dispatch_attention_fn

    def record(*args: torch.Tensor, attn_mask: torch.Tensor | None = None, **options: object):
        seen.append(attn_mask)
        return kernel(*args, attn_mask=attn_mask, **options)

    monkeypatch.setattr(attention, "dispatch_attention_fn", record)
    torch.testing.assert_close(attend(query, key, value, mask, None), dense, atol=1e-6, rtol=0)
    assert seen == [None] * 4  # two kinds of streams in each of two samples
