from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.pack import INDEX, pack
from layert2v_engine.vidlayer.parquet import write_parquet

LAYERS = ("full_video", "background", "foreground_01", "matte_01", "shadow_01", "light_01")


def record(clip: str, split: str, *, kept: bool = True) -> dict[str, object]:
    return {
        "clip": clip, "kept": kept, "split": split, "source": "a.mp4", "source_sha256": "ab",
        "group": "a", "licence": "CC0-1.0", "provenance": "own camera", "first_frame": 0,
        "frames": 2, "fps": 24.0, "size": [16, 8], "judge": "", "quarantine": {},
        "captions": {"full": "a dog", "foregrounds": ["a dog"], "background": "", "by": "model"},
        "scores": {"softness": 0.2} if kept else {}, "reasons": [] if kept else ["static"],
        "sha256": {"layers/light_01.mkv": "cd"} if kept else {},
    }  # fmt: skip


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    records = [record("a", "train"), record("b", "train"), record("c", "held_out")]
    for number, each in enumerate(records):
        folder = root / "clips" / str(each["clip"]) / "layers"
        folder.mkdir(parents=True)
        for name in LAYERS:
            shape = (2, 8, 16) if name.startswith(("matte", "shadow")) else (2, 8, 16, 3)
            write_lossless(folder / f"{name}.mkv", np.full(shape, 40 * number, np.uint8), 24)
    records.append(record("d", "train", kept=False))
    (root / "catalogue.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    return root


def test_shards_hold_every_layer_of_the_kept_clips(data_set: Path, tmp_path: Path) -> None:
    counts = pack(data_set, tmp_path / "shards", lambda _: None, clips_per_shard=1)

    assert counts == {"train": 2, "held_out": 1}
    paths = sorted((tmp_path / "shards").glob("*.tar"))
    assert [path.name for path in paths] == [
        "held_out-000000.tar", "train-000000.tar", "train-000001.tar"
    ]  # fmt: skip
    with tarfile.open(paths[1]) as tar:
        assert tar.getnames() == [*(f"a.{name}.mkv" for name in LAYERS), "a.json"]
        member = tar.extractfile("a.matte_01.mkv")
        assert member is not None
        assert member.read() == (data_set / "clips/a/layers/matte_01.mkv").read_bytes()
        facts = tar.extractfile("a.json")
        assert facts is not None
        assert json.load(facts)["licence"] == "CC0-1.0"


def test_a_finished_shard_is_not_written_again(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    pack(data_set, out, lambda _: None, clips_per_shard=1)
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in out.glob("*.tar")}
    lost = out / "train-000001.tar"
    lost.unlink()

    pack(data_set, out, lambda _: None, clips_per_shard=1)

    for path, (inode, content) in before.items():
        assert path.read_bytes() == content
        assert path == lost or path.stat().st_ino == inode
    assert len(json.loads((out / INDEX).read_text())["shards"]) == 3


def test_nothing_kept_is_said(data_set: Path, tmp_path: Path) -> None:
    line = json.dumps(record("d", "train", kept=False))
    (data_set / "catalogue.jsonl").write_text(line + "\n")

    with pytest.raises(EngineError, match=r"No clip of .* was kept"):
        pack(data_set, tmp_path / "shards", lambda _: None)


def test_parquet_has_a_row_per_clip_and_a_column_per_score(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "catalogue.parquet"

    write_parquet(path, [record("a", "train"), record("d", "train", kept=False)])

    kept, out = parquet.read_table(path).to_pylist()
    assert kept["path"] == "clips/a"
    assert (kept["width"], kept["height"], kept["score_softness"]) == (16, 8, 0.2)
    assert kept["sha256"] == [("layers/light_01.mkv", "cd")]
    assert (out["path"], out["score_softness"], out["reasons"]) == (None, None, ["static"])
