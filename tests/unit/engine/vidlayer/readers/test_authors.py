from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from layert2v_engine.vidlayer.readers import open_data_set, read_sample
from layert2v_engine.vidlayer.readers.sample import DataSetError

Movie = Callable[..., Path]
METADATA = {
    "paths": {"full_video": "elsewhere.mp4", "background_video": "../plates/bg.mp4"},
    "captions": {"full": "a dog on a lawn", "foreground": "a dog", "background": "a lawn"},
}


def write_folder(root: Path, movie: Movie, *, mask_frames: int = 3, mask_width: int = 64) -> None:
    clip = root / "clip_0001"
    movie(clip / "full_video.mp4", 3, 200)
    movie(root / "plates" / "bg.mp4", 3, 100)
    movie(clip / "mask.mp4", mask_frames, 255, (mask_width, 48))
    (clip / "metadata.json").write_text(json.dumps(METADATA))


def test_a_local_file_wins_over_the_path_that_metadata_states(tmp_path: Path, movie: Movie) -> None:
    write_folder(tmp_path, movie)

    (files,) = open_data_set(tmp_path).samples
    sample = read_sample(files)

    assert files.captions == ("a dog on a lawn", "a dog", "a lawn")
    assert sample.full.shape == (3, 3, 48, 64)
    assert float(sample.full.mean()) == pytest.approx(200 / 255, abs=0.02)
    assert float(sample.background.mean()) == pytest.approx(100 / 255, abs=0.02)
    assert float(sample.foregrounds[0].matte.min()) > 0.97
    assert sample.foregrounds[0].shadow is None


def test_the_same_clip_as_a_json_line(tmp_path: Path, movie: Movie) -> None:
    write_folder(tmp_path, movie)
    record = {
        "vid": "clip_0001/full_video.mp4",
        "entry": {"pha_video_path": "clip_0001/mask.mp4", "bg_path": "plates/bg.mp4"},
        "overall_description": "a dog on a lawn",
        "foreground_prompt": "a dog",
        "background_prompt": "a lawn",
    }
    lines = tmp_path / "train.jsonl"
    lines.write_text(json.dumps(record) + "\n\n")

    (files,) = open_data_set(lines).samples
    sample, other = read_sample(files), read_sample(open_data_set(tmp_path).samples[0])

    assert files.name == "clip_0001"
    assert files.captions == other.files.captions
    assert sample.full.equal(other.full)
    assert sample.foregrounds[0].matte.equal(other.foregrounds[0].matte)


@pytest.mark.parametrize(
    ("shape", "named"),
    [({"mask_frames": 2}, "2 frames"), ({"mask_width": 32}, r"\(32, 48\) pixels")],
)
def test_layers_that_differ_are_an_error_that_names_the_clip(
    tmp_path: Path, movie: Movie, shape: dict[str, int], named: str
) -> None:
    write_folder(tmp_path, movie, **shape)

    with pytest.raises(DataSetError, match=f"clip_0001: the matte 1 has {named}"):
        read_sample(open_data_set(tmp_path).samples[0])


def test_a_missing_layer_names_clip_and_file(tmp_path: Path, movie: Movie) -> None:
    write_folder(tmp_path, movie)
    (tmp_path / "clip_0001" / "mask.mp4").unlink()

    with pytest.raises(DataSetError, match=r"clip_0001 has no matte 1: there is no .*mask\.mp4"):
        read_sample(open_data_set(tmp_path).samples[0])


def test_an_incomplete_line_is_named_by_its_number(tmp_path: Path) -> None:
    lines = tmp_path / "train.jsonl"
    lines.write_text('\n{"vid": "a.mp4", "entry": {}}\n')

    with pytest.raises(DataSetError, match="line 2 says no 'pha_video_path'"):
        open_data_set(lines)


def test_nothing_known_at_a_path(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no data set of a known form"):
        open_data_set(tmp_path)


def test_the_authors_published_samples_read() -> None:
    samples = Path(__file__).parents[6] / "shared" / "samples"
    if not samples.exists():
        pytest.skip("the authors' samples are not here")

    data_set = open_data_set(samples)
    sample = read_sample(data_set.samples[0])

    assert len(data_set.samples) == 5
    assert sample.full.shape == (9, 3, 192, 336)
    assert 0.01 < float(sample.foregrounds[0].matte.mean()) < 0.9
