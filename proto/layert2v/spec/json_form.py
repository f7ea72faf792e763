"""Requests and models as JSON values, read strictly. Use it through ``layert2v.spec``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.placement import Placement
from layert2v.presets import preset_from_json, preset_to_json
from layert2v.spec.generate import COMPRESSIONS, GenerateSpec
from layert2v.spec.model import ModelInfo


def spec_to_json(spec: GenerateSpec) -> dict[str, Any]:
    """Return the request as JSON values."""
    plain = asdict(spec)
    return {
        **plain,
        "foreground_prompts": list(spec.foreground_prompts),
        "placements": list(plain["placements"]),
    }


def spec_from_json(value: Any) -> GenerateSpec:
    """Read what ``spec_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    if isinstance(value, dict):  # requests of before do not say it
        value = {"nearest": False, "compression": COMPRESSIONS[0], "placements": [], **value}
    fields = JsonObject(value, "", SpecError)
    spec = GenerateSpec(
        prompt=fields.text("prompt"),
        background_prompt=fields.text("background_prompt"),
        foreground_prompts=fields.texts("foreground_prompts"),
        negative_prompt=fields.text("negative_prompt"),
        width=fields.integer("width"),
        height=fields.integer("height"),
        frames=fields.integer("frames"),
        fps=fields.number("fps"),
        seed=fields.optional_integer("seed"),
        steps=fields.integer("steps"),
        guidance=fields.number("guidance"),
        model=fields.text("model"),
        colorspace=fields.text("colorspace"),
        start_frame=fields.integer("start_frame"),
        nearest=fields.boolean("nearest"),
        compression=fields.text("compression"),
        placements=fields.objects("placements", _placement),
    )
    fields.refuse_unknown()
    return spec


def _placement(fields: JsonObject) -> Placement:
    return Placement(
        foreground=fields.integer("foreground"),
        shape=fields.text("shape"),
        x=fields.number("x"),
        y=fields.number("y"),
        width=fields.number("width"),
        height=fields.number("height"),
        strength=fields.number("strength"),
    )


def model_to_json(model: ModelInfo) -> dict[str, Any]:
    """Return the model description as JSON values."""
    plain = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in vars(model).items()
    }
    plain["vocabulary"] = {kind: list(words) for kind, words in model.vocabulary.items()}
    plain["presets"] = [preset_to_json(preset) for preset in model.presets]
    return plain


def model_from_json(value: Any) -> ModelInfo:
    """Read what ``model_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    if isinstance(value, dict):  # descriptions of before have none
        value = {"presets": [], **value}
    fields = JsonObject(value, "", SpecError)
    model = ModelInfo(
        name=fields.text("name"),
        title=fields.text("title"),
        digest=fields.text("digest"),
        width_range=fields.integer_pair("width_range"),
        height_range=fields.integer_pair("height_range"),
        size_step=fields.integer("size_step"),
        frames_range=fields.integer_pair("frames_range"),
        frames_step=fields.integer("frames_step"),
        max_foregrounds=fields.integer("max_foregrounds"),
        default_width=fields.integer("default_width"),
        default_height=fields.integer("default_height"),
        default_frames=fields.integer("default_frames"),
        default_fps=fields.number("default_fps"),
        default_steps=fields.integer("default_steps"),
        default_guidance=fields.number("default_guidance"),
        steps_range=fields.integer_pair("steps_range"),
        guidance_range=fields.number_pair("guidance_range"),
        source_colorspace=fields.text("source_colorspace"),
        abilities=fields.texts("abilities"),
        vocabulary=fields.text_list_map("vocabulary"),
        colorspaces=fields.texts("colorspaces"),
        presets=fields.objects("presets", preset_from_json),
    )
    fields.refuse_unknown()
    return model
