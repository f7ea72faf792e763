"""Where phases of the transformer leave their averaged weights, and networks made of those.

A phase that trains low-rank updates leaves whole weights too, with the updates merged: what comes
after it need not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadConfig
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.model.checkpoint import load_transformer
from layert2v_engine.model.components import load_autoencoder
from layert2v_engine.model.lora import (
    DOWN,
    UP,
    LoRALinear,
    add_transformer_lora,
    merge_weights,
    plain_names,
)
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.training import data_parallel, sharding
from layert2v_engine.training.init_from_checkpoint import (
    START,
    network_settings,
    trains_shadows,
)
from layert2v_engine.training.network import (
    expand_roles,
    foregrounds_of,
    new_transformer,
    role_names,
)
from layert2v_engine.training.stages import require_stage
from layert2v_engine.training.training_state import STATE

ADAPTER = "lora.safetensors"
_BASE = "base.json"  # what the updates of a phase belong to


@dataclass(frozen=True, kw_only=True, slots=True)
class LoRAConfig:
    """Low-rank updates of the blocks in place of all weights; LayerAdaLN is trained with them.

    rank: 0 trains all weights. targets: ends of the names of linear layers.
    """

    rank: int = 0
    alpha: float = 0.0  # 0: the rank, so that updates count as they are
    targets: tuple[str, ...] = (
        *("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"),
        *("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0"),
        *("ffn.net.0.proj", "ffn.net.2"),
    )

    @property
    def scale(self) -> float:
        """What the product of both matrices is multiplied by."""
        return (self.alpha or self.rank) / max(1, self.rank)


def ema_path(run: Path, phase: str) -> Path:
    """Return where a finished phase leaves its averaged weights."""
    return run / f"joint_{phase}" / "average.safetensors"


def load_ema(run: Path, phase: str) -> dict[str, Tensor]:
    """Return the averaged weights of a phase, finished or not."""
    path = ema_path(run, phase)
    if path.exists():
        return load_tensors(path)
    averages = sharding.read_averages(path.parent)
    if not averages:
        state = load_tensors(require_stage(path.with_name(STATE), "joint"))
        averages = {
            name.removeprefix("average."): tensor
            for name, tensor in state.items()
            if name.startswith("average.")
        }
    base = path.with_name(_BASE)
    if not base.exists():
        return averages
    record = json.loads(base.read_text())
    shadows = trains_shadows(run)
    count = foregrounds_of(len(averages["layer_modulation"]), shadows=shadows)
    names = role_names(count, shadows=shadows)
    return merge_weights(_load_weights(run, record["phase"], names), averages, record["scale"])


def load_network(
    run: Path, settings: Mapping[str, Any], foregrounds: int, finished: Sequence[str]
) -> LayeredWanTransformer3DModel:
    """Return the transformer with the weights of the last of ``finished`` phases, the start or new.

    settings: those of a new one. It has LayerAdaLN rows for so many ``foregrounds`` at least.
    """
    autoencoder = load_autoencoder(require_stage(run / "autoencoder" / "model", "autoencoder"), CPU)
    weights = _load_weights(run, finished[-1] if finished else "")
    arguments = network_settings(run, dict(settings))
    rows = len(weights["layer_modulation"]) if weights else 0
    shadows = trains_shadows(run)
    names = role_names(max(foregrounds, foregrounds_of(rows, shadows=shadows)), shadows=shadows)
    model = new_transformer(arguments, autoencoder.latent_channels, names)
    if weights:
        table = expand_roles(weights, names, shadows=shadows)
        model.load_state_dict(weights | {"layer_modulation": table})
    return model


def prepare_network(
    run: Path,
    phase: str,
    model: LayeredWanTransformer3DModel,
    config: LoRAConfig,
    finished: Sequence[str],
) -> None:
    """Give a network the updates that a phase trains, if it trains any, in place.

    Raises BadConfig for layers that the network does not have.
    """
    if not config.rank:
        return
    try:
        add_transformer_lora(
            model, config.targets, rank=config.rank, alpha=config.alpha or config.rank
        )
    except ValueError as error:
        raise BadConfig(
            f"No layer of the transformer is called {error}.",
            "Correct lora.targets, such as attn1.to_q.",
        ) from error
    model.layer_modulation.requires_grad_(True)
    _hold_in_bfloat16(model)
    if data_parallel.rank() == 0:
        path = ema_path(run, phase).with_name(_BASE)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"phase": finished[-1] if finished else "", "scale": config.scale}
        path.write_text(json.dumps(record))


def save_weights(model: nn.Module, path: Path, config: LoRAConfig) -> None:
    """Write the weights of a network, updates merged, and those alone as diffusers names them.

    All processes must call it; the first one writes.
    """
    state = sharding.gather_state(model)
    if data_parallel.rank() == 0:
        trained = {n: p for n, p in state.items() if n.endswith((DOWN, UP))}
        if trained:
            names = {
                n.replace(DOWN, ".lora_A.weight").replace(UP, ".lora_B.weight"): n for n in trained
            }
            adapter = {new: trained[old].cpu().contiguous() for new, old in names.items()}
            about = {"rank": str(config.rank), "alpha": str(config.alpha or config.rank)}
            with atomic_write(path.with_name(ADAPTER)) as temporary:
                save_file(adapter, temporary, about)
        merged = merge_weights(plain_names(state), trained, config.scale)
        with atomic_write(path) as temporary:
            whole = {n: p.detach().cpu().float().contiguous() for n, p in merged.items()}
            save_file(whole, temporary)
    data_parallel.wait_for_all()


def _load_weights(run: Path, phase: str, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return the weights of a finished phase, the start's if it has no name, or none.

    names: the LayerAdaLN rows that are wanted; all that there are if empty.
    """
    if phase:
        weights = load_tensors(ema_path(run, phase))
    elif (run / START).exists():
        weights = load_transformer(run / START / "transformer").state_dict()
    else:
        return {}
    if names:
        weights["layer_modulation"] = expand_roles(weights, names, shadows=trains_shadows(run))
    return weights


def _hold_in_bfloat16(model: nn.Module) -> None:
    """Hold frozen matrices in half the memory where they lose nothing, as Wan's are stored.

    Training multiplies in bfloat16 anyway.
    """
    for module in model.modules():
        if isinstance(module, LoRALinear):
            tensors = [each.detach() for each in module.base.parameters()]
            if all(torch.equal(each.bfloat16().float(), each) for each in tensors):
                module.base.bfloat16()
