"""The classes of diffusers that the engine builds on, without the rest of its models.

A module of diffusers imports its whole package first: every transformer, autoencoder and hook there
is, and readers of other people's files with transformers' image processors, peft, scipy and torch's
compiler. That is most of the seconds before a short generation starts. Here such packages are
passed over while the few modules that matter are imported; whoever imports one later gets all of
it, with these same classes. docs/decisions/0003-start-without-what-is-not-called.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Only their submodules are wanted.
_PASSED_OVER = (
    "diffusers.hooks",
    "diffusers.models.autoencoders",
    "diffusers.models.transformers",
    "diffusers.models.unets",
)
# Only functions are imported from them, and none is called before somebody loads a LoRA, reads a
# single file, offloads groups or asks Amazon.
_CALLED_LATER = (
    "diffusers.hooks.group_offloading",
    "diffusers.loaders.lora_base",
    "diffusers.loaders.single_file_utils",
    "boto3",  # of accelerate
)
_ABSENT = ("torch._dynamo",)  # diffusers marks blocks for the compiler where there is one


class _CalledLater(ModuleType):
    """A module of functions, each of which imports the real module when it is called."""

    def __getattr__(self, attribute: str) -> Callable[..., Any]:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        module = self.__name__

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(module), attribute)(*args, **kwargs)

        return call


def _stand_in(name: str) -> ModuleType | None:
    """Return what takes the place of a module, None where it cannot be imported."""
    spec = None if name in _ABSENT else importlib.util.find_spec(name)
    if spec is None:
        return None
    if name not in _CALLED_LATER:
        return importlib.util.module_from_spec(spec)
    module = _CalledLater(name)
    module.__spec__ = spec
    return module


@contextmanager
def _pass_over(names: tuple[str, ...]) -> Iterator[None]:
    """Let modules be imported without running the code of the packages and modules ``names``.

    One that is imported already stays as it is.
    """
    skipped = [name for name in names if name not in sys.modules]
    for name in skipped:
        sys.modules[name] = _stand_in(name)  # type: ignore[assignment]  # None: cannot be imported
    try:
        yield
    finally:
        for name in skipped:
            del sys.modules[name]


with _pass_over(_ABSENT + _PASSED_OVER + _CALLED_LATER):
    import diffusers
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
    from diffusers.utils import logging as diffusers_logging

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
    "diffusers",
    "diffusers_logging",
    "dispatch_attention_fn",
    "register_to_config",
    "unpatchify",
]
