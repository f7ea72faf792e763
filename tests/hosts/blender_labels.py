"""Reports what the panel's fields, the layers' and the buttons are called, and uses a preset.

python blender_labels.py MODEL.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import blender_helpers
import bpy

# Fields of ``layert2v.labels`` -> the properties that stand for them.
PANEL = {
    "prompt": "prompt", "background_prompt": "background", "negative_prompt": "negative",
    "nearest": "nearest", "model": "model", "colorspace": "colorspace",
    "compression": "compression", "priority": "priority",
    "width": "width", "height": "height", "frames": "frames",
    "seed": "seed", "steps": "steps",
    "guidance": "guidance", "folder": "folder", "footage_range": "footage_range",
    "footage_first": "footage_first", "footage_last": "footage_last",
    "footage_handles": "footage_handles", "footage_scale": "footage_scale",
    "footage_split": "footage_split", "footage_ignore_cuts": "footage_ignore_cuts",
    "footage_matrix": "footage_matrix", "footage_color_range": "footage_color_range",
    "footage_deinterlace": "footage_deinterlace",
}  # fmt: skip
LAYER = {
    "layer_prompt": "prompt", "seed": "seed", "strength": "strength", "frozen": "frozen",
    "version": "shown",
}  # fmt: skip
SUBJECT = {"subject_box": "has_box", "matte_all": "mask_all"}
BUTTONS = {
    "generate": "generate", "decompose": "decompose", "rerender": "rerender", "cancel": "cancel",
    "retry": "ask_again", "match_lighting": "match_lighting", "preset": "use_preset",
}  # fmt: skip


def labels(group: object, fields: dict[str, str]) -> list[list[str]]:
    properties = group.bl_rna.properties
    return [[field, properties[name].name] for field, name in fields.items()]


def use_preset(model: str, name: str) -> list[object]:
    """Choose a preset of a model that a server has reported; return what the panel then has."""
    from layert2v.spec import model_from_json  # the extension brings it

    cache, preferences = (blender_helpers.addon_module(n) for n in ("model_cache", "settings"))
    reported = model_from_json(json.loads(model))
    cache.save_models(preferences.preferences().server, (reported,))
    panel = bpy.context.scene.layert2v
    panel.model = reported.name
    assert bpy.ops.layert2v.use_preset(preset=name) == {"FINISHED"}
    fields = ("size_from_scene", "width", "height", "frames", "own_sampling", "steps", "guidance")
    return [getattr(panel, field) for field in fields]


def main(model_path: Path) -> None:
    blender_helpers.enable()
    panel = bpy.context.scene.layert2v
    model = blender_helpers.addon_module("model")
    stack = panel.stacks.add()
    operators = bpy.ops.layert2v
    blender_helpers.write_result(
        labels=[
            *labels(panel, PANEL),
            *labels(model.LAYERT2V_Layer, LAYER),
            *labels(model.LAYERT2V_Foreground, {"prompt": "prompt", "placement": "place"}),
            *labels(model.LAYERT2V_Subject, SUBJECT),
            *labels(stack, {"start_frame": "first_frame"}),
            *(
                [field, getattr(operators, name).get_rna_type().name]
                for field, name in BUTTONS.items()
            ),
        ],
        preset=use_preset(model_path.read_text(), "final"),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
