"""What a run switches on to be faster: attention backends, compiled blocks, skipped blocks.

Attention and compiling compute the same up to rounding; attention is checked against plain matrix
products before it is used. Skipping blocks and predicting steps change the pixels and are never
switched on unasked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from layert2v_engine.errors import BadConfig, BadDevice
from layert2v_engine.model.diffusers_classes import AttentionBackendName, dispatch_attention_fn
from layert2v_engine.model.parallel import Parallelism, check_parallelism
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
    parallel: how the processes of this run's group share it; None for a process alone.
    skip: leave out all blocks but the first in a step at which that one changes its input by less
        than this share; 0 for never. 0.05 to 0.2 are usual.
    predict: compute the network at every so-manieth step, and carry its output on in a line between
        those (TaylorSeer, arXiv 2503.06923); 0 for at every step. 2 to 4 are usual.
    """

    attention: str = ""
    compile: bool = False
    skip: float = 0.0
    predict: int = 0
    parallel: Parallelism | None = None

    def __post_init__(self) -> None:
        known = [name.value for name in AttentionBackendName]
        if self.attention and self.attention not in known:
            raise BadConfig(
                f"There is no attention backend {self.attention!r}.",
                f"diffusers knows {', '.join(known)}.",
            )
        if not 0 <= self.skip < 1:
            raise BadConfig(f"A share of {self.skip:g} cannot be.", "Give 0 to 1, such as 0.1.")
        if self.predict and (self.predict < 2 or self.skip):
            raise BadConfig(
                f"One step in {self.predict} cannot be computed, nor blocks be skipped beside it.",
                "Give --predict-steps 2 or more, and leave out --skip-blocks.",
            )
        if self.parallel and (self.compile or self.skip or self.predict):
            raise BadConfig(
                "A run in several processes is neither compiled nor skips blocks or steps.",
                "Leave out --compile, --skip-blocks and --predict-steps, or --parallel.",
            )


def apply_speed_options(
    model: LayeredWanTransformer3DModel, device: torch.device, options: SpeedOptions
) -> None:
    """Switch the options on for a transformer that computes on a device.

    Raises BadDevice for an attention backend that is not there or computes something else, and
    BadConfig where the processes there are cannot share a run.
    """
    if options.parallel is not None:
        check_parallelism(options.parallel, model.config.num_attention_heads)
        if options.parallel is not Parallelism.guidance:
            model.share_tokens(options.parallel)
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
    if options.predict:
        from diffusers import TaylorSeerCacheConfig

        model.enable_cache(
            TaylorSeerCacheConfig(
                cache_interval=options.predict,
                taylor_factors_dtype=torch.float32,
                use_lite_mode=True,  # of the output alone: that of every block is tens of GB
            )
        )
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
            f"The attention backend {backend} does not run on {device}: {str(error).rstrip('.')}.",
            "Leave the option out, or install its package.",
        ) from error
    query, key, value = (each.float().transpose(1, 2) for each in tensors)
    scores = (query @ key.transpose(2, 3)) * query.shape[-1] ** -0.5
    exact = (scores.softmax(-1) @ value).transpose(1, 2)
    difference = (found.float() - exact).square().mean().sqrt()
    return float(difference / exact.square().mean().sqrt())
