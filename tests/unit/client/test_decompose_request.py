"""Which footage an artist means, which frames of it travel, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v.decompose import DecomposeSpec, Footage, SubjectSpec
from layert2v_client import InvalidRequest
from layert2v_client.decompose_request import (
    _remote_names,
    check_decompose,
    find_footage,
    footage_name,
)


def folder(where: Path, *names: str) -> Path:
    where.mkdir(exist_ok=True)
    for name in names:
        (where / name).touch()
    return where


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_pattern_names_the_frames_of_one_sequence(tmp_path: Path) -> None:
    folder(tmp_path, "shot.0999.exr", "shot.1000.exr", "shot_b.1000.exr", "shot.txt")
    for pattern in ("shot.####.exr", "shot.%04d.exr"):
        assert names(find_footage(tmp_path / pattern)) == ["shot.0999.exr", "shot.1000.exr"]


def test_a_movie_alone_in_a_folder_is_meant(tmp_path: Path) -> None:
    folder(tmp_path, "dog.mov", "notes.txt")
    assert names(find_footage(tmp_path)) == ["dog.mov"]
    assert names(find_footage(tmp_path / "dog.mov")) == ["dog.mov"]
    assert names(find_footage([tmp_path / "dog.mov"])) == ["dog.mov"]


@pytest.mark.parametrize("missing", ["dog.mov", "shot.####.exr", "shot.1001.exr", "plates"])
def test_footage_that_is_not_there(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        find_footage(tmp_path / missing)
    assert missing in refused.value.message


def test_a_gap_in_the_footage_names_its_neighbors(tmp_path: Path) -> None:
    folder(tmp_path, "shot.1001.exr", "shot.1003.exr")
    with pytest.raises(InvalidRequest, match=r"between shot\.1001\.exr and shot\.1003\.exr"):
        find_footage(tmp_path / "shot.####.exr")


def frames(tmp_path: Path, **fields: object) -> list[str]:
    folder(tmp_path, *(f"shot.{number}.exr" for number in range(1001, 1021)))
    spec = DecomposeSpec(**fields)  # type: ignore[arg-type]
    return names(check_decompose(spec, {"footage": tmp_path})["footage"])


def test_only_the_range_with_its_handles_travels(tmp_path: Path) -> None:
    found = frames(tmp_path, first=1003, last=1018, handles=4)
    assert (found[0], found[-1], len(found)) == ("shot.1001.exr", "shot.1020.exr", 20)
    found = frames(tmp_path, first=1010, last=1012, handles=1)
    assert found == [f"shot.{number}.exr" for number in range(1009, 1014)]
    assert len(frames(tmp_path, first=5, footage=Footage(start_frame=1))) == 20


def test_all_of_the_footage_travels_beside_a_movie_that_is_counted(tmp_path: Path) -> None:
    """Its first picture belongs to the first frame of the footage, not of the range."""
    movie, stills = folder(tmp_path / "movie", "roto.mov"), folder(tmp_path / "stills")
    folder(stills, "roto.1003.png", "roto.1007.png")
    shot = folder(tmp_path / "shot", *(f"shot.{number}.exr" for number in range(1001, 1021)))
    spec = DecomposeSpec(first=1003, last=1007, subjects=(SubjectSpec(matte="matte"),))
    for matte, count in ((movie, 20), (stills, 5)):
        found = check_decompose(spec, {"footage": shot, "matte": matte})
        assert len(found["footage"]) == count
    assert names(found["matte"]) == ["roto.1003.png", "roto.1007.png"]
    assert _remote_names([Path("a b\\1003.png"), Path("a b\\1007.png")]) == [
        "frame.001003.png",
        "frame.001007.png",
    ]


def test_a_range_that_the_footage_lacks(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="1001 to 1020, but 1015 to 1030 were asked for"):
        frames(tmp_path, first=1015, last=1030)


def test_wrong_requests_fail_before_any_file_is_looked_for() -> None:
    with pytest.raises(InvalidRequest, match="scale must be above 0") as refused:
        check_decompose(DecomposeSpec(scale=2), {})
    assert [each.field for each in refused.value.violations] == ["scale"]
    with pytest.raises(InvalidRequest, match="no pictures for 'footage'"):
        check_decompose(DecomposeSpec(), {})


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("dog.mov", "dog"),
        ("shot_a.1001.exr", "shot_a"),
        ("plate_0001.png", "plate"),
        ("7.png", "7"),
    ],
)
def test_footage_is_called_after_its_files(tmp_path: Path, file: str, name: str) -> None:
    folder(tmp_path, file)
    assert footage_name(tmp_path / file, {"footage": [tmp_path / file]}) == name


def test_footage_in_a_folder_is_called_after_that(tmp_path: Path) -> None:
    assert footage_name(folder(tmp_path / "sh010"), {}) == "sh010"
