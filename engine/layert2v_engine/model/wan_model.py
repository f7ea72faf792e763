"""A model folder of ours from a folder of Wan, with a checkpoint of LayerT2V's authors if given.

Reads both layouts Wan comes in: that of diffusers, and that of Wan's own code. Pickled weights are
read here and nowhere else, by torch's reader that builds tensors only. What is taken over unchanged
is linked, not copied.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import UMT5Config, UMT5EncoderModel

from layert2v.spec import NO_SHADOWS, ModelInfo
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import FOREGROUND_ROLES, StreamRole
from layert2v_engine.model.checkpoint import (
    COLORSPACES,
    CheckpointConfig,
    LatentNormalization,
    link_folder,
    load_transformer,
    raise_bad_checkpoint,
    save_transformer,
    write_index,
)
from layert2v_engine.model.components import DECODER_LORA, load_autoencoder, working_dtype
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.model.wan_import import (
    ROLE_NAMES,
    ROPE_4D,
    convert_autoencoder,
    convert_matte_lora,
    convert_matte_projection,
    convert_text_encoder,
    diffusers_name,
    import_transformer,
    merge_adapter,
    read_ema,
)

CPU = torch.device("cpu")
ORIGINAL_VAE = "Wan2.1_VAE.pth"
ORIGINAL_TEXT_ENCODER = "models_t5_umt5-xxl-enc-bf16.pth"
ORIGINAL_TOKENIZER = "google/umt5-xxl"
MASK_LORA = "mask_vae_lora.pt"
# Files of ways to treat mattes that need networks of their own inside the denoising loop, or were
# dropped by the authors.
UNKNOWN_MASK_FILES = ("mask_vae_projects.pt", "mask_vae.pt", "mask_encoder.pt", "mask_decoder.pt")
ORIGINAL_SHIFT = 5.0  # of Wan's and LayerT2V's own code


@dataclass(frozen=True, kw_only=True, slots=True)
class WanModelOptions:
    """What a folder of Wan does not say about the model that is made of it.

    name, title: as artists see it. foregrounds: how many it makes at most. shadows: whether it has
    streams of cast shadows. adapter: a checkpoint folder of LayerT2V's trainer. ema: take the
    averaged weights of that. rope_4d: it was trained with positions of streams, None where the
    base says so. dtype: of the weights, None for that of the base.
    """

    name: str
    title: str
    foregrounds: int = 1
    shadows: bool = True
    adapter: Path | None = None
    ema: bool = False
    rope_4d: bool | None = None
    dtype: torch.dtype | None = None


def convert_model(source: Path, out: Path, options: WanModelOptions) -> CheckpointConfig:
    """Write a model folder ``out`` from a folder of Wan, and return what it declares.

    Nothing is left behind where it fails. Raises ModelNotFound, BadCheckpoint.
    """
    is_original = not (source / "model_index.json").is_file()
    if options.adapter is not None:
        _check_mask_files(options.adapter)
    with _whole_or_nothing(out) as partial:
        if is_original:
            _write_original_parts(source, partial)
        else:
            _check_pipeline(source)
            for theirs, ours in _PARTS.items():
                link_folder(_require(source / theirs), partial / ours)
        transformer = _load_transformer(source, options, is_original)
        autoencoder = load_autoencoder(partial / "autoencoder", CPU)
        _check_versions(source, transformer, autoencoder.latent_channels, partial / "text_encoder")
        save_transformer(transformer, partial / "transformer", dtype=options.dtype)
        if options.adapter is not None:
            _write_matte(options.adapter, partial / "matte")
        size_step = autoencoder.spatial_factor * transformer.config.patch_size[-1]
        shift = ORIGINAL_SHIFT if is_original else _read_shift(source)
        is_layered = options.adapter is not None
        config = CheckpointConfig(
            info=_info(options, size_step, autoencoder.temporal_factor),
            latent_normalization=_no_normalization(options, autoencoder.latent_channels),
            timesteps="whole",
            text_encoder="umt5",
            text_padding="masked" if is_layered else "attended",
            shift=shift,
            noise_levels="layert2v" if is_original or is_layered else "diffusers",
            untrained=not is_layered,
        )
        return write_index(config, partial)


# Where diffusers keeps the parts that are taken over as they are, and where we do.
_PARTS = {"vae": "autoencoder", "text_encoder": "text_encoder", "tokenizer": "tokenizer"}


@contextmanager
def _whole_or_nothing(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``out`` if the block ends well, and is removed otherwise."""
    partial = out.with_name(f"{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)  # what an interrupted conversion left
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rmdir()  # empty, as the command line checked
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require(path: Path) -> Path:
    if not path.exists():
        raise ModelNotFound(
            f"There is no {path}.", "Name a folder of Wan2.1 T2V as it was downloaded, whole."
        )
    return path


def _check_versions(
    source: Path, transformer: LayeredWanTransformer3DModel, channels: int, text: Path
) -> None:
    """Raise BadCheckpoint where the parts of a folder are not of one version of Wan."""
    with raise_bad_checkpoint(f"The text encoder of {source}"):
        width = json.loads((text / "config.json").read_text())["d_model"]
    wanted = transformer.config
    for what, expected, found in (
        ("latents of {} channels, and its autoencoder makes {}", wanted.in_channels, channels),
        ("text of width {}, and its text encoder makes {}", wanted.text_dim, width),
    ):
        if expected != found:
            raise BadCheckpoint(
                f"{source} mixes versions: its transformer takes {what.format(expected, found)}.",
                "Use all parts of one download.",
            )


def _check_pipeline(source: Path) -> None:
    """Raise BadCheckpoint for a pipeline that is no text-to-video Wan with one transformer."""
    with raise_bad_checkpoint(f"The index of {source}"):
        index = json.loads((source / "model_index.json").read_text())
        kind, second = index.get("_class_name"), index.get("transformer_2") or [None]
    if kind != "WanPipeline" or second[0] is not None:
        what = "has two transformers" if kind == "WanPipeline" else f"is a {kind}"
        raise BadCheckpoint(
            f"{source} {what}; a model is made of a WanPipeline with one.",
            "Use Wan2.1 T2V 1.3B or 14B, or Wan2.2 TI2V 5B.",
        )


def _read_shift(source: Path) -> float:
    with raise_bad_checkpoint(f"The scheduler of {source}"):
        settings = json.loads((source / "scheduler" / "scheduler_config.json").read_text())
        return float(settings.get("flow_shift") or settings.get("shift") or 1.0)


def _role_names(options: WanModelOptions) -> tuple[str, ...]:
    """Return the LayerAdaLN rows: those the authors trained, or one a role and later foreground."""
    if options.adapter is not None:
        return ROLE_NAMES
    roles = [r for r in StreamRole if options.shadows or r is not StreamRole.shadow]
    later = [
        f"{role}_{number:02d}"
        for number in range(2, options.foregrounds + 1)
        for role in FOREGROUND_ROLES
        if role in roles
    ]
    return (*(role.value for role in roles), *later)


def _load_transformer(
    source: Path, options: WanModelOptions, is_original: bool
) -> LayeredWanTransformer3DModel:
    names = _role_names(options)
    if is_original:
        model = import_transformer(source, roles=names, rope_4d=options.rope_4d)
    else:
        folder = _require(source / "transformer")
        model = load_transformer(
            folder,
            dtype=working_dtype(folder, CPU),
            roles=names,
            rope_dims=ROPE_4D if options.rope_4d else None,
        )
    if model.config.image_dim is not None or model.config.in_channels != model.config.out_channels:
        raise BadCheckpoint(
            f"{source} makes videos from images ({model.config.in_channels} channels in).",
            "Use a text-to-video model.",
        )
    if options.adapter is None:
        return model
    replaced = read_ema(options.adapter, _read_pickle) if options.ema else None
    state = merge_adapter(model.state_dict(), options.adapter, diffusers_name, replaced)
    with raise_bad_checkpoint(f"The adapter in {options.adapter}"):
        model.load_state_dict(state)
    return model


def _write_original_parts(source: Path, out: Path) -> None:
    """Write autoencoder, text encoder and tokenizer from the files of Wan's own code."""
    vae = _read_pickle(_require(source / ORIGINAL_VAE))
    with raise_bad_checkpoint(f"The autoencoder of {source}"):
        config = {
            "dim": vae["encoder.conv1.weight"].shape[0],
            "z_dim": vae["conv2.weight"].shape[0],
            "dim_mult": (1, 2, 4, 4),
            "num_res_blocks": 2,
            "attn_scales": (),
            "temperal_downsample": (False, True, True),
        }
        convert_autoencoder(vae, config).save_pretrained(out / "autoencoder")
    state = _read_pickle(_require(source / ORIGINAL_TEXT_ENCODER))
    with raise_bad_checkpoint(f"The text encoder of {source}"):
        settings, weights = convert_text_encoder(state)
        with torch.device("meta"):
            encoder = UMT5EncoderModel(UMT5Config(**settings))
        encoder.load_state_dict(weights, assign=True)
        encoder.save_pretrained(out / "text_encoder")
    link_folder(_require(source / ORIGINAL_TOKENIZER), out / "tokenizer")


def _check_mask_files(adapter: Path) -> None:
    for name in UNKNOWN_MASK_FILES:
        if (adapter / name).exists():
            raise BadCheckpoint(
                f"{adapter} was trained with a mask mode that this engine does not offer ({name}).",
                "Train with the mask mode vae-lora, which the paper uses, or vae.",
            )


def _write_matte(adapter: Path, out: Path) -> None:
    """Write the authors' adaptation to mattes; without its file they use the plain decoder."""
    if not (adapter / MASK_LORA).is_file():
        return
    saved = _read_pickle(adapter / MASK_LORA)
    with raise_bad_checkpoint(f"The adaptation to mattes in {adapter / MASK_LORA}"):
        config = saved["config"]
        scale = config["lora_alpha"] / config["lora_rank"]
        convert_matte_projection(saved["project_in"], config).save_pretrained(out)
        save_file(convert_matte_lora(saved["decoder_lora"], scale), out / DECODER_LORA)


def _read_pickle(path: Path) -> Mapping[str, Any]:
    """Return what torch saved in a file, if it is made of tensors and plain values alone."""
    with raise_bad_checkpoint(str(path)):
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # pickle raises what it likes
            raise ValueError(f"it is damaged, or holds more than tensors ({error})") from error
        if not isinstance(found, Mapping):
            raise TypeError("it holds no tensors by name")
    return found


def _info(options: WanModelOptions, size_step: int, frames_step: int) -> ModelInfo:
    has_shadows = options.shadows and options.adapter is None
    return ModelInfo(
        name=options.name,
        title=options.title,
        digest="",
        width_range=(4 * size_step, 1280),
        height_range=(4 * size_step, 1280),
        size_step=size_step,
        frames_range=(1, 81),
        frames_step=frames_step,
        max_foregrounds=options.foregrounds,
        default_width=832,
        default_height=480,
        default_frames=81,
        default_fps=16.0,
        default_steps=50,
        default_guidance=5.0,
        steps_range=(1, 200),
        guidance_range=(1.0, 15.0),
        abilities=("generate",) if has_shadows else ("generate", NO_SHADOWS),
        colorspaces=COLORSPACES,
    )


def _no_normalization(options: WanModelOptions, channels: int) -> dict[str, LatentNormalization]:
    """Return statistics that change nothing: Wan's autoencoder normalizes its latents itself."""
    identity = LatentNormalization(latents_mean=(0.0,) * channels, latents_std=(1.0,) * channels)
    plain = WanModelOptions(name="", title="", shadows=options.shadows, adapter=options.adapter)
    return dict.fromkeys(_role_names(plain), identity)
