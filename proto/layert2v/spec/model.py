"""What a model publishes of itself, and requests fitted to it. Use it through ``layert2v.spec``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from layert2v.presets import Preset
from layert2v.spec.generate import GenerateSpec, colorspace_id

CLEAN_CONDITIONING = "clean_conditioning"  # ability: trained with some streams clean at time 0
NO_SHADOWS = "no_shadows"  # a limit among the abilities: cast shadows are no layers of their own


@dataclass(frozen=True)
class ModelInfo:
    """Description of one model: limits, defaults, abilities; ranges include both ends.

    Sizes are pixels and multiples of ``size_step``; frame counts are ``1 + k * frames_step``.
    ``vocabulary`` maps a kind (subject, action, place, time, colour; spot, heading, distance of a
    figure) to the words the model has seen.
    ``colorspaces`` are the names a request may use for its output. ``presets`` are settings that an
    artist may choose at once.
    """

    name: str
    title: str
    digest: str
    width_range: tuple[int, int]
    height_range: tuple[int, int]
    size_step: int
    frames_range: tuple[int, int]
    frames_step: int
    max_foregrounds: int
    default_width: int
    default_height: int
    default_frames: int
    default_fps: float
    default_steps: int
    default_guidance: float
    steps_range: tuple[int, int]
    guidance_range: tuple[float, float]
    source_colorspace: str = "srgb_rec709_scene"
    abilities: tuple[str, ...] = ("generate",)
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colorspaces: tuple[str, ...] = ("lin_rec709_scene",)
    presets: tuple[Preset, ...] = ()

    @property
    def makes_shadows(self) -> bool:
        """Whether a foreground comes with a layer of the shadow it casts."""
        return NO_SHADOWS not in self.abilities


def resolve(spec: GenerateSpec, model: ModelInfo, seed: int) -> GenerateSpec:
    """Return the request with every default filled in; ``seed`` where the artist gave none."""
    return replace(
        spec,
        width=spec.width or model.default_width,
        height=spec.height or model.default_height,
        frames=spec.frames or model.default_frames,
        fps=spec.fps or model.default_fps,
        steps=spec.steps or model.default_steps,
        guidance=spec.guidance if spec.guidance >= 0 else model.default_guidance,
        seed=seed if spec.seed is None else spec.seed,
        colorspace=colorspace_id(spec.colorspace),
    )


def fit_to_model(info: ModelInfo, width: int, height: int, frames: int) -> tuple[int, int, int]:
    """Return the nearest size (pixels) and frame count that the model offers.

    A size is scaled as a whole into the model's limits, so that its shape is kept, and each side
    then goes to the nearest multiple of ``size_step``. A count goes to the nearest
    ``1 + k * frames_step``: to the nearest and not down, since a layer that ends some frames early
    leaves a hole in a shot, and one that is longer can be cut. 0 or less stands for the model's
    default and is returned unchanged; so is a size of which one side is.
    """
    if width > 0 and height > 0:
        width, height = _fit_size(info, width, height)
    if frames > 0:
        frames = _nearest(frames, info.frames_range, info.frames_step, offset=1)
    return width, height, frames


def _fit_size(info: ModelInfo, width: int, height: int) -> tuple[int, int]:
    (low_w, high_w), (low_h, high_h) = info.width_range, info.height_range
    scale = min(1.0, high_w / width, high_h / height)
    scale = max(scale, low_w / width, low_h / height)
    return (
        _nearest(width * scale, info.width_range, info.size_step),
        _nearest(height * scale, info.height_range, info.size_step),
    )


def _nearest(value: float, limits: tuple[int, int], step: int, offset: int = 0) -> int:
    """Return the number ``offset + k * step`` within ``limits`` that is nearest to ``value``."""
    low, high = limits
    first = offset + -(-(low - offset) // step) * step
    last = offset + (high - offset) // step * step
    return min(max(offset + round((value - offset) / step) * step, first), last)
