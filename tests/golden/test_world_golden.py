"""Three clips of the world, kept as coarse means: the same seeds draw the same clips.

A difference means that checkpoints were trained on another world than the one drawn today. If that
is wanted, write the numbers anew with `python tests/golden/test_world_golden.py` and say why in
the change.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from layert2v_engine.world.bank import build_bank
from layert2v_engine.world.clips import World
from layert2v_engine.world.dataset import clip_bytes
from layert2v_engine.world.text.scenes import scene_to_json
from layert2v_engine.world.text.vocabulary import Selection

GOLDEN = Path(__file__).with_name("world.json")
SELECTION = Selection(
    subjects=("penguin", "car", "balloon"),
    places=("beach", "city street", "meadow"),
    times=("night", "snowfall"),
    colors=("red",),
)
WIDTH, HEIGHT, FRAMES, CELL = 40, 32, 5, 8
# Powers differ in the last bit between processors, which may turn a byte by one.
TOLERANCE = 0.5


def measure(folder: Path) -> dict[str, dict[str, object]]:
    """Scene and means of cells of 8 x 8 pixels, in 0..255, of clips with 0 to 2 foregrounds."""
    build_bank(
        folder,
        selection=SELECTION,
        width=WIDTH,
        height=HEIGHT,
        creatures_per_species=1,
        plates_per_scene=1,
        processes=1,
    )
    world, clips = World(folder), {}
    for foregrounds in (0, 1, 2):
        clip = world.clip(20 + foregrounds, frames=FRAMES, foregrounds=foregrounds)
        pixels = torch.from_numpy(clip_bytes(clip))[:, [0, -1]].float()  # [6 + 5 K, 2, H, W]
        means = torch.nn.functional.avg_pool2d(pixels, CELL)
        values = [round(value, 2) for value in means.flatten().tolist()]
        clips[str(foregrounds)] = {"scene": scene_to_json(clip.scene), "means": values}
    return clips


def test_the_same_seeds_draw_the_same_clips(tmp_path: Path) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name, clip in measure(tmp_path).items():
        assert clip["scene"] == expected[name]["scene"]
        np.testing.assert_allclose(clip["means"], expected[name]["means"], rtol=0, atol=TOLERANCE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        GOLDEN.write_text(json.dumps(measure(Path(name) / "bank")) + "\n", encoding="utf-8")
