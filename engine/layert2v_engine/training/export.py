"""From a run folder to the checkpoint folder that the engine loads and the repository ships."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from layert2v.spec import CLEAN_CONDITIONING, NO_SHADOWS, ModelInfo
from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadConfig, EngineError
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.checkpoint import (
    COLORSPACES,
    INDEX,
    CheckpointConfig,
    LatentNormalization,
    link_folder,
    save_transformer,
    write_index,
)
from layert2v_engine.model.components import (
    load_autoencoder,
    load_matte_projection,
    stored_dtype,
)
from layert2v_engine.model.layout_prior import FILE as PRIOR
from layert2v_engine.model.matte_adapter import MatteProjection, WanMatteProjection
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.training.finish_stage import find_decoders
from layert2v_engine.training.init_from_checkpoint import (
    START,
    network_settings,
    read_init_config,
    trains_shadows,
)
from layert2v_engine.training.joint_phase import JointConfig
from layert2v_engine.training.joint_stage import JointStage, MultiStage, text_tokens
from layert2v_engine.training.layout_prior import find_layout_prior
from layert2v_engine.training.network import foregrounds_of, new_transformer, role_names
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.phase_weights import load_ema
from layert2v_engine.training.sample_sheet import (
    GUIDANCE,
    GUIDANCE_INTERVAL,
    MATTE_COLOR,
    SHIFT,
    SOLVER,
)
from layert2v_engine.training.stages import WorldConfig
from layert2v_engine.world.text.vocabulary import ABILITIES, ACTIONS, Selection

TITLE = "LayerT2V Mini (illustrated)"


def mini_info(
    world: WorldConfig,
    temporal_factor: int,
    foregrounds: int,
    title: str = TITLE,
    guidance: float = 0.0,
    sizes: tuple[int, int, int] | None = None,
) -> ModelInfo:
    """Return what the Mini offers.

    It offers the size it was trained at, or ``sizes`` (least, most and step in pixels), clips up to
    the trained length, as many foregrounds as it was trained on at once, the scale of guidance it
    was distilled to (0: none), and the words of its world.
    """
    low, high, step = sizes or (0, 0, 16)
    return ModelInfo(
        name="mini",
        title=title,
        digest="",
        width_range=(low or world.width, high or world.width),
        height_range=(low or world.height, high or world.height),
        size_step=step,
        frames_range=(1, world.frames),
        frames_step=temporal_factor,
        max_foregrounds=foregrounds,
        default_width=world.width,
        default_height=world.height,
        default_frames=world.frames,
        default_fps=12.0,
        default_steps=20,
        default_guidance=guidance or GUIDANCE,
        steps_range=(1, 200),
        guidance_range=(guidance, guidance) if guidance else (1.0, 15.0),
        abilities=("generate", CLEAN_CONDITIONING),
        vocabulary=vocabulary(world.selection),
        colorspaces=COLORSPACES,
    )


def vocabulary(selection: Selection) -> dict[str, tuple[str, ...]]:
    """Return the words of a selection by kind; of positions only those that can be chosen."""
    possible = {action for index in selection.subject_indices for action in ABILITIES[index]}
    words = {
        "subject": selection.subjects,
        "action": tuple(word.name for word in ACTIONS if word.name in possible),
        "place": selection.places,
        "time": selection.times,
        "colour": selection.colors,
    }
    details = {
        "spot": selection.spots,
        "heading": selection.headings,
        "distance": selection.distances,
    }
    return words | {kind: names for kind, names in details.items() if len(names) > 1}


def export(
    run: Path,
    out: Path,
    config: JointStage,
    world: WorldConfig,
    phase: str,
    later: Sequence[MultiStage] = (),
    *,
    title: str = TITLE,
) -> None:
    """Write the checkpoint of a phase into ``out``, with the weights that were last saved.

    An older checkpoint there is replaced; anything else is left alone, and refused.

    later: the stages after the joint one, where the phase may be of one of these.
    title: what artists see the model called.
    Raises BadConfig for a phase of no stage.
    """
    objective, trained = _find_phase((config, *later), phase)
    if out.exists() and not (out / INDEX).is_file() and any(out.iterdir()):
        raise EngineError(
            f"{out} is not empty and holds no model.", "Name a new folder.", reason="NOT_A_MODEL"
        )
    final, out = out, out.with_name(f"{out.name}.part")
    shutil.rmtree(out, ignore_errors=True)  # what an interrupted export left
    names = _write_components(run, out, config, phase)
    prior = find_layout_prior(run) if trained.prior_share else None
    if prior is not None:
        prior.save(out / PRIOR)
    codec = load_autoencoder(out / "autoencoder", CPU)
    patch = network_settings(run, config.transformer).get("patch_size", (1, 2, 2))[-1]
    sizes = (*(config.offered or (0, 0)), codec.spatial_factor * patch)
    foregrounds = foregrounds_of(len(names), shadows=trains_shadows(run))
    start = read_init_config(run)
    info = mini_info(world, codec.temporal_factor, foregrounds, title, trained.guidance, sizes)
    if start is not None and start.info.vocabulary:
        info = _sampled_as(start.info, info)
    elif start is not None:
        info = _free_language_info(start.info, foregrounds, title)
    write_index(_checkpoint_config(run, config, info, objective, trained), out)
    if final.exists():
        shutil.rmtree(final)
    out.rename(final)


def _checkpoint_config(
    run: Path,
    config: JointStage,
    info: ModelInfo,
    objective: ObjectiveConfig,
    trained: JointConfig,
) -> CheckpointConfig:
    statistics, start = load_tensors(run / "whitening.safetensors"), read_init_config(run)
    if start is not None:
        sampling = {name: getattr(start, name) for name in _SAMPLING}
    else:
        sampling = {"solver": SOLVER, "shift": SHIFT, "guidance_interval": GUIDANCE_INTERVAL}
    if start is None or start.info.vocabulary:  # the clips of the world set the positions
        sampling["frames_per_stream"] = 1 + (info.frames_range[1] - 1) // info.frames_step
    return CheckpointConfig(
        **sampling,
        info=info,
        latent_normalization={
            role.value: LatentNormalization(
                latents_mean=tuple(statistics["mean"][row].tolist()),
                latents_std=tuple(statistics["std"][row].tolist()),
            )
            for row, role in enumerate(StreamRole)
            if info.makes_shadows or role is not StreamRole.shadow
        },
        text_encoder="minilm" if start is None else start.text_encoder,
        text_tokens=text_tokens(run, config),
        matte_color=MATTE_COLOR,
        frozen_attention="one_way" if objective.one_way else "full",
        routing=trained.routing,
        distilled_guidance=trained.guidance,
    )


# How a model is sampled stays as it was when training began.
_SAMPLING = (
    *("solver", "shift", "guidance_interval", "noise_levels"),
    *("timesteps", "frames_per_stream", "prediction"),
)


def _sampled_as(start: ModelInfo, trained: ModelInfo) -> ModelInfo:
    """Return what a model was trained on, with the steps and guidance of its start.

    A distilled one keeps the guidance that it was taught.
    """
    low, high = trained.guidance_range
    guidance = low if low == high else start.default_guidance
    abilities = (*trained.abilities, *({NO_SHADOWS} & set(start.abilities)))
    return replace(
        trained,
        default_steps=start.default_steps,
        default_guidance=guidance,
        abilities=abilities,
    )


def _free_language_info(start: ModelInfo, foregrounds: int, title: str) -> ModelInfo:
    """Return the sizes, defaults and name of a start such as Wan, with what training added."""
    return replace(
        start,
        title=start.title if title == TITLE else title,
        digest="",
        max_foregrounds=foregrounds,
        abilities=tuple(dict.fromkeys((*start.abilities, CLEAN_CONDITIONING))),
    )


def _find_phase(
    stages: Sequence[JointStage | MultiStage], name: str
) -> tuple[ObjectiveConfig, JointConfig]:
    """Return the objective and the batches a phase was trained with."""
    known = {
        entry.name: (stage.objective, entry.joint) for stage in stages for entry in stage.phases
    }
    if name not in known:
        raise BadConfig(
            f"The configurations have no phase {name!r}.", f"They have {', '.join(known)}."
        )
    return known[name]


def _write_components(run: Path, out: Path, config: JointStage, phase: str) -> tuple[str, ...]:
    """Write the networks of a run as components of a checkpoint, in half precision.

    Those that come with a start in another type keep it, and what diffusers keeps in float32 is
    written so. Returns the names of the LayerAdaLN rows.
    """
    weights, (decoder, decoder_lora) = load_ema(run, phase), find_decoders(run)
    autoencoder = load_autoencoder(decoder, CPU)
    shadows = trains_shadows(run)
    count = foregrounds_of(len(weights["layer_modulation"]), shadows=shadows)
    names = role_names(count, shadows=shadows)
    settings = network_settings(run, config.transformer)
    model = new_transformer(settings, autoencoder.latent_channels, names)
    model.load_state_dict(weights)
    start = run / START / "transformer"
    save_transformer(model, out / "transformer", dtype=stored_dtype(start) or torch.float16)
    if isinstance(autoencoder, PatchAutoencoder):
        autoencoder.half().save_pretrained(out / "autoencoder")
    else:
        link_folder(run / "autoencoder" / "model", out / "autoencoder")
    for part in ("text_encoder", "tokenizer"):  # of a start that brings its own
        if (run / START / part).exists():
            link_folder(run / START / part, out / part)
    projection = load_matte_projection(run / "matte" / "projection", CPU)
    if isinstance(projection, WanMatteProjection):
        projection.save_pretrained(out / "matte")
        shutil.copy(decoder_lora, out / "matte")
    elif isinstance(projection, MatteProjection):
        projection.half().save_pretrained(out / "matte")
        lora = load_tensors(decoder_lora)
        halves = {k: v if k.endswith("scale") else v.half() for k, v in lora.items()}
        save_file(halves, out / "matte" / "decoder_lora.safetensors")
    return names
