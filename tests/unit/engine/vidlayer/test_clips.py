from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from layert2v_engine.errors import DiskFull
from layert2v_engine.vidlayer.clips import (
    FOOTAGE,
    ClipFormat,
    ClipStage,
    find_bars,
    mark_duplicates,
    measure,
)
from layert2v_engine.vidlayer.movies import read_bytes, write_h264, write_lossless
from layert2v_engine.vidlayer.sources import Source
from layert2v_engine.vidlayer.state import QUARANTINE, clip_states
from layert2v_engine.vidlayer.thresholds import Thresholds

WANTED = ClipFormat(frames=5)


def texture(seed: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (9, 13, 3), dtype=np.uint8)
    return cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)


def pan(seed: int, frames: int, step: int = 2) -> np.ndarray:
    wide = texture(seed, (200, 64))
    return np.stack([wide[:, step * t : step * t + 96] for t in range(frames)])


def cut_to_clips(root: Path, *movies: Path, licence: str = "CC0-1.0") -> list[str]:
    stage = ClipStage(root, WANTED, Thresholds.load())
    sources = [Source(path=path, group=path.stem, licence=licence) for path in movies]
    return [name for each in sources for name in stage({"source": [asdict(each)]})["clip"]]


def test_lossless_movies_keep_their_bytes_and_are_the_same_file_twice(tmp_path: Path) -> None:
    pictures = pan(0, 3)

    paths = [write_lossless(tmp_path / f"{k}.mkv", pictures, 24) for k in range(2)]

    assert np.array_equal(read_bytes(paths[0]), pictures)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    plane = write_lossless(tmp_path / "plane.mkv", pictures[..., 0], 24)
    assert np.array_equal(read_bytes(plane)[..., 0], pictures[..., 0])


def test_no_clip_has_a_cut_inside(tmp_path: Path) -> None:
    shots = np.concatenate([pan(1, 8), pan(2, 7)])
    movie = write_h264(tmp_path / "two.mp4", shots, 24)

    cut_to_clips(tmp_path / "set", movie)

    facts = [each.read("clip") for each in clip_states(tmp_path / "set")]
    assert [each["first_frame"] for each in facts] == [0, 8]
    assert [each["reasons"] for each in facts] == [[], []]
    assert {each["licence"] for each in facts} == {"CC0-1.0"}


