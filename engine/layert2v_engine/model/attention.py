"""Attention for streams: rotary self-attention over all of them, text attention prompt by prompt.

Keys and values of the text are projected once per prompt. Streams that attend to the same prompts
share one attention call over exactly those prompts, so text needs no [queries x keys] mask; padding
inside a prompt is hidden by a mask over keys alone. Which streams see which is a matrix of streams,
and the keys and values of streams that see only each other can be cached from pass to pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from layert2v_engine.model.chunked import chunk_count, map_rows
from layert2v_engine.model.diffusers_classes import AttentionBackendName, dispatch_attention_fn
from layert2v_engine.model.parallel import TokenShare

# Up to here plain matrix products beat the CPU flash kernel with its slow bf16 backward (a training
# step of the Mini on 16 stills: 0.70 s against 1.03 s); beyond it the scores cost too much memory.
MATMUL_ATTENTION_KEYS = 2048
# Without gradients, products of bfloat16 beat the CPU flash kernel at any length, which does not
# use the processor's matrix units (2 x 840 tokens, 4 heads: 10 ms against 20 ms), as long as the
# scores of a chunk of queries stay in its cache.
SCORE_BYTES = 1 << 20
# A mask of streams becomes one of tokens up to here, since one call is faster and can be compiled
# for all masks at once; 131,000 tokens would take 17 GB a sample.
DENSE_MASK_SCORES = 1 << 24

Rotary = tuple[Tensor, Tensor]  # cosines and sines, each [1, N, 1, head_dim / 2] in float32


class Route(NamedTuple):
    """Streams that attend to the same prompts, and those prompts."""

    streams: tuple[int, ...]
    prompts: tuple[int, ...]


class TextContext(NamedTuple):
    """What text attention reads: states [B, P, L, D], mask [B, P, L] or None, and the routes."""

    states: Tensor
    mask: Tensor | None
    routes: tuple[Route, ...]


class KVCache:
    """Keys and values that one block need not compute again in every pass of a run.

    Those of the text and, where the first pass is of frozen streams, theirs: later passes attend to
    them beside their own.
    """

    def __init__(self, *, stores_frozen: bool) -> None:
        self._stores_next = stores_frozen  # whether the next pass is that of frozen streams
        self._frozen: tuple[Tensor, Tensor] | None = None
        self._buffers: tuple[Tensor, Tensor] | None = None  # for theirs and those of one pass
        self.text: tuple[Tensor, Tensor] | None = None  # [B, P, L, H, d]

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values [B, M, H, d] to attend to, given those of this pass' tokens.

        They are good until the next pass.
        """
        if self._stores_next:
            self._stores_next, self._frozen = False, (key, value)
        if self._frozen is None or key is self._frozen[0]:
            return key, value
        if self._buffers is None:
            frozen_key, frozen_value = self._frozen
            self._buffers = _make_buffer(frozen_key, key), _make_buffer(frozen_value, value)
        for buffer, new in zip(self._buffers, (key, value), strict=True):
            buffer[:, -new.shape[1] :] = new
        return self._buffers

    def slice_batch(self, count: int) -> KVCache:
        """Return the cache for passes of the first ``count`` of a batch."""
        part = KVCache(stores_frozen=False)
        if self._frozen is not None:
            part._frozen = self._frozen[0][:count], self._frozen[1][:count]
        if self.text is not None:
            part.text = self.text[0][:count], self.text[1][:count]
        return part


def _make_buffer(frozen: Tensor, new: Tensor) -> Tensor:
    """Return a buffer for both that begins with ``frozen`` [B, M, H, d].

    Its memory goes head by head: attention then need not copy all of it in every pass.
    """
    batch, count, heads, width = frozen.shape
    buffer = frozen.new_empty(batch, heads, count + new.shape[1], width).transpose(1, 2)
    buffer[:, :count] = frozen
    return buffer


def one_way_mask(frozen: Tensor) -> Tensor:
    """Return which stream sees which [B, S, S], true where it does.

    frozen: [B, S], true at streams that see one another only.
    """
    return ~frozen[:, :, None] | frozen[:, None, :]


