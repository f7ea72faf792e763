"""The panel's fields as requests of the contract, and earlier requests back into the panel.

Pure: apart from the ``fill_*`` functions it only reads the scene's properties.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from layert2v.rerender import RerenderSpec, affected_layers
from layert2v.spec import GenerateSpec, ModelInfo, fit_to_model
from layert2v.stack import Stack

if TYPE_CHECKING:
    import bpy

    from .model import LAYERT2V_Layer, LAYERT2V_Scene, LAYERT2V_Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSize:
    """Size (pixels) and frame count that the model offers, and those that were ``requested``."""

    width: int
    height: int
    frames: int
    requested: tuple[int, int, int]

    @property
    def text(self) -> str:
        """Such as ``224 x 160, 9 frames (instead of 1920 x 1080)``."""
        text = f"{self.width} x {self.height}, {self.frames} frames"
        width, height, frames = self.requested
        changed = []
        if (width, height) != (self.width, self.height):
            changed.append(f"{width} x {height}")
        if frames != self.frames:
            changed.append(f"{frames} frames")
        return f"{text} (instead of {', '.join(changed)})" if changed else text


def output_size(scene: bpy.types.Scene, model: ModelInfo) -> OutputSize:
    """Return the nearest size and length that ``model`` offers to what the panel asks for."""
    state, render = scene.layert2v, scene.render
    width, height = state.width, state.height
    if state.size_from_scene:
        scale = render.resolution_percentage / 100
        width = round(render.resolution_x * scale)
        height = round(render.resolution_y * scale)
    requested = (width, height, state.frames or model.default_frames)
    width, height, frames = fit_to_model(model, *requested)
    return OutputSize(width=width, height=height, frames=frames, requested=requested)


def parse_seed(text: str) -> int | None:
    """Return the number in a seed field; None if it is empty or holds something else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def generate_spec(scene: bpy.types.Scene, model: ModelInfo) -> GenerateSpec:
    """Return the request of the Generate button. Files are numbered as the scene's frames."""
    state = scene.layert2v
    size = output_size(scene, model)
    prompts = tuple(foreground.prompt.strip() for foreground in state.foregrounds)
    return GenerateSpec(
        prompt=state.prompt.strip(),
        background_prompt=state.background.strip(),
        foreground_prompts=tuple(filter(None, prompts)),
        negative_prompt=state.negative.strip(),
        width=size.width,
        height=size.height,
        frames=size.frames,
        fps=scene.render.fps / scene.render.fps_base,
        seed=parse_seed(state.seed),
        steps=_steps(state),
        guidance=_guidance(state),
        model=model.name,
        colorspace=state.colorspace or model.colorspaces[0],
        start_frame=max(scene.frame_start, 0),
    )


def rerender_spec(scene: bpy.types.Scene, layer: LAYERT2V_Layer) -> RerenderSpec:
    """Return the request of a layer's Re-render button."""
    current = next(one.prompt for one in layer.versions if one.number == layer.current)
    prompt = layer.prompt.strip()
    return RerenderSpec(
        action="regenerate",
        layers=(layer.name,),
        prompts={} if prompt in ("", current) else {layer.name: prompt},
        seed=parse_seed(layer.seed),
        strength=layer.strength,
        steps=_steps(scene.layert2v),
        guidance=_guidance(scene.layert2v),
    )


def freeze_layers(spec: RerenderSpec, item: LAYERT2V_Stack, stack: Stack) -> RerenderSpec:
    """Return the request with those dependent layers frozen that are frozen in the list."""
    frozen = {layer.name for layer in item.layers if layer.frozen}
    dependent = affected_layers(replace(spec, frozen=()), stack).dependent
    return replace(spec, frozen=tuple(name for name in dependent if name in frozen))


def fill_panel(spec: GenerateSpec, state: LAYERT2V_Scene) -> None:
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
    _fill_sampling(spec, state)


def fill_layers(spec: RerenderSpec, item: LAYERT2V_Stack, state: LAYERT2V_Scene) -> None:
    """Fill the layers that an earlier request named."""
    for name in spec.layers:
        layer = item.layers.get(name)
        if layer is not None:
            layer.prompt = spec.prompts.get(name, layer.prompt)
            layer.seed = "" if spec.seed is None else str(spec.seed)
            layer.strength = spec.strength
    _fill_sampling(spec, state)


def _fill_sampling(spec: GenerateSpec | RerenderSpec, state: LAYERT2V_Scene) -> None:
    state.own_sampling = spec.steps > 0 and spec.guidance >= 0
    if state.own_sampling:
        state.steps, state.guidance = spec.steps, spec.guidance


def _steps(state: LAYERT2V_Scene) -> int:
    return state.steps if state.own_sampling else 0


def _guidance(state: LAYERT2V_Scene) -> float:
    return state.guidance if state.own_sampling else -1.0
