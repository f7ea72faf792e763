"""What the panel asks for, as the requests of the contract, and how it was brought to the model.

Pure: reads the scene's properties, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from layert2v.rerender import RerenderSpec, affected_layers
from layert2v.spec import GenerateSpec, ModelInfo
from layert2v.stack import Stack

if TYPE_CHECKING:
    import bpy

    from .model import LAYERT2V_Layer, LAYERT2V_Scene, LAYERT2V_Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Size and frame count that the model can draw, and whether they are other than asked for."""

    width: int
    height: int
    frames: int
    asked: tuple[int, int, int]

    @property
    def sentence(self) -> str:
        """What becomes of the wish."""
        made = f"{self.width} x {self.height}, {self.frames} frames"
        width, height, frames = self.asked
        changed = []
        if (width, height) != (self.width, self.height):
            changed.append(f"{width} x {height}")
        if frames != self.frames:
            changed.append(f"{frames} frames")
        return f"{made} (instead of {', '.join(changed)})" if changed else made


def fit(scene: bpy.types.Scene, model: ModelInfo) -> Fit:
    """The nearest that ``model`` can draw to what the panel asks for."""
    state, render = scene.layert2v, scene.render
    width, height = state.width, state.height
    if state.size_from_scene:
        share = render.resolution_percentage / 100
        width = round(render.resolution_x * share)
        height = round(render.resolution_y * share)
    frames = state.frames or model.default_frames
    snapped = snap_size(width, height, model)
    return Fit(
        width=snapped[0],
        height=snapped[1],
        frames=snap_frames(frames, model),
        asked=(width, height, frames),
    )


def digits(text: str) -> int | None:
    """The number a seed field holds; None where it is empty or holds something else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def snap_size(width: int, height: int, model: ModelInfo) -> tuple[int, int]:
    """The size of nearly this shape that the model can draw, as large as asked where it can."""
    (low_w, high_w), (low_h, high_h) = model.width_range, model.height_range
    scale = min(1.0, high_w / width, high_h / height)
    scale = max(scale, low_w / width, low_h / height)
    step = model.size_step
    return (
        _snap(width * scale, low_w, high_w, 0, step),
        _snap(height * scale, low_h, high_h, 0, step),
    )


def snap_frames(frames: int, model: ModelInfo) -> int:
    """The nearest number of frames that the model can draw."""
    return _snap(frames, *model.frames_range, 1, model.frames_step)


def _snap(value: float, low: int, high: int, start: int, step: int) -> int:
    """The value of start + k * step in low..high that is nearest."""
    first = start + -(-(low - start) // step) * step
    last = start + (high - start) // step * step
    return min(max(start + round((value - start) / step) * step, first), last)


def generate(scene: bpy.types.Scene, model: ModelInfo) -> GenerateSpec:
    """The request of the Generate button. Files are numbered as the scene's frames."""
    state = scene.layert2v
    fitted = fit(scene, model)
    prompts = tuple(one.prompt.strip() for one in state.foregrounds)
    return GenerateSpec(
        prompt=state.prompt.strip(),
        background_prompt=state.background.strip(),
        foreground_prompts=tuple(filter(None, prompts)),
        negative_prompt=state.negative.strip(),
        width=fitted.width,
        height=fitted.height,
        frames=fitted.frames,
        fps=scene.render.fps / scene.render.fps_base,
        seed=digits(state.seed),
        steps=_steps(state),
        guidance=_guidance(state),
        model=model.name,
        colorspace=state.colorspace or model.colorspaces[0],
        start_frame=max(scene.frame_start, 0),
    )


def regenerate(scene: bpy.types.Scene, layer: LAYERT2V_Layer) -> RerenderSpec:
    """The request of a layer's Re-render button."""
    old = next(one.prompt for one in layer.versions if one.number == layer.current)
    new = layer.prompt.strip()
    return RerenderSpec(
        action="regenerate",
        layers=(layer.name,),
        prompts={} if new in ("", old) else {layer.name: new},
        seed=digits(layer.seed),
        strength=layer.strength,
        steps=_steps(scene.layert2v),
        guidance=_guidance(scene.layert2v),
    )


def with_frozen(spec: RerenderSpec, item: LAYERT2V_Stack, stack: Stack) -> RerenderSpec:
    """The request with those layers held that would follow and are frozen in the list."""
    held = {layer.name for layer in item.layers if layer.frozen}
    followed = affected_layers(replace(spec, frozen=()), stack).dependent
    return replace(spec, frozen=tuple(name for name in followed if name in held))


def _steps(state: LAYERT2V_Scene) -> int:
    return state.steps if state.own_sampling else 0


def _guidance(state: LAYERT2V_Scene) -> float:
    return state.guidance if state.own_sampling else -1.0


def reuse_generate(spec: GenerateSpec, state: LAYERT2V_Scene) -> None:
    """Fill the panel with an earlier request."""
    state.prompt = spec.prompt
    state.background = spec.background_prompt
    state.negative = spec.negative_prompt
    state.foregrounds.clear()
    for prompt in spec.foreground_prompts:
        state.foregrounds.add().prompt = prompt
    state.size_from_scene = False
    state.width, state.height, state.frames = spec.width, spec.height, spec.frames
    state.seed = "" if spec.seed is None else str(spec.seed)
    _reuse_sampling(spec, state)


def reuse_rerender(spec: RerenderSpec, item: LAYERT2V_Stack, state: LAYERT2V_Scene) -> None:
    """Fill the layers that an earlier request named."""
    for name in spec.layers:
        layer = item.layers.get(name)
        if layer is not None:
            layer.prompt = spec.prompts.get(name, layer.prompt)
            layer.seed = "" if spec.seed is None else str(spec.seed)
            layer.strength = spec.strength
    _reuse_sampling(spec, state)


def _reuse_sampling(spec: GenerateSpec | RerenderSpec, state: LAYERT2V_Scene) -> None:
    state.own_sampling = spec.steps > 0 and spec.guidance >= 0
    if state.own_sampling:
        state.steps, state.guidance = spec.steps, spec.guidance