def plan_routes(attended_prompts: Sequence[Sequence[int]]) -> tuple[Route, ...]:
    """Group streams by the prompts they attend to, in order of first appearance."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for stream, prompts in enumerate(attended_prompts):
        groups.setdefault(tuple(prompts), []).append(stream)
    return tuple(Route(tuple(streams), prompts) for prompts, streams in groups.items())


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    backend: AttentionBackendName | None,
) -> Tensor:
    """Softmax attention of query [B, N, H, d] over key and value [B, M, H, d].

    mask: [B, a, b], true where the a-th part of the queries sees the b-th part of the keys (parts
    are equally long; [B, 1, M] hides single keys). Every query must see something.
    """
    if (
        query.device.type == "cpu"
        and torch.is_grad_enabled()
        and key.shape[1] <= MATMUL_ATTENTION_KEYS
    ):
        return _matmul_attention(query, key, value, mask)
    if query.device.type == "cpu" and query.dtype is torch.bfloat16 and not _is_stream_mask(mask):
        return _chunked_attention(query, key, value, mask)
    if (
        mask is not None
        and _is_stream_mask(mask)
        and query.shape[1] * key.shape[1] > DENSE_MASK_SCORES
    ):
        return _attend_parts(query, key, value, mask, backend)
    dense = None
    if mask is not None:  # flash kernels refuse masks
        backend = AttentionBackendName.NATIVE
        dense = mask[:, None].repeat_interleave(key.shape[1] // mask.shape[2], 3)
        if mask.shape[1] > 1:
            dense = dense.repeat_interleave(query.shape[1] // mask.shape[1], 2)
    out: Tensor = dispatch_attention_fn(query, key, value, attn_mask=dense, backend=backend)
    return out


def _attend_parts(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    backend: AttentionBackendName | None,
) -> Tensor:
    """Compute the same under a mask of parts [B, a, b], for lengths that allow none of tokens.

    Parts of the queries that see the same parts of the keys are one call without a mask, which
    flash kernels take.
    """
    query = query.unflatten(1, (mask.shape[1], -1))
    key, value = (each.unflatten(1, (mask.shape[2], -1)) for each in (key, value))
    out = torch.empty_like(query)
    for sample, rows in enumerate(mask.tolist()):
        row = slice(sample, sample + 1)
        visible = [[part for part, is_seen in enumerate(seen) if is_seen] for seen in rows]
        for parts, seen in plan_routes(visible):
            found: Tensor = dispatch_attention_fn(
                _select(query[row], parts).flatten(1, 2),
                _select(key[row], seen).flatten(1, 2),
                _select(value[row], seen).flatten(1, 2),
                backend=backend,
            )
            out[row, list(parts)] = found.unflatten(1, (len(parts), -1))
    return out.flatten(1, 2)


def _matmul_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    scale = query.shape[-1] ** -0.5
    scores = (query.transpose(1, 2) * scale) @ key.permute(0, 2, 3, 1)  # [B, H, N, M]
    if mask is not None:
        parts = scores.unflatten(3, (mask.shape[2], -1)).unflatten(2, (mask.shape[1], -1))
        hidden = ~mask[:, None, :, None, :, None]  # broadcast: a mask of tokens never exists
        parts = parts.masked_fill(hidden, torch.finfo(scores.dtype).min)
        scores = parts.flatten(4, 5).flatten(2, 3)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value.transpose(1, 2)).transpose(1, 2)


def _is_stream_mask(mask: Tensor | None) -> bool:
    return mask is not None and mask.shape[1] > 1


def _chunked_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Compute the same in bfloat16 without gradients; mask: [B, 1, M]."""
    batch, heads = query.shape[0], query.shape[2]
    scaled = (query * query.shape[-1] ** -0.5).transpose(1, 2).flatten(0, 1)  # [B * H, N, d]
    keys = key.permute(0, 2, 3, 1).flatten(0, 1)  # [B * H, d, M]
    values = value.transpose(1, 2).flatten(0, 1)
    hidden = None if mask is None else (~mask).repeat_interleave(heads, 0)  # [B * H, 1, M]
    size = max(32, SCORE_BYTES // (2 * len(scaled) * key.shape[1]))
    parts = []
    for chunk in scaled.split(size, 1):
        scores = torch.bmm(chunk, keys)
        if hidden is not None:
            scores = scores.masked_fill_(hidden, torch.finfo(scores.dtype).min)
        parts.append(torch.bmm(scores.softmax(-1), values))
    return torch.cat(parts, 1).unflatten(0, (batch, heads)).transpose(1, 2)


def apply_rotary_emb(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the interleaved pairs of x [B, N, H, d] by their position's angles, in float32.

    The result keeps the first halves of all pairs together: scores do not mind an order that
    queries and keys share, and writing without interleaving vectorises.
    """
    cos, sin = rotary
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.cat((even * cos - odd * sin, even * sin + odd * cos), -1).type_as(x)


def split_heads(x: Tensor, norm: torch.nn.RMSNorm | None, heads: int) -> Tensor:
    """Split [..., H * d] into [..., H, d], normalized over all heads in float32, as in Wan."""
    if norm is not None:
        shape = (x.shape[-1],)
        x = F.rms_norm(x.float(), shape, norm.weight.float(), norm.eps).type_as(x)
    return x.unflatten(-1, (heads, -1))


class StreamAttnProcessor:
    """Self-attention over the tokens of all streams."""

    # diffusers sets this through ``set_attention_backend``.
    _attention_backend: AttentionBackendName | None = None
    share: TokenShare | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # [B, N, D]
        encoder_hidden_states: None = None,
        attention_mask: Tensor | None = None,  # [B, S, S]: which stream sees which
        rotary_emb: Rotary | None = None,
        kv_cache: KVCache | None = None,
    ) -> Tensor:
        query, key, value = _project_tokens(attn, hidden_states, rotary_emb)
        if kv_cache is not None:
            key, value = kv_cache.update(key, value)
        if self.share is None:
            out = attend(query, key, value, attention_mask, self._attention_backend)
        else:  # without a mask: frozen streams are cached, not hidden
            backend = self._attention_backend
            out = self.share.attend(query, key, value, partial(attend, mask=None, backend=backend))
        del query, key, value
        projected: Tensor = attn.to_out[0](out.flatten(2))
        return projected


def _project_tokens(
    attn: Any, hidden_states: Tensor, rotary: Rotary | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values [B, N, H, d] of tokens [B, N, D], rotated."""
    if attn.fused_projections:
        query, key, value = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        query = _rotate(split_heads(query, attn.norm_q, attn.heads), rotary)
        key = _rotate(split_heads(key, attn.norm_k, attn.heads), rotary)
        return query, key, split_heads(value, None, attn.heads)
    batch, count, width = hidden_states.shape
    chunks = chunk_count(batch * count, 4 * width, hidden_states.device)  # float32 in between

    def project(linear: Any, norm: torch.nn.RMSNorm, rows: slice) -> Tensor:
        part = split_heads(linear(hidden_states[:, rows]), norm, attn.heads)
        return _rotate(part, rotary and (rotary[0][:, rows], rotary[1][:, rows]))

    query = map_rows(partial(project, attn.to_q, attn.norm_q), count, chunks)
    key = map_rows(partial(project, attn.to_k, attn.norm_k), count, chunks)
    return query, key, split_heads(attn.to_v(hidden_states), None, attn.heads)


def _rotate(x: Tensor, rotary: Rotary | None) -> Tensor:
    return x if rotary is None else apply_rotary_emb(x, rotary)


class RoutedTextAttnProcessor:
    """Text attention in which each stream reads only the prompts it attends to."""

    _attention_backend: AttentionBackendName | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # [B, S * n, D]
        encoder_hidden_states: TextContext,
        attention_mask: None = None,
        rotary_emb: None = None,
        kv_cache: KVCache | None = None,
    ) -> Tensor:
        text = encoder_hidden_states
        if kv_cache is None:
            key, value = self._project_text(attn, text)
        else:
            key, value = kv_cache.text = kv_cache.text or self._project_text(attn, text)
        query = split_heads(attn.to_q(hidden_states), attn.norm_q, attn.heads)
        out = self._attend_routes(query, key, value, text)
        projected: Tensor = attn.to_out[0](out.flatten(2))
        return projected

    def _project_text(self, attn: Any, text: TextContext) -> tuple[Tensor, Tensor]:
        """Return keys and values [B, P, L, H, d] of all prompts."""
        if attn.fused_projections:
            key, value = attn.to_kv(text.states).chunk(2, dim=-1)
        else:
            key, value = attn.to_k(text.states), attn.to_v(text.states)
        return split_heads(key, attn.norm_k, attn.heads), split_heads(value, None, attn.heads)

    def _attend_routes(
        self, query: Tensor, key: Tensor, value: Tensor, text: TextContext
    ) -> Tensor:
        order = [stream for route in text.routes for stream in route.streams]
        query = query.unflatten(1, (len(order), -1))  # [B, S, n, H, d]
        parts = []
        for streams, prompts in text.routes:
            mask = None if text.mask is None else _select(text.mask, prompts).flatten(1)[:, None]
            part = attend(
                _select(query, streams).flatten(1, 2),
                _select(key, prompts).flatten(1, 2),
                _select(value, prompts).flatten(1, 2),
                mask,
                self._attention_backend,
            )
            parts.append(part.unflatten(1, (len(streams), -1)))
        out = torch.cat(parts, 1)
        back = sorted(range(len(order)), key=order.__getitem__)
        return _select(out, back).flatten(1, 2)


def _select(x: Tensor, indices: Sequence[int]) -> Tensor:
    """Return x[:, indices], as a view where the indices run on without a gap."""
    first, last = indices[0], indices[-1]
    if list(indices) == list(range(first, last + 1)):
        return x[:, first : last + 1]
    return torch.stack([x[:, i] for i in indices], 1)
