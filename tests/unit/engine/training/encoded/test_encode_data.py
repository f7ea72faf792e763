"""A data set encoded once, and what a training reads of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v_engine.cli.main import main
from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadCheckpoint, BadConfig, EngineError
from layert2v_engine.layout import StreamLayout
from layert2v_engine.training.caption_embeddings import CaptionEncoder
from layert2v_engine.training.encoded.buckets import Bucket
from layert2v_engine.training.encoded.reader import EncodedCaptions, EncodedData, is_encoded
from layert2v_engine.training.encoded.writer import Encoders, EncodingPlan, encode_data
from layert2v_engine.training.joint_stage import JointRun, make_encoders, run_joint
from layert2v_engine.training.latent_builder import LatentBuilder
from layert2v_engine.training.stages import run_autoencoder, run_matte
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.readers import open_data_set

ONE, TWO = (StreamLayout.for_foregrounds(count) for count in (1, 2))
SIZES = (Bucket(64, 48, 5), Bucket(48, 64, 9))
STREAMS = {"full_video": 200, "background": 50, "mask": 255}


def write_movie(path: Path, frames: int, value: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            picture = np.full((size[1], size[0], 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_data_set(root: Path) -> Path:
    """Three wide clips of five frames, one tall one of nine."""
    shapes = [(5, (64, 48)), (9, (48, 64)), (6, (128, 96)), (5, (64, 48))]
    for number, (frames, size) in enumerate(shapes):
        folder = root / f"clip_{number}"
        for stem, value in STREAMS.items():
            write_movie(folder / f"{stem}.mp4", frames, value, size)
        captions = {"full": f"whole {number}", "foreground": "a dog", "background": "a lawn"}
        (folder / "metadata.json").write_text(json.dumps({"captions": captions}))
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_clips(folder)
    run_autoencoder(folder, AUTOENCODER, None)
    run_matte(folder, MATTE, None)
    return folder


@pytest.fixture(scope="module")
def encoders(run: Path) -> Encoders:
    return make_encoders(run, JOINT, CPU)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> EncodingPlan:
    root = write_data_set(tmp_path_factory.mktemp("data"))
    samples = tuple(open_data_set(root).samples)
    return EncodingPlan(samples=samples, buckets=SIZES, shard_clips=1)


@pytest.fixture(scope="module")
def encoded(
    plan: EncodingPlan, encoders: Encoders, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("latents")
    assert encode_data(plan, encoders, out) == 4
    return out


def test_clips_are_read_by_size(encoded: Path, encoders: Encoders) -> None:
    assert is_encoded(encoded)
    data = EncodedData(encoded, encoders.digest)
    tall, wide = data.buckets(ONE)
    assert (tall.grid, len(tall)) == ((3, 8, 6), 1)
    assert (wide.grid, len(wide)) == ((2, 6, 8), 3)
    latents, coverage = wide.batch(torch.tensor([0, 2]))
    assert latents.shape[:2] == (2, 5)
    assert coverage.shape == (2, 2, 2, 6, 8)
    assert coverage[:, 0].min() > 0.95  # the matte covers all, and there is no shadow
    assert coverage[:, 1].eq(0).all()
    assert wide.captions_of(1) == ("whole 2", "a dog", "a lawn")
    still = wide.batch(torch.tensor([0]), 1)
    assert torch.equal(still.latents, latents[:1, :, :, 1:])
    assert data.buckets(TWO) == ()
    bare = data.buckets(StreamLayout.for_foregrounds(1, shadows=False))[1]
    assert torch.equal(bare.batch(torch.tensor([0, 2])).latents, latents[:, :4])


def test_latents_are_those_of_a_clip_that_is_encoded_in_training(
    encoded: Path, encoders: Encoders, run: Path, plan: EncodingPlan
) -> None:
    builder = LatentBuilder(run, CPU, processes=1, data_sets=[plan.samples[0].full.parents[1]])
    group = builder.group(1, 8, 5)
    (_, wide) = EncodedData(encoded, encoders.digest).buckets(ONE)
    mine, theirs = wide.batch(torch.arange(3)), group.train.batch(torch.arange(8, 11))
    torch.testing.assert_close(mine.latents, theirs.latents, atol=2e-2, rtol=0)
    torch.testing.assert_close(mine.coverage, theirs.coverage, atol=1e-3, rtol=0)


def test_a_built_set_is_packed_by_split_for_training(
    run: Path, encoders: Encoders, tmp_path: Path
) -> None:
    built, shards = tmp_path / "built", tmp_path / "shards"
    built.mkdir()
    lines = []
    for clip, split in (("a", "train"), ("b", "held_out"), ("c", "train")):
        record = {"clip": clip, "kept": True, "split": split, "sha256": {}}
        captions = {"full": f"whole {clip}", "foregrounds": ["a dog"], "background": "a lawn"}
        lines.append(json.dumps(record | {"captions": captions}) + "\n")
        for layer in ("full_video", "background", "foreground_01", "matte_01", "shadow_01"):
            shape = (5, 48, 64) if layer.startswith(("matte", "shadow")) else (5, 48, 64, 3)
            path = built / "clips" / clip / "layers" / f"{layer}.mkv"
            write_lossless(path, np.full(shape, 90, np.uint8), 24)
    (built / "catalogue.jsonl").write_text("".join(lines))
    command = ["vidlayer", "pack", str(built), "--shards", str(shards), "--run", str(run)]

    assert main([*command, "--size", "64x48x5", "--per-shard", "1"]) == 0

    (clips,) = EncodedData(shards / "train", encoders.digest).buckets(ONE)
    assert [clips.captions_of(row)[0] for row in range(len(clips))] == ["whole a", "whole c"]
    assert len(list((shards / "held_out").glob("shard_*"))) == 1
    assert [each.name for each in open_data_set(built, "train").samples] == ["a", "c"]
    assert main(command) == 2


def test_a_stopped_encoding_goes_on_and_parts_share_it(
    encoded: Path, plan: EncodingPlan, encoders: Encoders, tmp_path: Path
) -> None:
    out = tmp_path / "latents"
    assert encode_data(replace(plan, part=(1, 2)), encoders, out) == 2
    assert encode_data(replace(plan, part=(0, 2)), encoders, out) == 2
    assert encode_data(plan, encoders, out) == 0
    for path in encoded.glob("*.safetensors"):
        assert (out / path.name).read_bytes() == path.read_bytes()
    (out / "shard_00002.safetensors").unlink()
    assert encode_data(plan, encoders, out) == 1
    with pytest.raises(BadConfig, match="another sizes"):
        encode_data(replace(plan, buckets=SIZES[:1]), encoders, out)


def test_captions_come_from_disk_and_the_encoder_is_not_loaded(
    encoded: Path, encoders: Encoders
) -> None:
    loaded: list[CaptionEncoder] = []

    def load() -> CaptionEncoder:
        loaded.append(encoders.captions)
        return loaded[-1]

    data = EncodedData(encoded, encoders.digest)
    captions = EncodedCaptions([data], load, JOINT.max_tokens)
    for text in ("a dog", "whole 2", ""):
        states, mask = captions.encode([text], padded=False)
        theirs = encoders.captions.encode([text], padded=False)
        torch.testing.assert_close(states, theirs.states.float(), atol=1e-2, rtol=1e-2)
        assert torch.equal(mask, theirs.mask)
    both = captions.encode(["a dog", "a lawn"], padded=True)
    assert both.states.shape[1] == JOINT.max_tokens
    assert not loaded
    captions.encode(["a cat"], padded=False)
    assert len(loaded) == 1


def test_one_bad_clip_is_named_and_nothing_of_its_shard_is_written(
    plan: EncodingPlan, encoders: Encoders, tmp_path: Path
) -> None:
    bad = replace(plan.samples[1], background=tmp_path / "gone.mp4")
    samples = (plan.samples[0], bad, *plan.samples[2:])
    broken, out = replace(plan, samples=samples), tmp_path / "latents"
    with pytest.raises(EngineError, match="Clip clip_1 has no background"):
        encode_data(broken, encoders, out)
    assert [path.name for path in out.glob("shard_*")] == ["shard_00000.safetensors"]
    encode_data(replace(broken, leave_out=True), encoders, out)
    (entry,) = map(json.loads, (out / "left_out.jsonl").read_text().splitlines())
    assert entry["clip"] == "clip_1"
    assert [len(each) for each in EncodedData(out, encoders.digest).buckets(ONE)] == [3]


def test_latents_of_another_run_and_damaged_shards_are_refused(
    encoded: Path, plan: EncodingPlan, encoders: Encoders, tmp_path: Path
) -> None:
    with pytest.raises(BadConfig, match="for another run"):
        EncodedData(encoded, "0" * 64)
    out = tmp_path / "latents"
    encode_data(plan, encoders, out)
    path = out / "shard_00001.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint, match="shard_00001"):
        EncodedData(out, encoders.digest)


def test_a_training_mixes_in_clips_of_all_sizes(encoded: Path, run: Path) -> None:
    clips = JOINT.phases[1]
    phase = replace(clips, trainer=replace(clips.trainer, budget_s=0, steps=4, muon_lr=0.0))
    stage = replace(JOINT, phases=(phase,))
    run_joint(run, stage, JointRun(data_sets=(encoded,)))
    assert (run / "joint_clips" / "average.safetensors").exists()
