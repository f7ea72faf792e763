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
    with pytest.raises(EngineError, match=r"There is no .*nowhere\."):
        find_sources([tmp_path / "nowhere"], allow_unlicensed=True)


def test_a_folder_of_images_is_a_video_and_a_poster_is_none(tmp_path: Path) -> None:
    names = ("a.mov", "._a.mov", "poster.jpg", "shot/s.0001.png", "shot/s.0002.png")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pattern = tmp_path / "shot" / "s.####.png"

    found = find_sources([tmp_path], allow_unlicensed=True)
    by_pattern = find_sources([pattern], allow_unlicensed=True)

    assert [each.path for each in found] == [tmp_path / "a.mov", tmp_path / "shot"]
    assert [each.path for each in by_pattern] == [pattern]


def test_a_data_set_in_the_folder_of_its_sources_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    movie = tmp_path / "set" / "work" / "a_000000" / "footage.mkv"
    movie.parent.mkdir(parents=True)
    movie.touch()

    found = find_sources([tmp_path], allow_unlicensed=True, without=tmp_path / "set")

    assert [each.path.name for each in found] == ["a.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('licence = "CC0-1.0"\n', "licence stands in no table"),
        ('[prak]\nlicence = "CC0-1.0"\n', "has a table for prak, which is not beside it"),
        ("[park\n", "cannot be read"),
    ],
)
def test_a_mistake_in_the_licences_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "sources.toml").write_text(text)

    with pytest.raises(EngineError, match=message):
        find_sources([tmp_path], allow_unlicensed=True)
