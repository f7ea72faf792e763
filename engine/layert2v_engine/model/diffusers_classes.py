"""The classes of diffusers that the engine builds on, without the rest of its models.

A module of diffusers imports its whole package first: every transformer, autoencoder and hook there
is, and scipy's statistics. That is half of the seconds before a short generation starts. Here the
packages are passed over while the few modules that matter are imported; whoever imports a package
later gets all of it, with these same classes.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PASSED_OVER = (
    "diffusers.hooks",
    "diffusers.models.autoencoders",
    "diffusers.models.transformers",
    "diffusers.models.unets",
    "scipy.stats",  # of schedulers, which are our own
)


@contextmanager
def _pass_over(packages: tuple[str, ...]) -> Iterator[None]:
    """Let modules in ``packages`` be imported without running the packages' own code.

    A package that is imported already stays as it is.
    """
    skipped = []
    for name in packages:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is not None:
            sys.modules[name] = importlib.util.module_from_spec(spec)
            skipped.append(name)
    try:
        yield
    finally:
        for name in skipped:
            del sys.modules[name]


with _pass_over(_PASSED_OVER):
    from diffusers.configuration_utils import ConfigMixin, register_to_config
    from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
    from diffusers.models.autoencoders.autoencoder_kl_wan import (
        AutoencoderKLWan,
        WanAttentionBlock,
        WanCausalConv3d,
        WanResidualBlock,
        unpatchify,
    )
    from diffusers.models.modeling_outputs import Transformer2DModelOutput
    from diffusers.models.modeling_utils import ModelMixin
    from diffusers.models.transformers.transformer_wan import (
        WanTransformer3DModel,
        WanTransformerBlock,
    )

__all__ = [
    "AttentionBackendName",
    "AutoencoderKLWan",
    "ConfigMixin",
    "ModelMixin",
    "Transformer2DModelOutput",
    "WanAttentionBlock",
    "WanCausalConv3d",
    "WanResidualBlock",
    "WanTransformer3DModel",
    "WanTransformerBlock",
    "dispatch_attention_fn",
    "register_to_config",
    "unpatchify",
]
