"""Weights as LayerT2V's and Wan's own code write them: key names, configuration, trained adapters.

Knows the layout of commit 4ff6cbf of the authors' code and of Wan 2.1, which it builds on. Folders
in diffusers' layout are read by ``model.checkpoint``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.matte_adapter import WanMatteProjection
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

# The rows of the authors' LayerAdaLN, in the order they serialise their four streams.
ROLES = (StreamRole.composite, StreamRole.background, StreamRole.foreground, StreamRole.matte)
# Head dimensions (stream, time, height, width) of their 4D positions where the file names none.
ROPE_4D = (8, 42, 40, 38)
PEFT_PREFIX = "base_model.model."

_PROJECTION_NAMES = (
    (r"^in_conv\.", "stem."),
    (r"^out_conv\.", "head."),
    (r"^blocks\.", "body."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
)

_NAMES = (
    (r"^layer_adaln\.layer_modulation$", "layer_modulation"),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
    (r"^head\.head\.", "proj_out."),
    (r"^head\.modulation$", "scale_shift_table"),
    (r"\.modulation$", ".scale_shift_table"),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"(\.attn\d)\.([qkv])\.", r"\1.to_\2."),
    (r"(\.attn\d)\.o\.", r"\1.to_out.0."),
    (r"\.norm3\.", ".norm2."),
    (r"\.ffn\.0\.", ".ffn.net.0.proj."),
    (r"\.ffn\.2\.", ".ffn.net.2."),
)


def diffusers_name(name: str) -> str:
    """Return the name of the authors' parameter in ``LayeredWanTransformer3DModel``."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def convert_transformer(
    state: Mapping[str, Tensor], config: Mapping[str, Any]
) -> LayeredWanTransformer3DModel:
    """Return a layered transformer from weights under the authors' names and their config.json.

    Flat Wan weights, which have no LayerAdaLN, get a zero one. Raises BadCheckpoint when weights
    and configuration do not fit.
    """
    dim, heads = config["dim"], config["num_heads"]
    rope = (config.get("rope_dim_ratios") or ROPE_4D) if config.get("use_4d_rope") else None
    model = LayeredWanTransformer3DModel(
        num_attention_heads=heads,
        attention_head_dim=dim // heads,
        in_channels=config["in_dim"],
        out_channels=config["out_dim"],
        text_dim=config.get("text_dim", 4096),
        freq_dim=config["freq_dim"],
        ffn_dim=config["ffn_dim"],
        num_layers=config["num_layers"],
        eps=config["eps"],
        roles=[role.value for role in ROLES],
        rope_dims=None if rope is None else list(rope),
    )
    ours = {diffusers_name(name): tensor for name, tensor in state.items()}
    try:
        result = model.load_state_dict(ours, strict=False)
    except RuntimeError as error:  # sizes that differ
        raise BadCheckpoint(f"Weights and config.json do not fit: {error}") from error
    missing = set(result.missing_keys) - {"layer_modulation"}
    if missing or result.unexpected_keys:
        names = ", ".join(sorted([*missing, *result.unexpected_keys])[:5])
        raise BadCheckpoint(
            f"The weights are not those of a layered Wan transformer: {names}, ...",
            "Name the folder of the base model or of the adapter that belongs to it.",
        )
    return model.eval()


