"""Wan's own parameter names beside those of diffusers, for weights that others publish under them.

Knows names; a network of diffusers stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from layert2v_engine.errors import BadCheckpoint

_NAMES = (
    (r"^condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"^condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"^condition_embedder\.time_proj", "time_projection.1"),
    (r"^condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
    (r"^condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
    (r"^proj_out", "head.head"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"\.scale_shift_table$", ".modulation"),
    (r"^(vace_blocks\.\d+)\.proj_in", r"\1.before_proj"),
    (r"^(vace_blocks\.\d+)\.proj_out", r"\1.after_proj"),
    (r"\.attn2\.add_([kv])_proj", r".cross_attn.\1_img"),
    (r"\.attn2\.norm_added_k", ".cross_attn.norm_k_img"),
    (r"\.attn1\.to_out\.0", ".self_attn.o"),
    (r"\.attn2\.to_out\.0", ".cross_attn.o"),
    (r"\.attn1\.to_([qkv])", r".self_attn.\1"),
    (r"\.attn2\.to_([qkv])", r".cross_attn.\1"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.ffn\.net\.0\.proj", ".ffn.0"),
    (r"\.ffn\.net\.2", ".ffn.2"),
    (r"\.norm2\.", ".norm3."),  # last: no name that is made above holds it
)


def wan_name(name: str) -> str:
    """Return the name that Wan's own code gives a parameter or module of diffusers' network."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def linear_layers(network: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers of a network of diffusers by Wan's own names."""
    return {
        wan_name(name): module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }


def load_wan_weights(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load weights under Wan's own names into a network of diffusers. Raises BadCheckpoint."""
    own = network.state_dict()
    found = {name: state[wan_name(name)] for name in own if wan_name(name) in state}
    missing = [wan_name(name) for name in own if name not in found]
    if missing:
        raise BadCheckpoint(
            f"The weights of {what} are not those of this network: {missing[0]} is missing.",
            "Name the folder with the whole transformer of it.",
        )
    wrong = [name for name, tensor in found.items() if tensor.shape != own[name].shape]
    if wrong:
        name = wrong[0]
        raise BadCheckpoint(
            f"The weights of {what} are of another size: {wan_name(name)} has "
            f"{tuple(found[name].shape)}, not {tuple(own[name].shape)}.",
            "Take those that belong to this network.",
        )
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in found.items()})
