"""Weights as LayerT2V's and Wan's own code write them: key names, configuration, trained adapters.

Knows the layout of commit 4ff6cbf of the authors' code and of Wan 2.1, which it builds on. Folders
in diffusers' layout are read by ``model.checkpoint``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor

from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.checkpoint import cast_weights
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.model.matte_adapter import WanMatteProjection
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.tensor_file import load_tensors

# The rows of the authors' LayerAdaLN, in the order they serialise their four streams.
ROLES = (StreamRole.composite, StreamRole.background, StreamRole.foreground, StreamRole.matte)
ROLE_NAMES = tuple(role.value for role in ROLES)
# Head dimensions (stream, time, height, width) of their 4D positions where the file names none.
ROPE_4D = (8, 42, 40, 38)
_SETTINGS = ("dim", "num_heads", "in_dim", "out_dim", "freq_dim", "ffn_dim", "num_layers", "eps")
_WHOLE_BASE = "Name the folder of Wan's weights as it was downloaded."
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


_TEXT_NAMES = (
    (r"^token_embedding\.", "shared."),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.", "encoder.block."),
    (r"\.norm1\.", ".layer.0.layer_norm."),
    (r"\.attn\.", ".layer.0.SelfAttention."),
    (r"\.pos_embedding\.embedding\.", ".layer.0.SelfAttention.relative_attention_bias."),
    (r"\.norm2\.", ".layer.1.layer_norm."),
    (r"\.ffn\.gate\.0\.", ".layer.1.DenseReluDense.wi_0."),
    (r"\.ffn\.fc1\.", ".layer.1.DenseReluDense.wi_1."),
    (r"\.ffn\.fc2\.", ".layer.1.DenseReluDense.wo."),
)
_EMA_ORDER = ("text_embedding", "time_embedding", "time_projection", "blocks", "head")
_EMA_BLOCK = (
    *(f"self_attn.{part}" for part in "qkvo"),
    *(f"cross_attn.{part}" for part in "qkvo"),
    "ffn.0",
    "ffn.2",
)
EmaReader = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def diffusers_name(name: str) -> str:
    """Return the name of the authors' parameter in ``LayeredWanTransformer3DModel``."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def convert_transformer(
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    roles: Sequence[str] = ROLE_NAMES,
    rope_4d: bool | None = None,
) -> LayeredWanTransformer3DModel:
    """Return a layered transformer from weights under the authors' names and their config.json.

    Flat Wan weights, which have no LayerAdaLN, get a zero one. roles: the names of its rows.
    rope_4d: positions of streams, if not as the configuration says. Raises BadCheckpoint when
    weights and configuration do not fit.
    """
    if unsaid := [key for key in _SETTINGS if key not in config]:
        raise BadCheckpoint(f"config.json does not say {', '.join(unsaid)}.", _WHOLE_BASE)
    dim, heads = config["dim"], config["num_heads"]
    has_stream_axis = config.get("use_4d_rope") if rope_4d is None else rope_4d
    rope = (config.get("rope_dim_ratios") or ROPE_4D) if has_stream_axis else None
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
        roles=list(roles),
        rope_dims=None if rope is None else list(rope),
    )
    ours = {diffusers_name(name): tensor for name, tensor in state.items()}
    weight = ours.get("blocks.0.attn1.to_q.weight")
    if weight is not None:
        cast_weights(model, weight.dtype)
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


def merge_adapter(
    state: Mapping[str, Tensor],
    folder: Path,
    rename: Callable[[str], str] = str,
    averaged: EmaReader | None = None,
) -> dict[str, Tensor]:
    """Return weights with a trained adapter folder (PEFT) merged in.

    W + scale * B A for each low-rank pair; whole tensors (LayerAdaLN) replace those of ``state``.
    rename: from the authors' names to those of ``state``. averaged: gives the tensors to take in
    place of the adapter's own, of which it is told. Raises ModelNotFound, BadCheckpoint.
    """
    scale = _adapter_scale(_read_json(folder / "adapter_config.json"))
    adapter = {
        key.removeprefix(PEFT_PREFIX): tensor
        for key, tensor in _read_tensors(folder / "adapter_model.safetensors").items()
    }
    if averaged is not None:
        adapter = averaged(adapter)
    merged = dict(state)
    for key, tensor in adapter.items():
        if key.endswith(".lora_A.weight"):
            target = rename(key.removesuffix("lora_A.weight") + "weight")
            up = adapter.get(key.replace(".lora_A.", ".lora_B."))
            if up is None or target not in merged:
                raise BadCheckpoint(f"The adapter's {key} has nothing to be added to.")
            weight, update = merged[target], scale * (up.float() @ tensor.float())
            if update.shape != weight.shape:
                raise BadCheckpoint(
                    f"The adapter's {key} is for {tuple(update.shape)}, but the base has "
                    f"{tuple(weight.shape)}.",
                    "Name the base model that the adapter was trained on.",
                )
            merged[target] = (weight.float() + update).to(weight)
        elif not key.endswith(".lora_B.weight"):
            merged[rename(key)] = tensor
    return merged


