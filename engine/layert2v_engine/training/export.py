"""From a run folder to the checkpoint folder that the engine loads and the repository ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from layert2v.spec import ModelInfo
from layert2v_engine.errors import EngineError
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.checkpoint import (
    CLEAN_CONDITIONING,
    INDEX,
    CheckpointConfig,
    Whitening,
    save_transformer,
    write_index,
)
from layert2v_engine.model.matte import MatteProjection
from layert2v_engine.training.joint_stage import JointStage, averages, new_transformer
from layert2v_engine.training.sheet import MATTE_COLOUR, SHIFT
from layert2v_engine.training.stages import WorldConfig
from layert2v_engine.world import vocabulary

TITLE = "LayerT2V Mini v0 (illustrated)"
COLORSPACES = ("lin_rec709_scene", "lin_ap1_scene", "lin_ap0_scene", "lin_rec2020_scene")


def mini_info(world: WorldConfig, temporal_factor: int) -> ModelInfo:
    """What the Mini offers: the size it was trained at, and clips up to the trained length."""
    words = {
        "subject": vocabulary.SUBJECTS,
        "action": vocabulary.ACTIONS,
        "place": vocabulary.PLACES,
        "time": vocabulary.TIMES,
        "colour": vocabulary.COLOURS,
    }
    return ModelInfo(
        name="mini",
        title=TITLE,
        digest="",
        width_range=(world.width, world.width),
        height_range=(world.height, world.height),
        size_step=16,
        frames_range=(1, world.frames),
        frames_step=temporal_factor,
        max_foregrounds=1,
        default_width=world.width,
        default_height=world.height,
        default_frames=world.frames,
        default_fps=12.0,
        default_steps=20,
        default_guidance=2.0,
        steps_range=(1, 200),
        guidance_range=(1.0, 15.0),
        abilities=("generate", CLEAN_CONDITIONING),
        vocabulary={kind: tuple(w.name for w in table) for kind, table in words.items()},
        colorspaces=COLORSPACES,
    )


def export(run: Path, out: Path, config: JointStage, world: WorldConfig, phase: str) -> None:
    """Write the checkpoint of a phase of the joint stage into `out`, the weights as they were last
    saved. An older checkpoint there is replaced; anything else is left alone, and refused.
    """
    if out.exists() and not (out / INDEX).is_file() and any(out.iterdir()):
        raise EngineError(
            f"{out} is not empty and holds no model.", "Name a new folder.", reason="NOT_A_MODEL"
        )
    target, out = out, out.with_name(f"{out.name}.part")
    weights = averages(run, phase)
    autoencoder = PatchAutoencoder.from_pretrained(
        run / "autoencoder" / "model", use_safetensors=True
    )
    model = new_transformer(config, autoencoder.latent_channels)
    model.load_state_dict(weights)
    shutil.rmtree(out, ignore_errors=True)  # what an interrupted export left
    save_transformer(model, out / "transformer", dtype=torch.float16)
    autoencoder.half().save_pretrained(out / "autoencoder")
    MatteProjection.from_pretrained(
        run / "matte" / "projection", use_safetensors=True
    ).half().save_pretrained(out / "matte")
    lora = load_file(run / "matte" / "decoder_lora.safetensors")
    halves = {k: v if k.endswith("scale") else v.half() for k, v in lora.items()}
    save_file(halves, out / "matte" / "decoder_lora.safetensors")
    statistics = load_file(run / "whitening.safetensors")
    frames = 1 + (world.frames - 1) // autoencoder.temporal_factor
    write_index(
        CheckpointConfig(
            info=mini_info(world, autoencoder.temporal_factor),
            whitening={
                role.value: Whitening(
                    mean=tuple(statistics["mean"][row].tolist()),
                    std=tuple(statistics["std"][row].tolist()),
                )
                for row, role in enumerate(StreamRole)
            },
            text_encoder="minilm",
            text_tokens=config.max_tokens,
            solver="euler",
            shift=SHIFT,
            frames_per_stream=frames,
            matte_colour=MATTE_COLOUR,
        ),
        out,
    )
    if target.exists():
        shutil.rmtree(target)
    out.rename(target)
