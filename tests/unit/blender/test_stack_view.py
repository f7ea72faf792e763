from __future__ import annotations

from pathlib import Path

from layert2v.stack import layer_pattern
from layert2v_blender.stack_view import LayerView, StackView

LAYERS = tuple(LayerView(name=name, pattern=layer_pattern(name, 2)) for name in ("bg", "fg_01"))


def stack_view() -> StackView:
    return StackView(
        uid="u", name="fox", folder=Path("/shots/fox"), width=96, height=64, pixel_aspect=1.0,
        frames=2, first_file=1001, first_frame=1, colorspace="lin_rec709_scene", layers=LAYERS,
    )  # fmt: skip


def test_layers_are_named_from_bottom_to_top() -> None:
    assert stack_view().layer_names == ["bg", "fg_01"]


def test_a_layer_has_one_file_per_frame_in_the_shown_version() -> None:
    files = stack_view().files(LAYERS[1])
    assert files == [
        Path("/shots/fox/fg_01/v002/fg_01_v002.1001.exr"),
        Path("/shots/fox/fg_01/v002/fg_01_v002.1002.exr"),
    ]
