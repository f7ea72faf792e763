"""Going on from a checkpoint, and scenes of several foregrounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fakes.tiny_model import CHANNELS, write_tiny_model
from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, MULTI, noise_latents, write_clips
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadConfig, EngineError, ModelNotFound
from layert2v_engine.layout import StreamLayout, StreamRole
from layert2v_engine.model.checkpoint import load_transformer, read_index
from layert2v_engine.model.components import load_autoencoder, load_matte_projection
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings
from layert2v_engine.training.export import export
from layert2v_engine.training.init_from_checkpoint import init_from_checkpoint, network_settings
from layert2v_engine.training.joint_phase import (
    JointConfig,
    JointPhase,
    ModelInputs,
    SceneGroup,
    TrainingData,
)
from layert2v_engine.training.joint_stage import run_joint, run_multi
from layert2v_engine.training.latents import StreamNormalization
from layert2v_engine.training.network import expand_roles, foregrounds_of, role_names
from layert2v_engine.training.phase_weights import load_ema
from layert2v_engine.training.sample_sheet import SampleSheetWriter
from layert2v_engine.training.stages import WorldConfig, run_autoencoder, run_matte
from layert2v_engine.world.dataset import Renderer

WORLD = WorldConfig(width=64, height=48, frames=5)
ON = replace(JOINT, transformer={}, objective=replace(JOINT.objective, one_way=True))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models")) / "mini"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """One step of every phase from the tiny checkpoint, up to two foregrounds."""
    folder = tmp_path_factory.mktemp("run")
    write_clips(folder)
    init_from_checkpoint(folder, str(model))
    run_joint(folder, ON, None)
    run_multi(folder, ON, MULTI, None)
    return folder


def test_a_start_brings_its_own_statistics(run: Path, model: Path) -> None:
    kept, declared = (
        load_file(run / "whitening.safetensors"),
        read_index(model).latent_normalization,
    )
    for row, role in enumerate(StreamRole):
        assert kept["mean"][row].tolist() == list(declared[role.value].latents_mean)
        assert kept["std"][row].tolist() == list(declared[role.value].latents_std)


def test_training_begins_with_the_weights_of_the_start(tmp_path: Path, model: Path) -> None:
    write_clips(tmp_path)
    init_from_checkpoint(tmp_path, str(model))
    still = replace(ON.phases[0], trainer=replace(ON.phases[0].trainer, lr=0.0, muon_lr=0.0))
    run_joint(tmp_path, replace(ON, phases=(still,)), None)
    before = load_transformer(model / "transformer").state_dict()
    for name, tensor in load_ema(tmp_path, still.name).items():
        torch.testing.assert_close(tensor, before[name], atol=1e-6, rtol=0)


def test_new_decoders_are_trained_for_the_latents_of_the_start(tmp_path: Path, model: Path) -> None:
    write_clips(tmp_path)
    init_from_checkpoint(tmp_path, str(model), decoders=False)
    settings = {"latent_channels": CHANNELS, "spatial_factor": 16, "neighbours": 1}
    settings |= {"decoder_widths": (16, 8, 8, 8), "decoder_blocks": 1}
    larger = replace(AUTOENCODER, reuse_latents_of_init=True, autoencoder=settings)
    run_autoencoder(tmp_path, larger, None)
    run_matte(tmp_path, MATTE, None)
    small = load_autoencoder(model / "autoencoder", CPU)
    large = load_autoencoder(tmp_path / "autoencoder" / "model", CPU)
    video = torch.rand(1, 3, 5, 16, 32)
    expand_roles = video.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert torch.allclose(small.encode_video(video), large.encode_video(expand_roles), atol=1e-4)
    moved = load_matte_projection(tmp_path / "matte" / "projection", CPU).state_dict()
    for name, weights in load_matte_projection(model / "matte", CPU).state_dict().items():
        assert torch.equal(moved[name], weights)


def test_a_decoder_of_the_same_size_goes_on_from_that_of_the_start(
    tmp_path: Path, model: Path
) -> None:
    write_clips(tmp_path)
    init_from_checkpoint(tmp_path, str(model), decoders=False)
    there = load_autoencoder(model / "autoencoder", CPU)
    settings = {n: v for n, v in there.config.items() if not n.startswith("_")}
    settings["decoder_widths"] = tuple(settings["decoder_widths"])  # a default is no list
    run_autoencoder(
        tmp_path, replace(AUTOENCODER, reuse_latents_of_init=True, autoencoder=settings), None
    )
    begun = load_autoencoder(tmp_path / "autoencoder" / "fit", CPU).state_dict()
    for name, weights in there.state_dict().items():
        assert torch.equal(begun[name], weights)


def test_new_foregrounds_start_from_the_first() -> None:
    table = torch.randn(5, 6, 4)
    names = role_names(3)
    rows = expand_roles({"layer_modulation": table}, names)
    assert foregrounds_of(len(rows)) == 3
    for name, row in zip(names, rows, strict=True):
        role = name if name in role_names(1) else name.rpartition("_")[0]
        assert torch.equal(row, table[role_names(1).index(role)])
    again = expand_roles({"layer_modulation": rows}, role_names(4))
    assert torch.equal(again[: len(rows)], rows)


def test_what_was_trained_on_two_foregrounds_offers_two(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "two", ON, WORLD, "multi", [MULTI])
    export(run, tmp_path / "one", ON, WORLD, "clips")
    two, one = read_index(tmp_path / "two"), read_index(tmp_path / "one")
    assert (two.info.max_foregrounds, one.info.max_foregrounds) == (2, 1)
    assert (two.frozen_attention, one.frozen_attention) == ("full", "one_way")
    pipeline = LayeredPipeline.from_pretrained(tmp_path / "two")
    assert "shadow_02" in pipeline.components.transformer.config.roles


def test_scenes_are_measured_by_their_number_of_foregrounds(run: Path) -> None:
    figures = (run / "joint_multi" / "validation.jsonl").read_text()
    assert "loss_matte_02_2fg" in figures
    assert "loss_given_actor_1fg" in figures
    assert {p.name for p in (run / "joint_multi").glob("*.png")} == {
        f"sample_final_{count}fg.png" for count in (0, 1, 2)
    }


def test_guided_predictions_are_learned_for_one_pass(run: Path, tmp_path: Path) -> None:
    phase = MULTI.phases[0]
    phase = replace(phase, name="distill", joint=replace(phase.joint, guidance=3.0))
    distill = replace(MULTI, phases=(phase,))
    run_multi(run, ON, distill, None, before=MULTI.phases)
    export(run, tmp_path / "fast", ON, WORLD, "distill", [MULTI, distill])
    pipeline = LayeredPipeline.from_pretrained(tmp_path / "fast")
    assert pipeline.info.guidance_range == (3.0, 3.0)
    sizes: list[int] = []
    network = pipeline.components.transformer
    network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    spec = resolve(GenerateSpec(prompt="a fox in a forest", steps=2), pipeline.info, 1)
    pipeline.sample(spec, pipeline.plan(spec))
    assert sizes == [1, 1]


def test_the_target_of_a_student_is_the_guided_prediction_of_its_teacher(run: Path) -> None:
    phase = joint_phase(run, guidance=2.0)
    with torch.no_grad():
        scenes, clips, frame, rows = phase._sample_batch()
        batch = clips.batch(torch.tensor(rows), frame, phase.device)
        noise, times = torch.randn_like(batch.latents), torch.full(batch.latents.shape[:2], 0.5)
        inputs = ModelInputs(scenes.layout, batch.latents, noise, times, times, frame, None, 2)
        prompts = [("a fox", *("",) * scenes.layout.foregrounds, "a forest")] * len(noise)
        cond, uncond = (
            phase._predict(phase.transformer, inputs, words).float()
            for words in (prompts, [("",) * len(prompts[0])] * len(noise))
        )
        target = phase._target(inputs, prompts)
    torch.testing.assert_close(target, uncond + 2.0 * (cond - uncond))
    assert not any(p.requires_grad for p in phase.teacher.parameters())


def test_the_consistency_loss_grows_with_its_weight(run: Path) -> None:
    plain, once, twice = (
        joint_phase(run, agreement=weight).loss(0, 0.0).item() for weight in (0.0, 1.0, 2.0)
    )
    assert plain < once
    assert twice - once == pytest.approx(once - plain, rel=1e-3)


def joint_phase(run: Path, guidance: float = 0.0, agreement: float = 0.0) -> JointPhase:
    """Return a phase of the tiny network; with guidance, of a copy that learns from it."""
    layout = StreamLayout.for_foregrounds(1)
    torch.manual_seed(0)
    latents = noise_latents(1, 4)
    latents = replace(latents, coverage=latents.coverage.round())  # opaque here, empty there
    scenes = SceneGroup(layout=layout, train=latents, held_out=latents)
    captions = CaptionEmbeddings(MiniLMTextEncoder(max_tokens=20))
    model = load_transformer(run / "start" / "transformer")
    config = JointConfig(batch=2, still_batch=2, compile=False, guidance=guidance)
    normalization = StreamNormalization(**load_file(run / "whitening.safetensors"))
    data = TrainingData(
        groups={1: scenes}, captions=captions, normalization=normalization, stride=2
    )
    objective = replace(ON.objective, consistency_weight=agreement)
    return JointPhase("any", model, data, SampleSheetWriter(run, data), config, objective)


def test_without_roles_the_modulation_stays_zero(tmp_path: Path, model: Path) -> None:
    write_clips(tmp_path)
    init_from_checkpoint(tmp_path, str(model))
    one = (replace(ON.phases[0], joint=replace(ON.phases[0].joint, routing="joint")),)
    config = replace(ON, layer_adaln=False, phases=one)
    run_joint(tmp_path, config, None)
    export(tmp_path, tmp_path / "flat", config, WORLD, one[0].name)
    assert not load_transformer(tmp_path / "flat" / "transformer").layer_modulation.any()
    assert read_index(tmp_path / "flat").routing == "joint"


def test_an_export_is_sampled_as_its_start(run: Path, model: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "on", ON, WORLD, MULTI.phases[0].name, [MULTI])
    start, exported = read_index(model), read_index(tmp_path / "on")
    for name in ("solver", "shift", "timesteps", "guidance_interval", "prediction"):
        assert getattr(exported, name) == getattr(start, name)


def test_a_phase_of_no_stage_is_not_exported(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no phase 'soon'"):
        export(run, tmp_path / "soon", ON, WORLD, "soon", [MULTI])


def test_a_start_is_not_mixed_with_other_work(run: Path, model: Path, tmp_path: Path) -> None:
    init_from_checkpoint(run, str(model))  # once more changes nothing
    (tmp_path / "autoencoder").mkdir()
    with pytest.raises(BadConfig, match="autoencoder of its own"):
        init_from_checkpoint(tmp_path, str(model))
    with pytest.raises(ModelNotFound):
        init_from_checkpoint(tmp_path / "new", "no such model")
    with pytest.raises(BadConfig, match=r"num_layers is 7"):
        network_settings(run, {"num_layers": 7})
    assert network_settings(run, {"rope_max_seq_len": 99})["rope_max_seq_len"] == 99


def test_a_run_goes_on_from_what_it_began_with_whatever_ships_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own export, for instance, under the name that its configuration has."""
    old, new = (write_tiny_model(tmp_path / name) / "mini" for name in ("old", "new"))
    index, digest = new / "model_index.json", read_index(old).info.digest
    index.write_text(index.read_text().replace(digest, digest[::-1]))
    find = "layert2v_engine.training.init_from_checkpoint.find_models"
    monkeypatch.setattr(find, lambda _: {"mini": old})
    init_from_checkpoint(tmp_path / "run", "mini")
    begun = read_index(tmp_path / "run" / "start").info.digest
    monkeypatch.setattr(find, lambda _: {"mini": new})
    init_from_checkpoint(tmp_path / "run", "mini")
    assert read_index(tmp_path / "run" / "start").info.digest == begun
    with pytest.raises(BadConfig, match="started from another model"):
        init_from_checkpoint(tmp_path / "run", str(new))


def test_stages_of_the_start_are_not_trained(run: Path, model: Path) -> None:
    from fakes.tiny_run import AUTOENCODER, MATTE

    run_autoencoder(run, AUTOENCODER, None)
    run_matte(run, MATTE, None)
    assert not (run / "autoencoder" / "state.json").exists()
    assert not (run / "matte" / "state.json").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_world_that_cannot_be_opened_is_named(tmp_path: Path, processes: int) -> None:
    (tmp_path / "world.json").write_text('{"format": 1}')
    with (
        pytest.raises(EngineError, match="cannot be used"),
        Renderer(tmp_path, processes) as renderer,
    ):
        renderer.clips(1, first_seed=0, frames=5, report=lambda *_: None)