def test_bars_are_removed_and_sides_stay_even() -> None:
    pictures = np.zeros((3, 64, 96, 3), np.uint8)
    pictures[:, 9:51] = pan(3, 3)[:, 9:51] // 2 + 60

    rows, columns = find_bars(pictures)

    assert (rows, columns) == (slice(10, 50), slice(0, 96))


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        (np.zeros((5, 64, 96, 3), np.uint8), "black"),
        (np.full((5, 64, 96, 3), 90, np.uint8), "flat"),
        (np.repeat(texture(4)[None], 5, 0), "static"),
        (np.stack([texture(k) // 8 + 100 for k in range(5)]), "motion"),
    ],
)
def test_what_teaches_nothing_is_rejected(pictures: np.ndarray, reason: str) -> None:
    reasons = Thresholds.load().reasons("clip", measure(pictures))

    assert reason in [each.partition(":")[0] for each in reasons]


def test_clips_have_the_frame_rate_height_and_number_that_are_asked_for(tmp_path: Path) -> None:
    movie = write_h264(tmp_path / "long.mp4", pan(14, 14), 24)
    source = Source(path=movie, group="a", licence="CC0-1.0")
    wanted = ClipFormat(frames=2, fps=12.0, height=48, per_shot=2)

    ClipStage(tmp_path / "set", wanted, Thresholds.load())({"source": [asdict(source)]})

    facts = [each.read("clip") for each in clip_states(tmp_path / "set")]
    assert [each["first_frame"] for each in facts] == [0, 4]  # there would be room for a third
    assert {(each["frames"], each["fps"], *each["size"]) for each in facts} == {(2, 12.0, 72, 48)}


def test_a_smaller_copy_is_a_duplicate_whatever_came_first(tmp_path: Path) -> None:
    pictures = pan(5, 5)
    small = np.stack(
        [cv2.resize(each, (72, 48), interpolation=cv2.INTER_AREA) for each in pictures]
    )
    movies = [
        write_h264(tmp_path / f"{name}.mp4", frames, 24)
        for name, frames in (("a", pictures), ("b", small), ("c", pan(6, 5)))
    ]
    results = []
    for order in (movies, movies[::-1]):
        root = tmp_path / order[0].stem
        cut_to_clips(root, *order)
        mark_duplicates(root, Thresholds.load())
        mark_duplicates(root, Thresholds.load())  # a second time changes nothing
        results.append([each.read("clip")["reasons"] for each in clip_states(root)])

    assert results[0] == results[1] == [[], ["near_duplicate"], []]


def test_a_broken_file_goes_to_quarantine_and_the_next_one_is_cut(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no movie")
    good = write_h264(tmp_path / "good.mp4", pan(7, 5), 24)

    cut_to_clips(tmp_path / "set", broken, good)

    first, second = clip_states(tmp_path / "set")
    assert first.read(QUARANTINE)["source"].endswith("broken.mp4")
    assert (second.folder / FOOTAGE).exists()


def test_a_source_is_tried_again_when_its_quarantine_is_deleted(tmp_path: Path) -> None:
    movie = write_h264(tmp_path / "a.mp4", pan(13, 5), 24)
    source = Source(path=movie, group="a", licence="CC0-1.0")
    ClipStage(tmp_path / "set", WANTED, Thresholds.load()).quarantine(source, "CRASH", "It ended.")

    (state,) = clip_states(tmp_path / "set")
    (state.folder.with_name(f".{state.clip}") / "source.json").unlink()  # killed before that
    assert cut_to_clips(tmp_path / "set", movie) == []
    assert cut_to_clips(tmp_path / "set", movie) == []
    state.forget(QUARANTINE)

    assert len(cut_to_clips(tmp_path / "set", movie)) == 1


def test_numbered_images_are_cut_as_a_movie_is(tmp_path: Path) -> None:
    shot = tmp_path / "take.01"
    shot.mkdir()
    for number, picture in enumerate(pan(8, 5)):
        cv2.imwrite(str(shot / f"s.{number:04d}.png"), picture[..., ::-1])

    (by_folder,) = cut_to_clips(tmp_path / "set", shot)
    (by_pattern,) = cut_to_clips(tmp_path / "set", shot / "s.####.png")

    assert by_folder.startswith("take.01_")
    assert by_pattern.startswith("s_")
    for state in clip_states(tmp_path / "set"):
        assert np.array_equal(read_bytes(state.folder / FOOTAGE), pan(8, 5))


def test_images_that_are_no_sequence_go_to_quarantine(tmp_path: Path) -> None:
    for name in ("a.0001.png", "a.0003.png"):
        cv2.imwrite(str(tmp_path / name), texture(0))

    assert cut_to_clips(tmp_path / "set", tmp_path) == []

    (state,) = clip_states(tmp_path / "set")
    assert (
        "A frame is missing between a.0001.png and a.0003.png" in state.read(QUARANTINE)["message"]
    )


def test_a_source_without_a_shot_of_that_length_says_so(tmp_path: Path) -> None:
    movie = write_h264(tmp_path / "short.mp4", pan(9, 4), 24)

    for _ in range(2):
        (name,) = cut_to_clips(tmp_path / "set", movie)

    (state,) = clip_states(tmp_path / "set")
    assert state.clip == name
    assert state.is_out
    reason = "too_short: the longest shot has 4 frames, a clip takes 5"
    assert state.read("clip")["reasons"] == [reason]


def test_a_later_licence_is_that_of_clips_that_are_there(tmp_path: Path) -> None:
    movie = write_h264(tmp_path / "a.mp4", pan(10, 5), 24)

    for licence in ("", "CC-BY-4.0"):
        cut_to_clips(tmp_path / "set", movie, licence=licence)

    (state,) = clip_states(tmp_path / "set")
    assert state.read("clip")["licence"] == "CC-BY-4.0"


def test_a_source_that_is_gone_does_not_stop_the_next(tmp_path: Path) -> None:
    good = write_h264(tmp_path / "good.mp4", pan(11, 5), 24)

    assert len(cut_to_clips(tmp_path / "set", tmp_path / "gone.mp4", good)) == 1

    assert clip_states(tmp_path / "set")[0].read(QUARANTINE)["reason"] == "FileNotFoundError"


def test_a_full_disk_ends_the_build_and_is_no_fault_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = write_h264(tmp_path / "a.mp4", pan(12, 5), 24)

    def fill(path: Path, *_: object) -> None:
        raise DiskFull("The disk is full.", "Free some space.")

    monkeypatch.setattr("layert2v_engine.vidlayer.clips.write_lossless", fill)
    with pytest.raises(DiskFull):
        cut_to_clips(tmp_path / "set", movie)
    monkeypatch.undo()

    assert len(cut_to_clips(tmp_path / "set", movie)) == 1
