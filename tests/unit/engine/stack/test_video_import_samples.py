"""The real layered clips, kept outside the repository, through the whole import."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.stack.inspect import inspect
from layert2v_engine.stack.manifest import read
from layert2v_engine.stack.video_import import (
    ForegroundSources,
    ImportOptions,
    ImportSources,
    import_videos,
)

NAMES = (
    "0hy8oo_w57g_0042",
    "0oqdrvk5gte_0007",
    "jijkse5opwi_1770",
    "k1fxu2q3zj0_0019",
    "nzx3eq9asse_0138",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_becomes_a_right_stack(shared_dir: Path, tmp_path: Path, name: str) -> None:
    clips = shared_dir / "samples" / name
    if not clips.is_dir():
        pytest.skip(f"the sample clip {clips} is absent")
    foreground = ForegroundSources(color=clips / "foreground.mp4", matte=clips / "mask.mp4")
    sources = ImportSources(
        full=clips / "full_video.mp4",
        background=clips / "background.mp4",
        foregrounds=(foreground,),
    )
    made = import_videos(sources, tmp_path / name, ImportOptions(name=name))
    assert (made.width, made.height, made.frames, made.fps) == (336, 192, 9, 8.0)
    report = inspect(tmp_path / name, read(tmp_path / name))
    assert (report.problems, report.exact_comp_frames) == ([], 9)
    alpha = next(each.alpha for each in report.sequences if each.name == "fg_01")
    assert (alpha.low, alpha.high) == (0.0, 1.0)


def test_no_sample_is_forgotten(shared_dir: Path) -> None:
    folder = shared_dir / "samples"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(NAMES)
