from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fakes.moving_disc import disc_clip, write_clip
from fakes.tiny_weights import write_grounding_dino, write_tiny_weights
from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v_engine.engine import Engine
from layert2v_engine.image import exr


def test_subjects_in_words_become_a_stack_that_closes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = write_tiny_weights(tmp_path / "weights")
    write_grounding_dino(weights, "the red disc")
    clip = disc_clip(frames=3)
    spec = DecomposeSpec((SubjectSpec("the red disc"),), recipe="decompose+rose")
    stack = Engine(weights=weights).decompose(
        spec,
        tmp_path / "disc",
        inputs={"footage": write_clip(tmp_path / "footage", clip.source)},
        report=lambda _: None,
        cancelled=lambda: False,
    )
    names = {each.name: each.commercial for each in stack.networks}
    assert names["grounding-dino"] == "yes"
    assert names["rose"] == "ask"
    for index, source in enumerate(clip.source):
        comp = exr.read(tmp_path / "disc" / stack.flat("comp").files[index].path).float().numpy()
        np.testing.assert_allclose(comp[..., :3], source, rtol=2e-3)
