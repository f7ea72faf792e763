"""One run of a model as data: all that its latents depend on but the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from layert2v.placement import Placement
from layert2v.spec import GenerateSpec
from layert2v_engine.layout import StreamLayout
from layert2v_engine.prompting.planner import PromptPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingRequest:
    """One run of a model: its prompts, the latents it starts from, and how far to change them.

    frames, height, width: of the clip, in frames and pixels.
    guidance: scale, 1 for none.
    init_latents: normalized latents [C, F, h, w] by stream name; ``frozen`` names those that stay,
        the others are where a run with ``strength`` below 1 (0..1, noise level) starts.
    keep_masks: how much of a stream stays as given, [F, h, w] in 0..1 by stream name.
    noise_names: the names that the noise of the streams is seeded with; those in the layout if
        empty.
    placements: where foregrounds are to be.
    """

    layout: StreamLayout
    plan: PromptPlan
    frames: int
    height: int
    width: int
    seed: int
    steps: int
    guidance: float
    strength: float = 1.0
    init_latents: Mapping[str, Tensor] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    keep_masks: Mapping[str, Tensor] = field(default_factory=dict)
    noise_names: tuple[str, ...] = ()
    placements: tuple[Placement, ...] = ()

    @classmethod
    def from_spec(
        cls, spec: GenerateSpec, plan: PromptPlan, layout: StreamLayout
    ) -> SamplingRequest:
        """Return the run of a resolved request. Raises ValueError for one without a seed."""
        if spec.seed is None:
            raise ValueError("the request has no seed; resolve it first")
        return cls(
            layout=layout,
            plan=plan,
            frames=spec.frames,
            height=spec.height,
            width=spec.width,
            seed=spec.seed,
            steps=spec.steps,
            guidance=spec.guidance,
            placements=spec.placements,
        )

    def facts(self, digest: str) -> tuple[object, dict[str, Tensor]]:
        """Return what the latents of the model with this digest depend on: facts, and tensors."""
        tensors = {f"init {name}": each for name, each in self.init_latents.items()}
        tensors |= {f"keep {name}": each for name, each in self.keep_masks.items()}
        return (digest, replace(self, init_latents={}, keep_masks={})), tensors
