from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from layert2v_engine.vidlayer.readers import open_data_set, read_sample


def test_a_kept_clip_has_its_shadow(tmp_path: Path, movie: Callable[..., Path]) -> None:
    captions = {"full": "a dog on a lawn", "foregrounds": ["a dog"], "background": "a lawn"}
    records = [{"clip": name, "kept": name == "a", "captions": captions} for name in "ab"]
    (tmp_path / "catalogue.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    layers = tmp_path / "clips" / "a" / "layers"
    for name in ("full_video", "background", "foreground_01", "matte_01", "shadow_01"):
        movie(layers / f"{name}.mkv", 3, 128)

    (files,) = open_data_set(tmp_path).samples
    (layer,) = read_sample(files).foregrounds

    assert files.captions == ("a dog on a lawn", "a dog", "a lawn")
    assert layer.shadow is not None
    assert layer.shadow.shape == (3, 1, 48, 64)
