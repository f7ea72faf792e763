"""What a run switches on to be faster: attention backends, compiled blocks, skipped blocks.

Attention and compiling compute the same up to rounding; attention is checked against plain matrix
products before it is used. Skipping blocks changes the pixels and is never switched on unasked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from layert2v_engine.errors import BadConfig, BadDevice
from layert2v_engine.model.diffusers_classes import AttentionBackendName, dispatch_attention_fn
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

# Largest root mean square of the error of a backend, relative to that of the result. Rounding to
# bfloat16 gives 0.002; a kernel that is wrong, or quantizes, gives more.
MAX_ATTENTION_ERROR = 0.01
_CHECKED = (2, 1024, 4, 128)  # batch, tokens, heads, numbers each


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedOptions:
    """What is switched on.

    attention: a backend of diffusers by its name, such as ``flash`` or ``_native_cudnn``; empty for
        torch's own choice.
    compile: compile the blocks of the transformer, once for each shape of request.
    skip: leave out all blocks but the first in a step at which that one changes its input by less
        than this share; 0 for never. 0.05 to 0.2 are usual.
    """

    attention: str = ""
    compile: bool = False
    skip: float = 0.0

    def __post_init__(self) -> None:
        known = [name.value for name in AttentionBackendName]
        if self.attention and self.attention not in known:
            raise BadConfig(
                f"There is no attention backend {self.attention!r}.",
                f"diffusers knows {', '.join(known)}.",
            )
        if not 0 <= self.skip < 1:
            raise BadConfig(f"A share of {self.skip:g} cannot be.", "Give 0 to 1, such as 0.1.")


def apply_speed_options(
    model: LayeredWanTransformer3DModel, device: torch.device, options: SpeedOptions
) -> None:
    """Switch the options on for a transformer that computes on a device.

    Raises BadDevice for an attention backend that is not there or computes something else.
    """
    if options.attention:
        dtype = torch.bfloat16 if device.type == "cuda" else model.dtype
        error = attention_error(options.attention, device, dtype)
        if not error <= MAX_ATTENTION_ERROR:
            raise BadDevice(
                f"The attention backend {options.attention} is off by {error:.1%} on {device}; "
                f"{MAX_ATTENTION_ERROR:.0%} is allowed.",
                "Leave the option out, or install another version of its package.",
            )
        model.set_attention_backend(options.attention)
    if options.skip:
        from diffusers import FirstBlockCacheConfig  # brings all caches with it

        model.enable_cache(FirstBlockCacheConfig(threshold=options.skip))
    if options.compile:
        model.compile_repeated_blocks(dynamic=False)


def attention_error(backend: str, device: torch.device, dtype: torch.dtype) -> float:
    """Return the error of a backend on random numbers, relative to plain matrix products.

    Raises BadDevice for one that cannot run here.
    """
    rng = torch.Generator().manual_seed(0)
    tensors = [torch.randn(_CHECKED, generator=rng).to(device, dtype) for _ in range(3)]
    try:
        found: Tensor = dispatch_attention_fn(*tensors, backend=AttentionBackendName(backend))
    except (RuntimeError, ImportError, ValueError, TypeError) as error:
        raise BadDevice(
            f"The attention backend {backend} does not run on {device}: {error}",
            "Leave the option out, or install its package.",
        ) from error
    query, key, value = (each.float().transpose(1, 2) for each in tensors)
    scores = (query @ key.transpose(2, 3)) * query.shape[-1] ** -0.5
    exact = (scores.softmax(-1) @ value).transpose(1, 2)
    difference = (found.float() - exact).square().mean().sqrt()
    return float(difference / exact.square().mean().sqrt())
