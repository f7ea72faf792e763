from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.sources import find_sources


def test_the_nearest_table_says_licence_and_group(tmp_path: Path) -> None:
    for name in ("a.mp4", "park/b.mp4", "park/deep/c.mov"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "sources.toml").write_text(
        '["."]\nlicence = "CC0-1.0"\n[park]\nlicence = "CC-BY-4.0"\nprovenance = "own camera"\n'
    )

    sources = find_sources([tmp_path], allow_unlicensed=False)

    assert [each.licence for each in sources] == ["CC0-1.0", "CC-BY-4.0", "CC-BY-4.0"]
    assert len({each.group for each in sources}) == 2
    assert sources[1].provenance == "own camera"


def test_no_licence_is_refused_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()

    with pytest.raises(EngineError, match=r"1 of 1 videos have no licence, such as .*a\.mp4"):
        find_sources([tmp_path], allow_unlicensed=False)
    assert len(find_sources([tmp_path], allow_unlicensed=True)) == 1


def test_no_video_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no video"):
        find_sources([tmp_path], allow_unlicensed=True)
