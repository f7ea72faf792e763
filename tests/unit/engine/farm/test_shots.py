"""Lists of shots: what is read, and one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.farm.shots import ShotsError, read_json, read_shots, write_json

GOOD = """
name = "seq010"
[[shot]]
name = "sh010"
out = "layers/sh010"
command = ["generate", "a red fox", "--seed", "3"]
[[shot]]
name = "sh020"
out = "/mnt/sh020"
command = ["decompose", "sh020.####.exr"]
"""


def test_relative_folders_start_from_the_list(tmp_path: Path) -> None:
    file = tmp_path / "shots.toml"
    file.write_text(GOOD)
    shots = read_shots(file, models=tmp_path / "models")
    assert [shot.out for shot in shots.shots] == [str(tmp_path / "layers/sh010"), "/mnt/sh020"]
    assert shots.models == str(tmp_path / "models")
    assert shots.find("sh020", 0) == shots.find("", 2)
    with pytest.raises(ShotsError, match="no shot 3"):
        shots.find("", 3)


def test_the_tasks_read_what_submit_wrote(tmp_path: Path) -> None:
    file = tmp_path / "shots.toml"
    file.write_text(GOOD)
    shots = read_shots(file)
    write_json(shots, tmp_path / "shots.json")
    assert read_json(tmp_path / "shots.json") == shots


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "seq010"', 'name = "a b"', "no name of a job"),
        ('name = "sh010"', 'name = "../x"', "no name of a shot"),
        ('name = "sh020"', 'name = "sh010"', "same name 'sh010'"),
        ("/mnt/sh020", "layers/sh010", "same out"),
        ('out = "/mnt/sh020"', "", "does not say out"),
        ('out = "/mnt/sh020"', 'out = "x"\ngpu = 1', "unknown entry 'gpu'"),
        ('"generate", ', '"train", ', "starts with 'train'"),
        ('"--seed", "3"', '"--seed", "x"', "sh010 is wrong: argument --seed"),
        ('"--seed", "3"', '"--out", "x"', "has --out"),
        ('"--seed", "3"', '"--split-at-cuts"', "a shot is one stack"),
        ('"--seed", "3"', '"--models=x"', "has --models"),
        ('"--seed", "3"', '"--help"', "asks for help"),
        ('"--seed", "3"', "3", "must be a list of texts"),
        ("[[shot]]", "[[shots]]", "no entry 'shots'"),
        ('name = "seq010"', "name = ", "is not TOML"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "shots.toml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ShotsError, match=message) as caught:
        read_shots(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "x"}', '{"format": "layert2v-shots-1"}'])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shots.json"
    file.write_text(text)
    with pytest.raises(ShotsError, match="no list of shots"):
        read_json(file)


def test_a_missing_list_is_one_sentence(tmp_path: Path) -> None:
    for read in (read_shots, read_json):
        with pytest.raises(ShotsError, match="cannot be read: No such file"):
            read(tmp_path / "nowhere")
