from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fakes.layer_check import relative_error, worst_layer
from fakes.tiny_model import write_tiny_model
from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.devices import mixed_precision
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.training.joint_stage import JointRun, run_joint
from layert2v_engine.training.stages import run_autoencoder, run_matte

SPEC = GenerateSpec(prompt="a fox in a forest at night", model="mini", seed=1)
pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here; these tests need one")
    return torch.device("cuda")


def generate(folder: Path, device: str) -> tuple[Tensor, Tensor]:
    """Return latents and images [T, H, W] of one request."""
    pipeline = LayeredPipeline.from_pretrained(folder / "mini", device=device)
    spec = resolve(SPEC, pipeline.info, 1)
    latents = pipeline.sample(spec, pipeline.plan(spec))
    groups = [group.cpu() for group in pipeline.decode(latents, 1)]
    return latents.float().cpu(), torch.cat([g.composite[0].mean(0) for g in groups])


def test_a_generation_equals_the_cpus(cuda: torch.device, tmp_path: Path) -> None:
    models = write_tiny_model(tmp_path)
    latents, images = generate(models, "cuda")
    expected_latents, expected_images = generate(models, "cpu")
    assert relative_error(latents, expected_latents) < 0.03  # bfloat16 weights, three steps
    assert float((images - expected_images).abs().max()) < 0.05


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
    run_joint(tmp_path, JOINT, JointRun(device=cuda))
    (tmp_path / "joint_clips" / "average.safetensors").unlink()
    run_joint(tmp_path, JOINT, JointRun(budget_s=0.5, device=cuda))  # from the state that is left
    assert (tmp_path / "joint_clips" / "average.safetensors").exists()


def test_layers_are_right_in_bfloat16(cuda: torch.device) -> None:
    error, name = worst_layer(cuda)
    assert error < 0.02, name
    assert mixed_precision(cuda).fast_dtype is torch.bfloat16
