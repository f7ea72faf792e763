from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.readers import open_data_set, read_sample

LAYOUT = """full = "composite/{clip}.mkv"
background = "source/{clip}.mkv"
matte = "alpha/{clip}.mkv"
caption = "prompts/{clip}.txt"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for clip in ("real/0001", "real/0002"):
        for name, level in (("composite", 90), ("source", 60)):
            pictures = np.full((2, 8, 16, 3), level, np.uint8)
            write_lossless(tmp_path / name / f"{clip}.mkv", pictures, 24)
        write_lossless(tmp_path / f"alpha/{clip}.mkv", np.full((2, 8, 16), 128, np.uint8), 24)
        prompt = tmp_path / f"prompts/{clip}.txt"
        prompt.parent.mkdir(parents=True, exist_ok=True)
        prompt.write_text(f"add a turtle to {clip}\n")
    (tmp_path / "layout.toml").write_text(LAYOUT)
    return tmp_path


def test_patterns_tell_the_layers(folder: Path) -> None:
    first, second = open_data_set(folder).samples
    sample = read_sample(first)

    assert (first.name, second.name) == ("real/0001", "real/0002")
    assert first.captions == ("add a turtle to real/0001", "", "")
    assert float(sample.foregrounds[0].matte.mean()) == pytest.approx(128 / 255, abs=1e-3)
    assert float(sample.background.mean()) == pytest.approx(60 / 255, abs=2e-3)


def test_an_edit_layer_and_light_are_read_where_patterns_name_them(folder: Path) -> None:
    more = 'color = "edit/{clip}.mkv"\nlight = "light/{clip}.mkv"\n'
    (folder / "layout.toml").write_text(LAYOUT + more)
    for name, level in (("edit", 120), ("light", 10)):
        pictures = np.full((2, 8, 16, 3), level, np.uint8)
        write_lossless(folder / name / "real/0001.mkv", pictures, 24)
    (layer,) = read_sample(open_data_set(folder).samples[0]).foregrounds

    assert layer.light is not None
    assert float(layer.color.mean()) == pytest.approx(120 / 255, abs=2e-3)
    assert float(layer.light.mean()) == pytest.approx(10 / 255, abs=2e-3)


def test_a_missing_layer_names_the_clip(folder: Path) -> None:
    (folder / "alpha/real/0002.mkv").unlink()

    with pytest.raises(EngineError, match="Clip real/0002 has no matte"):
        read_sample(open_data_set(folder).samples[1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('color = "../{clip}.mkv"', "color leads out of the folder"),
        ('color = "edit.mkv"', "color is no pattern"),
        ('mask = "{clip}.mkv"', "mask, which is no layer"),
        ("full", "cannot be read"),
    ],
)
def test_a_wrong_layout_is_said(folder: Path, line: str, message: str) -> None:
    (folder / "layout.toml").write_text(LAYOUT + line)

    with pytest.raises(EngineError, match=message):
        open_data_set(folder)
