"""A predictor that caches keys and values that are the same at every step.

They are those of the text and of frozen streams. Where a checkpoint was trained one-way, frozen
streams see one another only, so denoising some streams of a scene costs what those streams cost.
Exact, not an approximation; a checkpoint that declares ``full`` attention is asked about all
streams every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.attention import KVCache
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.guidance import Conditioning, Predictor


def make_predictor(
    model: LayeredWanTransformer3DModel,
    layout: StreamLayout,
    frozen: Sequence[int],
    *,
    attention: str,
    routing: str = "layered",
    frame_offset: int = 0,
    frames_per_stream: int | None = None,
    autocast: torch.dtype | None = None,
) -> Predictor:
    """Return the network as the denoising loop sees it while the streams ``frozen`` stay.

    attention, routing: what the checkpoint declares as ``frozen_attention`` and ``routing``.
    The output of frozen streams has no meaning; the loop does not read it.
    """
    cached = frozen if attention == "one_way" else ()
    positions = frame_offset, frames_per_stream
    prompts = layout.routed_prompts(routing)
    return CachedPredictor(model, layout, prompts, cached, positions, autocast)


class _CacheEntry(NamedTuple):
    """Keys and values of each block, and what they were computed from.

    name: of the conditioning among those of the run. latents: of frozen streams
    [B, S, C, F, h, w]. times: [B, S] in 0..1000.
    """

    name: int
    latents: Tensor
    times: Tensor
    text: Conditioning
    kv_caches: list[KVCache]

    def slice_batch(self, count: int) -> _CacheEntry:
        """Return the entry of the first ``count`` of its batch."""
        if count >= len(self.latents):
            return self
        states, mask = self.text
        return _CacheEntry(
            self.name,
            self.latents[:count],
            self.times[:count],
            Conditioning(states[:count], None if mask is None else mask[:count]),
            [cache.slice_batch(count) for cache in self.kv_caches],
        )

    def matches(self, latents: Tensor, times: Tensor, text: Conditioning) -> bool:
        return (
            _equal(self.text.states, text.states)
            and _equal(self.text.mask, text.mask)
            and _equal(self.times, times)
            and _equal(self.latents, latents)
        )


class CachedPredictor:
    """A predictor that computes frozen streams once for every conditioning it meets.

    attended_prompts: for each stream of the layout the indices of its prompts.
    positions: frame offset and frames per stream, as the transformer takes them.
    """

    def __init__(
        self,
        model: LayeredWanTransformer3DModel,
        layout: StreamLayout,
        attended_prompts: Sequence[Sequence[int]],
        frozen: Sequence[int],
        positions: tuple[int, int | None],
        autocast: torch.dtype | None,
    ) -> None:
        self._model, self._attended_prompts = model, attended_prompts
        self._frozen = sorted(frozen)
        self._active = [s for s in range(len(layout)) if s not in frozen]
        self._rows = layout.modulation_rows(model.config.roles)
        self._positions, self._autocast = positions, autocast
        self._entries: list[_CacheEntry] = []
        self._met = 0  # conditionings
        if model.is_cache_enabled:  # what blocks of an earlier run gave says nothing of this one
            model._reset_stateful_cache()

    def __call__(self, latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        """Return the network's output [B, S, C, F, h, w]; zeros for frozen streams."""
        entry = self._find_entry(latents[:, self._frozen], times[:, self._frozen], text)
        if not self._frozen:
            return self._run(latents, times, text, self._active, entry)
        active = self._run(
            latents[:, self._active], times[:, self._active], text, self._active, entry
        )
        out = torch.zeros_like(latents, dtype=active.dtype)
        out[:, self._active] = active
        return out

    def _find_entry(self, latents: Tensor, times: Tensor, text: Conditioning) -> _CacheEntry:
        for entry in self._entries:
            if entry.matches(latents, times, text):
                return entry
        # Passes without guidance are the first half of those with it.
        halves = (entry.slice_batch(len(latents)) for entry in reversed(self._entries))
        found = next((half for half in halves if half.matches(latents, times, text)), None)
        if found is None:
            kv_caches = [KVCache(stores_frozen=bool(self._frozen)) for _ in self._model.blocks]
            self._met += 1
            found = _CacheEntry(self._met, latents, times, text, kv_caches)
            if self._frozen:
                self._run(latents, times, text, self._frozen, found)
        # With and without guidance are two conditionings of one run; of an earlier run none is met.
        self._entries = [*self._entries[-1:], found]
        return found

    def _run(
        self,
        latents: Tensor,
        times: Tensor,
        text: Conditioning,
        streams: Sequence[int],
        entry: _CacheEntry,
    ) -> Tensor:
        model, (offset, stride) = self._model, self._positions
        # Passes that are alike: what blocks gave in one may be used in the next, if asked.
        passes = f"{len(latents)} of streams {streams} on text {entry.name}"
        with (
            torch.autocast(latents.device.type, self._autocast, enabled=self._autocast is not None),
            model.cache_context(passes) if model.is_cache_enabled else nullcontext(),
        ):
            out: Tensor = model(
                latents.to(model.dtype),
                times,
                text.states.to(model.dtype),
                roles=[self._rows[s] for s in streams],
                attended_prompts=[self._attended_prompts[s] for s in streams],
                prompt_mask=text.mask,
                frame_offset=offset,
                frames_per_stream=stride,
                stream_indices=streams,
                kv_caches=entry.kv_caches,
                return_dict=False,
            )[0]
        return out


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and torch.equal(a, b)
