"""Low-rank updates of others folded into a network's weights: LoRA and DoRA, exactly.

diffusers reads neither the names of VideoX-Fun nor those of Wan-Alpha, so the sums are done here,
in float32, once, when the network is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.recipes.networks import linear_layers, wan_name
from layert2v_engine.tensor_file import load_tensors

_PREFIXES = ("lora_unet__", "diffusion_model.", "base_model.model.", "transformer.", "pipe.dit.")
_ENDINGS = {
    ".lora_down.weight": "down",
    ".lora_A.weight": "down",
    ".lora_A.default.weight": "down",
    ".lora_up.weight": "up",
    ".lora_B.weight": "up",
    ".lora_B.default.weight": "up",
    ".alpha": "alpha",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
}


def read_update(path: Path) -> dict[str, Tensor]:
    """Read a file of updates. Raises BadCheckpoint."""
    try:
        return load_tensors(path)
    except (OSError, BadCheckpoint) as error:
        raise BadCheckpoint(
            f"{path} cannot be read, or is not whole.", "Get the file from its owner again."
        ) from error


@torch.no_grad()
def fold_updates(network: nn.Module, state: Mapping[str, Tensor], what: str) -> int:
    """Fold all updates of a file into the linear layers of a network; return how many.

    LoRA (Hu et al., 2021): ``W + alpha / rank * up @ down``, alpha being the rank where none is
    given. DoRA (Liu et al., ICML 2024): ``m * (W + up @ down) / |W + up @ down|``, norms of rows.
    Whole differences (``.diff``, ``.diff_b``) are added. Names are Wan's own, with dots or, as
    VideoX-Fun writes them, underscores. Raises BadCheckpoint where an update belongs to no layer,
    or to one of another size; then nothing is changed.
    """
    layers = linear_layers(network)
    by_key = {**layers, **{name.replace(".", "_"): layer for name, layer in layers.items()}}
    state, differences = _split_differences(state)
    targets = _difference_targets(network, differences, what)
    updates = _group(state, what)
    for name, parts in updates.items():
        if name not in by_key:
            raise BadCheckpoint(
                f"{what} updates {name}, which this network does not have.",
                "Take the one that was made for this network.",
            )
        _check_sizes(name, parts, by_key[name], what)
    for name, parts in updates.items():
        layer = by_key[name]
        layer.weight.copy_(_apply_update(layer.weight.float(), parts))
    for parameter, difference in targets:
        parameter.add_(difference.to(parameter))
    return len(updates)


def _split_differences(
    state: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return low-rank parts, and whole differences of weights and biases by parameter."""
    whole = {}
    for ending, kind in ((".diff", ".weight"), (".diff_b", ".bias")):
        for key, tensor in state.items():
            if key.endswith(ending):
                whole[_plain(key).removesuffix(ending) + kind] = tensor
    return {k: v for k, v in state.items() if not k.endswith((".diff", ".diff_b"))}, whole


def _difference_targets(
    network: nn.Module, differences: Mapping[str, Tensor], what: str
) -> list[tuple[nn.Parameter, Tensor]]:
    """Return the parameter of each whole difference. Raises BadCheckpoint."""
    own = {wan_name(name): parameter for name, parameter in network.named_parameters()}
    own |= {name.replace(".", "_"): parameter for name, parameter in own.items()}
    found = []
    for name, difference in differences.items():
        key = name if name in own else name.replace(".", "_")
        if key not in own or own[key].shape != difference.shape:
            raise BadCheckpoint(
                f"{what} changes {name}, which this network does not have in that size.",
                "Take the one that was made for this network.",
            )
        found.append((own[key], difference))
    return found


def _plain(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _group(state: Mapping[str, Tensor], what: str) -> dict[str, dict[str, Tensor]]:
    """Return the parts of each update by the name of its layer."""
    updates: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        name = _plain(key)
        ending = next((each for each in _ENDINGS if name.endswith(each)), None)
        if ending is None:
            raise BadCheckpoint(
                f"{what} has {key}, which is no part of a LoRA or DoRA.", "Take another file."
            )
        updates.setdefault(name.removesuffix(ending), {})[_ENDINGS[ending]] = tensor
    incomplete = next((n for n, parts in updates.items() if not {"up", "down"} <= {*parts}), None)
    if incomplete is not None or not updates:
        where = f"of {incomplete}" if incomplete else "at all"
        raise BadCheckpoint(f"{what} lacks the two matrices {where}.", "Take the whole file.")
    return updates


def _check_sizes(name: str, parts: Mapping[str, Tensor], layer: nn.Linear, what: str) -> None:
    up, down = parts["up"], parts["down"]
    rows, columns = layer.weight.shape
    fits = up.ndim == down.ndim == 2 and (up.shape[0], down.shape[1]) == (rows, columns)
    if "magnitude" in parts:
        fits = fits and parts["magnitude"].numel() == rows
    if not fits or up.shape[1] != down.shape[0]:
        raise BadCheckpoint(
            f"{what} is for a network of another width: {name} is {rows} x {columns}, its update "
            f"{up.shape[0]} x {down.shape[-1]}.",
            "Take the one that was made for this network.",
        )


def _apply_update(weight: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
    up, down = (parts[key].to(weight.device, torch.float32) for key in ("up", "down"))
    rank = down.shape[0]
    alpha = float(parts["alpha"]) if "alpha" in parts else 0.0
    moved = weight + ((alpha / rank) if alpha else 1.0) * (up @ down)
    if "magnitude" not in parts:
        return moved
    magnitude = parts["magnitude"].to(weight).reshape(-1, 1)
    return magnitude * moved / moved.norm(dim=1, keepdim=True)
