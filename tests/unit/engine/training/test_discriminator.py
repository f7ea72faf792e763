from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.tiny_run import AUTOENCODER, noise_clips
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.training.autoencoder_phase import DecoderPhase, decode_groups, linear_frames
from layert2v_engine.training.chunks import ChunkConfig
from layert2v_engine.training.discriminator import (
    PatchDiscriminator,
    adversarial_loss,
    adversarial_weight,
)
from layert2v_engine.training.trainer import Trainer
from layert2v_engine.training.trainer_config import TrainerConfig


def phase(weight: float) -> DecoderPhase:
    torch.manual_seed(0)
    clips = noise_clips(1, 4)
    config = ChunkConfig(batch=2, crop=32, groups=2, adversarial_weight=weight)
    decoder = DecoderPhase(PatchAutoencoder(**AUTOENCODER.autoencoder), clips, clips, config)
    decoder.sample = lambda _: None  # type: ignore[method-assign]
    return decoder


def test_the_discriminator_learns_and_the_decoder_is_led_the_other_way() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator()
    target, condition = torch.rand(2, 3, 2, 32, 32), torch.zeros(2, 3, 2, 32, 32)
    decoded = torch.zeros(2, 3, 2, 32, 32, requires_grad=True)
    adversarial_loss(discriminator, decoded, target, condition, 0.5).backward()
    learning = [p.grad.abs().sum() > 0 for p in discriminator.parameters() if p.dim() > 1]
    assert learning
    assert all(learning)  # a bias of all scores helps with neither kind
    before = float(discriminator(decoded, condition).detach().mean())
    with torch.no_grad():
        better = decoded - 100 * decoded.grad  # a step of the decoder
    assert float(discriminator(better, condition).detach().mean()) > before


def test_its_weight_grows_from_its_start_on() -> None:
    weights = [adversarial_weight(0.02, 0.5, progress) for progress in (0.0, 0.5, 0.51, 0.52, 1.0)]
    assert weights == [0.0, 0.0, pytest.approx(0.01), 0.02, 0.02]


def test_its_kernels_lengthen_nothing() -> None:
    kernels = [layer.weight for layer in PatchDiscriminator().layers if hasattr(layer, "weight")]
    norms = [torch.linalg.matrix_norm(kernel.detach().flatten(1), 2) for kernel in kernels]
    torch.testing.assert_close(torch.stack(norms), torch.ones(4))


def test_linear_frames_are_those_of_a_decoder_without_detail() -> None:
    decoder = phase(0.0)
    target, latents, _ = decoder.sampler.crops((0,), (1.0,))
    frames = linear_frames(decoder.autoencoder, latents)
    assert frames.shape == target.shape
    plain = decode_groups(decoder.autoencoder.decoder, latents, decoder.autoencoder.context_frames)
    torch.testing.assert_close(frames, plain)  # a new decoder adds nothing yet


def test_a_decoder_goes_on_with_a_discriminator(tmp_path: Path) -> None:
    config = TrainerConfig(steps=2, lr=1e-3)
    first = Trainer(phase(0.0), config, tmp_path)
    first.run()
    again = Trainer(phase(0.02), replace(config, steps=4), tmp_path)
    assert again.resume()
    assert torch.equal(
        again.parameters["decoder.head.weight"], first.parameters["decoder.head.weight"]
    )
    again.run()
    assert again.step == 4
    last = Trainer(phase(0.02), replace(config, steps=5), tmp_path)
    assert last.resume()
    names = [name for name in last.parameters if name.startswith("discriminator")]
    assert names
    assert all(torch.equal(last.parameters[name], again.parameters[name]) for name in names)
