"""The engine starts without the models of diffusers that it does not use."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
import layert2v_engine.pipeline
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan, WanTransformer3DModel

packages = ("diffusers.hooks", "diffusers.models.transformers", "scipy.stats")
assert not [name for name in packages if name in sys.modules]
assert "diffusers.models.transformers.transformer_flux" not in sys.modules

import diffusers
from diffusers import AutoencoderKL, FluxTransformer2DModel
from diffusers.hooks import HookRegistry
from scipy.stats import norm

assert diffusers.AutoencoderKLWan is AutoencoderKLWan
assert diffusers.WanTransformer3DModel is WanTransformer3DModel
assert AutoencoderKL and FluxTransformer2DModel and HookRegistry and norm
"""


def test_unused_packages_are_imported_only_when_asked_for() -> None:
    """In a process of its own, since the others have them all."""
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True)
