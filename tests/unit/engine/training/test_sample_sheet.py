"""What the prompts of a contact sheet tell."""

from __future__ import annotations

from random import Random

from layert2v_engine.training.sample_sheet import varying_details
from layert2v_engine.world.text.scenes import sample_scene
from layert2v_engine.world.text.vocabulary import V0, Selection


def test_prompts_tell_what_differs_between_scenes() -> None:
    rng = Random(0)
    assert varying_details([sample_scene(rng, V0) for _ in range(20)]) == ()
    both = Selection(headings=("left", "right"), spots=("middle",), distances=("near",))
    assert varying_details([sample_scene(rng, both, foregrounds=1) for _ in range(20)]) == (
        "heading",
    )
