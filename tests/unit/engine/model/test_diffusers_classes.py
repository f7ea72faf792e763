"""The engine starts without the models of diffusers that it does not use."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
import layert2v_engine.engine
import layert2v_engine.pipeline
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan, WanTransformer3DModel

packages = ("diffusers.hooks", "diffusers.models.transformers", "scipy", "peft", "torch._dynamo")
packages += ("transformers.modeling_utils", "diffusers.schedulers", "boto3")
assert not [name for name in packages if name in sys.modules]
assert "diffusers.models.transformers.transformer_flux" not in sys.modules

import diffusers
from diffusers import AutoencoderKL, FluxTransformer2DModel
from diffusers.hooks import HookRegistry
from scipy.stats import norm

assert diffusers.AutoencoderKLWan is AutoencoderKLWan
assert diffusers.WanTransformer3DModel is WanTransformer3DModel
assert AutoencoderKL and FluxTransformer2DModel and HookRegistry and norm

from diffusers.loaders import PeftAdapterMixin, peft, single_file_model, single_file_utils

assert issubclass(WanTransformer3DModel, PeftAdapterMixin)
name = "convert_wan_vae_to_diffusers"
state = {"conv1.weight": 1}
later, real = (getattr(module, name) for module in (single_file_model, single_file_utils))
assert later is not real
assert later(dict(state)) == real(dict(state))
try:
    peft._fetch_state_dict()
except TypeError as error:
    assert "_fetch_state_dict() missing" in str(error)
"""


def test_unused_packages_are_imported_only_when_asked_for() -> None:
    """In a process of its own, since the others have them all."""
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True)
