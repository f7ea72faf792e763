"""The panel's fields as requests of the contract, and earlier requests back into the panel.

Pure: apart from the ``fill_*`` functions it only reads the scene's properties.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from layert2v.placement import parse_placement, placement_text
from layert2v.plain_text import plain_text
from layert2v.presets import Preset
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
        """Such as ``320 x 192, 17 frames (instead of 1920 x 1080)``."""
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
    panel, render = scene.layert2v, scene.render
    width, height = panel.width, panel.height
    if panel.size_from_scene:
        scale = render.resolution_percentage / 100
        width = round(render.resolution_x * scale)
        height = round(render.resolution_y * scale)
    requested = (width, height, panel.frames or model.default_frames)
    width, height, frames = fit_to_model(model, *requested)
    return OutputSize(width=width, height=height, frames=frames, requested=requested)


def parse_seed(text: str) -> int | None:
    """Return the number in a seed field; None if it is empty or holds something else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def generate_spec(scene: bpy.types.Scene, model: ModelInfo) -> GenerateSpec:
    """Return the request of the Generate button. Files are numbered as the scene's frames."""
    panel = scene.layert2v
    size = output_size(scene, model)
    named = [each for each in panel.foregrounds if each.prompt.strip()]
    return GenerateSpec(
        prompt=panel.prompt.strip(),
        background_prompt=panel.background.strip(),
        foreground_prompts=tuple(each.prompt.strip() for each in named),
        negative_prompt=panel.negative.strip(),
        width=size.width,
        height=size.height,
        frames=size.frames,
        fps=scene.render.fps / scene.render.fps_base,
        seed=parse_seed(panel.seed),
        steps=_steps(panel),
        guidance=_guidance(panel),
        model=model.name,
        colorspace=panel.colorspace or model.colorspaces[0],
        start_frame=max(scene.frame_start, 0),
        nearest=panel.nearest,
        compression=panel.compression,
        placements=tuple(
            parse_placement(each.place, number)
            for number, each in enumerate(named, 1)
            if each.place.strip()
        ),
    )


def rerender_spec(scene: bpy.types.Scene, layer: LAYERT2V_Layer) -> RerenderSpec:
    """Return the request of a layer's Re-render button."""
    current = next(each.prompt for each in layer.versions if each.number == layer.current)
    prompt = layer.prompt.strip()
    return RerenderSpec(
        action="regenerate",
        layers=(layer.name,),
        prompts={} if prompt in ("", current) else {layer.name: prompt},
        seed=parse_seed(layer.seed),
        strength=layer.strength,
        steps=_steps(scene.layert2v),
        guidance=_guidance(scene.layert2v),
        compression=scene.layert2v.compression,
        nearest=scene.layert2v.nearest,
    )


def lighting_spec(scene: bpy.types.Scene) -> RerenderSpec:
    """Return the request to draw the full video around all layers as they are."""
    panel = scene.layert2v
    return RerenderSpec(
        action="regenerate",
        layers=("ref",),
        seed=parse_seed(panel.seed),
        steps=_steps(panel),
        guidance=_guidance(panel),
        compression=panel.compression,
    )


def freeze_layers(spec: RerenderSpec, item: LAYERT2V_Stack, stack: Stack) -> RerenderSpec:
    """Return the request with those dependent layers frozen that are frozen in the list."""
    frozen = {layer.name for layer in item.layers if layer.frozen}
    dependent = affected_layers(replace(spec, frozen=()), stack).dependent
    return replace(spec, frozen=tuple(name for name in dependent if name in frozen))


def fill_panel(spec: GenerateSpec, panel: LAYERT2V_Scene) -> None:
    """Fill the panel with an earlier request."""
    panel.prompt = plain_text(spec.prompt)
    panel.background = plain_text(spec.background_prompt)
    panel.negative = plain_text(spec.negative_prompt)
    panel.nearest = spec.nearest
    panel.compression = spec.compression
    panel.foregrounds.clear()
    places = {each.foreground: placement_text(each) for each in spec.placements}
    for number, prompt in enumerate(spec.foreground_prompts, 1):
        foreground = panel.foregrounds.add()
        foreground.prompt, foreground.place = plain_text(prompt), places.get(number, "")
    panel.size_from_scene = False
    panel.width, panel.height, panel.frames = spec.width, spec.height, spec.frames
    panel.seed = "" if spec.seed is None else str(spec.seed)
    _fill_sampling(spec, panel)


def fill_preset(preset: Preset, panel: LAYERT2V_Scene) -> None:
    """Fill the panel with what a preset says; for steps it does not say, with the model's own."""
    if preset.width and preset.height:
        panel.size_from_scene = False
        panel.width, panel.height = preset.width, preset.height
    panel.frames = preset.frames or panel.frames
    panel.own_sampling = bool(preset.steps) or preset.guidance >= 0  # fills in the model's
    if preset.steps:
        panel.steps = preset.steps
    if preset.guidance >= 0:
        panel.guidance = preset.guidance


def fill_layers(spec: RerenderSpec, item: LAYERT2V_Stack, panel: LAYERT2V_Scene) -> None:
    """Fill the layers that an earlier request named."""
    for name in spec.layers:
        layer = item.layers.get(name)
        if layer is not None:
            layer.prompt = plain_text(spec.prompts.get(name, layer.prompt))
            layer.seed = "" if spec.seed is None else str(spec.seed)
            layer.strength = spec.strength
    _fill_sampling(spec, panel)


def _fill_sampling(spec: GenerateSpec | RerenderSpec, panel: LAYERT2V_Scene) -> None:
    panel.own_sampling = spec.steps > 0 and spec.guidance >= 0
    if panel.own_sampling:
        panel.steps, panel.guidance = spec.steps, spec.guidance


def _steps(panel: LAYERT2V_Scene) -> int:
    return panel.steps if panel.own_sampling else 0


def _guidance(panel: LAYERT2V_Scene) -> float:
    return panel.guidance if panel.own_sampling else -1.0
