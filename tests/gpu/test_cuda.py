from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fakes.tiny_model import write_tiny_model
from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.devices import mixed_precision
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.matte import MatteProjection
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.training.config import load_config
from layert2v_engine.training.joint_stage import JointStage, new_transformer, run_joint
from layert2v_engine.training.stages import AutoencoderStage, run_autoencoder, run_matte

MINI_V1 = Path("engine/layert2v_engine/training/mini_v1")
SPEC = GenerateSpec(prompt="a fox in a forest at night", model="mini", seed=1)
pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here; these tests need one")
    return torch.device("cuda")


def drawn(folder: Path, device: str) -> tuple[Tensor, Tensor]:
    """Latents and pictures [T, H, W] of one request."""
    pipeline = LayeredPipeline.from_pretrained(folder / "mini", device=device)
    spec = resolve(SPEC, pipeline.info, 1)
    latents = pipeline.sample(spec, pipeline.plan(spec))
    groups = [group.cpu() for group in pipeline.decode(latents, 1)]
    return latents.float().cpu(), torch.cat([g.composite[0].mean(0) for g in groups])


def error(given: Tensor, wanted: Tensor) -> float:
    """Relative error."""
    return float((given.float() - wanted.float()).norm() / wanted.float().norm())


def test_a_generation_equals_the_cpus(cuda: torch.device, tmp_path: Path) -> None:
    models = write_tiny_model(tmp_path)
    latents, pictures = drawn(models, "cuda")
    wanted_latents, wanted_pictures = drawn(models, "cpu")
    assert error(latents, wanted_latents) < 0.03  # bfloat16 weights, three steps
    assert float((pictures - wanted_pictures).abs().max()) < 0.05


def test_a_stack_is_delivered_from_the_gpu(cuda: torch.device, tmp_path: Path) -> None:
    pytest.importorskip("OpenImageIO")  # writes the files; not every GPU machine has it
    from layert2v_engine.engine import Engine

    engine = Engine(write_tiny_model(tmp_path / "models"), "cuda")
    stack = engine.generate(SPEC, tmp_path / "fox", report=lambda _: None, cancelled=lambda: False)
    assert [layer.name for layer in stack.layers] == ["bg", "shadow_01", "fg_01"]


def test_every_stage_takes_a_step_and_goes_on(cuda: torch.device, tmp_path: Path) -> None:
    write_clips(tmp_path)
    run_autoencoder(tmp_path, AUTOENCODER, None, cuda)
    run_matte(tmp_path, MATTE, None, cuda)
    run_joint(tmp_path, JOINT, None, cuda)
    (tmp_path / "joint_clips" / "average.safetensors").unlink()
    run_joint(tmp_path, JOINT, 0.5, cuda)  # from the state that is left
    assert (tmp_path / "joint_clips" / "average.safetensors").exists()


def layers() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Every kind and shape of layer that Mini v1 multiplies in bfloat16, with an input shape."""
    joint = load_config(JointStage, "joint", MINI_V1)
    first = load_config(AutoencoderStage, "autoencoder", MINI_V1)
    autoencoder = PatchAutoencoder(**first.autoencoder)
    channels = autoencoder.latent_channels
    networks = {
        "transformer": new_transformer(joint, channels),
        "autoencoder": autoencoder,
        "projection": MatteProjection(channels),
    }
    seen = set()
    for network, root in networks.items():
        for name, module in root.named_modules():
            shape = input_shape(module)
            if shape is not None and (repr(module), shape) not in seen:
                seen.add((repr(module), shape))
                yield f"{network}.{name}", module, shape


def input_shape(module: nn.Module) -> tuple[int, ...] | None:
    if isinstance(module, nn.Linear):
        return 64, module.in_features
    if isinstance(module, nn.Conv2d):
        return 4, module.in_channels, 12, 16
    if isinstance(module, nn.Conv3d):
        return 4, module.in_channels, 3, 12, 16
    return None


def gradients(module: nn.Module, x: Tensor, device: torch.device, half: bool) -> list[Tensor]:
    """Output and gradients of input and weights of a layer, after the same random projection."""
    x = x.to(device).requires_grad_()
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        out = module(x)
    rng = torch.Generator().manual_seed(2)
    (out.float() * torch.randn(out.shape, generator=rng).to(device)).sum().backward()
    found = [out.detach(), x.grad, *(p.grad for p in module.parameters())]
    module.zero_grad()
    return [g.float().cpu() for g in found if g is not None]


def worst_layer(device: torch.device) -> tuple[float, str]:
    """The largest relative error of bfloat16 against float32, and where."""
    worst = (0.0, "")
    torch.manual_seed(0)
    for name, module, shape in layers():
        layer = module.to(device).float()
        for parameter in layer.parameters():  # zeros would hide everything
            nn.init.normal_(parameter, std=0.05)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        pairs = zip(
            gradients(layer, x, device, True), gradients(layer, x, device, False), strict=True
        )
        worst = max(worst, (max(error(half, whole) for half, whole in pairs), name))
    return worst


def test_layers_are_right_in_bfloat16(cuda: torch.device) -> None:
    found, name = worst_layer(cuda)
    assert found < 0.02, name
    assert mixed_precision(cuda).fast_dtype is torch.bfloat16