def merge_adapter(state: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Return weights under the authors' names with a trained adapter folder (PEFT) merged in.

    W + scale * B A for each low-rank pair; whole tensors (LayerAdaLN) replace those of ``state``.
    Raises ModelNotFound, BadCheckpoint.
    """
    config = _read_json(folder / "adapter_config.json")
    scale = _adapter_scale(config)
    adapter = _read_tensors(folder / "adapter_model.safetensors")
    merged = dict(state)
    for key, tensor in adapter.items():
        name = key.removeprefix(PEFT_PREFIX)
        if name.endswith(".lora_A.weight"):
            target = name.removesuffix("lora_A.weight") + "weight"
            up = adapter.get(key.replace(".lora_A.", ".lora_B."))
            if up is None or target not in merged:
                raise BadCheckpoint(f"The adapter's {name} has nothing to be added to.")
            weight = merged[target]
            merged[target] = (weight.float() + scale * (up.float() @ tensor.float())).to(weight)
        elif not name.endswith(".lora_B.weight"):
            merged[name] = tensor
    return merged


def import_transformer(base: Path, adapter: Path | None = None) -> LayeredWanTransformer3DModel:
    """Load a layered transformer from a base folder as Wan's code keeps it, and an adapter.

    base: holds config.json and safetensors under Wan's names. Raises ModelNotFound, BadCheckpoint.
    """
    state: dict[str, Tensor] = {}
    for path in sorted(base.glob("*.safetensors")):
        state |= _read_tensors(path)
    config = _read_json(base / "config.json")
    if adapter is not None:
        state = merge_adapter(state, adapter)
    return convert_transformer(state, config)


def convert_autoencoder(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> AutoencoderKLWan:
    """Return Wan's autoencoder from weights under the authors' names. Raises BadCheckpoint."""
    autoencoder = AutoencoderKLWan(
        base_dim=config["dim"],
        z_dim=config["z_dim"],
        dim_mult=list(config["dim_mult"]),
        num_res_blocks=config["num_res_blocks"],
        attn_scales=list(config["attn_scales"]),
        temperal_downsample=list(config["temperal_downsample"]),
    )
    try:
        autoencoder.load_state_dict(convert_wan_vae_to_diffusers(dict(state)))
    except RuntimeError as error:
        raise BadCheckpoint(f"The autoencoder's weights do not fit: {error}") from error
    return autoencoder.eval()


def convert_matte_lora(lora: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Return the authors' update of the decoder for mattes as ``lora_state`` has updates.

    A causal convolution to few channels and a 1x1x1 one back. lora: under the authors' names, with
    ``model.`` in front. The result names convolutions of ``AutoencoderKLWan``.
    """
    state: dict[str, Tensor] = {}
    for key, down in lora.items():
        if not key.endswith(".lora_down.weight"):
            continue
        theirs = key.removeprefix("model.").replace("lora_down.", "")
        (ours,) = convert_wan_vae_to_diffusers({theirs: down})
        name = ours.removesuffix(".weight")
        state[f"{name}.down.weight"] = down.contiguous()
        state[f"{name}.up.weight"] = lora[key.replace("lora_down", "lora_up")].contiguous()
        state[f"{name}.scale"] = torch.tensor([scale])
    return state


def convert_matte_projection(
    state: Mapping[str, Tensor], config: Mapping[str, Any]
) -> WanMatteProjection:
    """Return the authors' projection of mattes. Raises BadCheckpoint.

    config: ``proj_hidden``, ``proj_res_blocks`` and ``proj_use_attention`` as they save them.
    """
    projection = WanMatteProjection(
        latent_channels=state["in_conv.weight"].shape[1],
        width=config["proj_hidden"],
        blocks=config["proj_res_blocks"],
        attention=config.get("proj_use_attention", True),
    )
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, replacement in _PROJECTION_NAMES:
            name = re.sub(pattern, replacement, name)
        ours[name] = tensor
    try:
        projection.load_state_dict(ours)
    except RuntimeError as error:
        raise BadCheckpoint(f"The weights of the mask projection do not fit: {error}") from error
    return projection.eval()


def _adapter_scale(config: Mapping[str, Any]) -> float:
    unsupported = [
        name
        for name in ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out")
        if config.get(name)
    ]
    if config.get("peft_type") != "LORA" or unsupported:
        kind = ", ".join(unsupported) or config.get("peft_type")
        raise BadCheckpoint(
            f"The adapter is not a plain LoRA: {kind}.",
            "Merge it with the program that trained it.",
        )
    rank = config["r"]
    return float(config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelNotFound(f"There is no {path}.", f"Name a folder that holds {path.name}.")
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelNotFound(f"There is no {path}.", f"Name a folder that holds {path.name}.")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise BadCheckpoint(f"{path} is damaged: {error}", "Copy it again.") from error
    return tensors