def order_of_ema(name: str) -> tuple[int, ...]:
    """Return where a low-rank pair comes in the authors' list of averaged tensors."""
    parts = name.split(".")
    first = _EMA_ORDER.index(parts[0])
    if parts[0] != "blocks":
        return (first, *(int(part) for part in parts[1:] if part.isdigit()))
    module = ".".join(parts[2:4])
    return (first, int(parts[1]), _EMA_BLOCK.index(module))


def read_ema(folder: Path, read_pickle: Callable[[Path], Mapping[str, Any]]) -> EmaReader:
    """Return what replaces the tensors of an adapter by their averages in ``ema/ema_model.pt``.

    The file is a list in the order of the network's parameters: the pairs A, B, then LayerAdaLN
    twice, of which the first was never trained. Raises BadCheckpoint where the two do not fit.
    """
    path = folder / "ema" / "ema_model.pt"
    if not path.is_file():
        raise ModelNotFound(f"There is no {path}.", "Leave out --ema.")
    tensors = list(read_pickle(path).get("shadow_params", ()))

    def replace(adapter: Mapping[str, Tensor]) -> dict[str, Tensor]:
        suffix = ".lora_A.weight"
        modules = [key.removesuffix(suffix) for key in adapter if key.endswith(suffix)]
        names = [
            f"{module}.lora_{side}.weight"
            for module in sorted(modules, key=order_of_ema)
            for side in "AB"
        ]
        whole = [key for key in adapter if ".lora_" not in key]
        averages = dict(zip(names, tensors, strict=False))
        if whole:
            averages |= dict(zip(whole, tensors[len(names) + 1 :], strict=False))
        fits = averages.keys() == adapter.keys() and all(
            averages[key].shape == tensor.shape for key, tensor in adapter.items()
        )
        if not fits:
            raise BadCheckpoint(
                f"The {len(tensors)} averaged tensors of {path} are not those of the adapter, "
                f"which has {len(adapter)}.",
                "Convert without --ema.",
            )
        return averages

    return replace


def convert_text_encoder(
    state: Mapping[str, Tensor],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return settings and weights of ``UMT5EncoderModel`` from those of Wan's own code."""
    weights: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, replacement in _TEXT_NAMES:
            name = re.sub(pattern, replacement, name)
        weights[name] = tensor
    weights["encoder.embed_tokens.weight"] = weights["shared.weight"]
    first = "encoder.block.0.layer."
    heads = weights[f"{first}0.SelfAttention.relative_attention_bias.weight"].shape[1]
    blocks = {name.split(".")[2] for name in weights if name.startswith("encoder.block.")}
    settings = {
        "vocab_size": len(weights["shared.weight"]),
        "d_model": weights["shared.weight"].shape[1],
        "d_ff": len(weights[f"{first}1.DenseReluDense.wi_0.weight"]),
        "d_kv": len(weights[f"{first}0.SelfAttention.q.weight"]) // heads,
        "num_heads": heads,
        "num_layers": len(blocks),
        "feed_forward_proj": "gated-gelu",
    }
    return settings, weights


def import_transformer(
    base: Path, adapter: Path | None = None, **options: Any
) -> LayeredWanTransformer3DModel:
    """Load a layered transformer from a base folder as Wan's code keeps it, and an adapter.

    base: holds config.json and safetensors under Wan's names. options: those of
    ``convert_transformer``. Raises ModelNotFound, BadCheckpoint.
    """
    state: dict[str, Tensor] = {}
    for path in sorted(base.glob("*.safetensors")):
        state |= _read_tensors(path)
    config = _read_json(base / "config.json")
    if adapter is not None:
        state = merge_adapter(state, adapter)
    return convert_transformer(state, config, **options)


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
    return load_tensors(path)
