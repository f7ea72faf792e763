"""Runs that compute once what is the same at every step: the keys and values of the text, and of
frozen streams.

Where a checkpoint was trained one-way, frozen streams see one another only, so drawing some streams
of a scene costs what those streams cost. Exact, not an approximation; a checkpoint that declares
`full` attention is asked about all streams every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.attention import StreamMemory
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.guidance import Conditioning, Predictor


def frozen_predictor(
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
    """The network as the loop sees it while the streams `frozen` stay as they are.

    attention, routing: what the checkpoint declares as `frozen_attention` and `routing`.
    The output of frozen streams has no meaning; the loop does not read it.
    """
    kept = frozen if attention == "one_way" else ()
    positions = frame_offset, frames_per_stream
    return _Remembering(model, layout, layout.heard(routing), kept, positions, autocast)


class _Pass(NamedTuple):
    """What keys and values were computed from, and those of each block."""

    latents: Tensor
    times: Tensor
    text: Conditioning
    memories: list[StreamMemory]

    def first(self, count: int) -> _Pass:
        """The same of the first `count` of its batch."""
        if count >= len(self.latents):
            return self
        states, mask = self.text
        return _Pass(
            self.latents[:count],
            self.times[:count],
            Conditioning(states[:count], None if mask is None else mask[:count]),
            [memory.of_first(count) for memory in self.memories],
        )

    def holds_for(self, latents: Tensor, times: Tensor, text: Conditioning) -> bool:
        return (
            _same(self.text.states, text.states)
            and _same(self.text.mask, text.mask)
            and _same(self.times, times)
            and _same(self.latents, latents)
        )


class _Remembering:
    """A predictor that computes frozen streams once for every conditioning it meets."""

    def __init__(
        self,
        model: LayeredWanTransformer3DModel,
        layout: StreamLayout,
        visibility: Sequence[Sequence[int]],
        frozen: Sequence[int],
        positions: tuple[int, int | None],
        autocast: torch.dtype | None,
    ) -> None:
        self._model, self._visibility = model, visibility
        self._frozen = sorted(frozen)
        self._active = [s for s in range(len(layout)) if s not in frozen]
        self._rows = layout.rows(model.config.roles)
        self._positions, self._autocast = positions, autocast
        self._passes: list[_Pass] = []

    def __call__(self, latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        memories = self._memories(latents[:, self._frozen], times[:, self._frozen], text)
        if not self._frozen:
            return self._run(latents, times, text, self._active, memories)
        drawn = self._run(
            latents[:, self._active], times[:, self._active], text, self._active, memories
        )
        out = torch.zeros_like(latents, dtype=drawn.dtype)
        out[:, self._active] = drawn
        return out

    def _memories(self, latents: Tensor, times: Tensor, text: Conditioning) -> list[StreamMemory]:
        for known in self._passes:
            if known.holds_for(latents, times, text):
                return known.memories
        # Passes without guidance are the first half of those with it.
        parts = (known.first(len(latents)) for known in reversed(self._passes))
        found = next((part for part in parts if part.holds_for(latents, times, text)), None)
        if found is None:
            memories = [StreamMemory(keeps=bool(self._frozen)) for _ in self._model.blocks]
            found = _Pass(latents, times, text, memories)
            if self._frozen:
                self._run(latents, times, text, self._frozen, memories)
        # With and without guidance are two conditionings of one run; of an earlier run none is met.
        self._passes = [*self._passes[-1:], found]
        return found.memories

    def _run(
        self,
        latents: Tensor,
        times: Tensor,
        text: Conditioning,
        streams: Sequence[int],
        memories: list[StreamMemory],
    ) -> Tensor:
        model, (offset, stride) = self._model, self._positions
        with torch.autocast(
            latents.device.type, self._autocast, enabled=self._autocast is not None
        ):
            out: Tensor = model(
                latents.to(model.dtype),
                times,
                text.states.to(model.dtype),
                roles=[self._rows[s] for s in streams],
                visibility=[self._visibility[s] for s in streams],
                prompt_mask=text.mask,
                frame_offset=offset,
                frames_per_stream=stride,
                numbers=streams,
                memories=memories,
                return_dict=False,
            )[0]
        return out


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and torch.equal(a, b)
