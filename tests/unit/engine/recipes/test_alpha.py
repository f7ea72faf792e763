from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fakes.tiny_wan import stock_pipeline
from fakes.tiny_weights import decoder_updates, write_alpha
from layert2v.placement import Placement
from layert2v.spec import GenerateSpec
from layert2v_engine.engine import Engine
from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.image import exr
from layert2v_engine.recipes.alpha import (
    MEAN_SHIFT,
    Ellipse,
    alpha_prompt,
    decoder_with,
    find_places,
    place_noise,
)
from layert2v_engine.stack.inspect import inspect

SPEC = GenerateSpec(
    prompt="a red fox in the snow",
    model="alpha",
    foreground_prompts=("a red fox", "a bear"),
    background_prompt="snow",
    width=64,
    height=48,
    frames=5,
    steps=2,
    seed=3,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_alpha(tmp_path_factory.mktemp("weights"))


def test_foregrounds_with_alpha_lie_over_a_plate(weights: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    stack = Engine(weights=weights).generate(
        SPEC, tmp_path / "fox", report=lambda p: stages.append(p.stage), cancelled=lambda: False
    )
    assert [layer.name for layer in stack.layers] == ["bg", "fg_01", "fg_02"]
    assert not inspect(tmp_path / "fox", stack).problems
    assert {"wan-alpha-v2", "lightx2v"} <= {each.name for each in stack.networks}
    first, second = (
        exr.read(tmp_path / "fox" / stack.layer(name).files[2].path).float()
        for name in ("fg_01", "fg_02")
    )
    assert first.shape == (48, 64, 4)
    assert not torch.equal(first, second)
    assert first[..., 3].std() > 0
    assert (first[..., :3].amax(-1) <= first[..., 3] + 1e-3).all()  # premultiplied
    assert [*dict.fromkeys(stages)] == ["load", "denoise", "write"]


def test_an_ellipse_shifts_the_noise_outside_of_it() -> None:
    noise = torch.zeros(1, 2, 3, 20, 40)
    shifted = place_noise(noise, Ellipse(0.25, 0.5, 0.2, 0.6))
    plane = shifted[0, 0, 0]
    assert torch.equal(shifted[0, 1, 2], plane)
    assert float(plane.max()) == pytest.approx(MEAN_SHIFT)
    assert float(plane.min()) == pytest.approx(0.0, abs=1e-6)
    row, column = divmod(int(plane.argmin()), 40)
    assert (abs(row - 9.5), abs(column - 9.5)) == (0.5, 0.5)
    one_sigma = place_noise(torch.zeros(1, 1, 1, 200, 400), Ellipse(0.25, 0.5, 0.2, 0.6))
    value = 1 - float(one_sigma[0, 0, 0, 100, 140]) / MEAN_SHIFT  # half of its width to the right
    assert value == pytest.approx(math.exp(-0.5), abs=0.01)


def test_several_lie_side_by_side() -> None:
    places = find_places(3, ())
    assert [round(each.x, 2) for each in places] == [0.25, 0.5, 0.75]
    assert all(each.x - each.width / 2 > 0 and each.x + each.width / 2 < 1 for each in places)


def test_a_request_places_foregrounds() -> None:
    placement = Placement(2, "box", 0.5, 0.2, 0.4, 0.6, strength=2.0)
    first, second = find_places(2, [placement])
    assert second == pytest.approx((0.7, 0.5, 0.4, 0.6, 2.0))
    assert first == find_places(2, ())[0]
    assert find_places(1, [placement]) == find_places(1, ())
    shifted = place_noise(torch.zeros(1, 1, 1, 20, 40), second)
    assert float(shifted.max()) == pytest.approx(2 * MEAN_SHIFT)


def test_a_sentence_names_background_shot_and_style() -> None:
    assert alpha_prompt("A fox runs. ") == (
        "This video has a transparent background. Medium shot. A fox runs. Realistic style."
    )


def test_decoders_have_their_own_updates_and_nothing_else() -> None:
    vae = stock_pipeline().vae
    state = decoder_updates(vae)
    color, alpha = (decoder_with(vae, state, part) for part in ("vae_fgr", "vae_pha"))
    key = "vae_pha.decoder.conv1.conv3D.lora_{}.default.weight"
    up, down = state[key.format("B")].flatten(1), state[key.format("A")]
    expected = vae.decoder.conv_in.weight + torch.einsum("or,r...->o...", up, down) / 2
    assert torch.allclose(alpha.decoder.conv_in.weight, expected, atol=1e-6)
    assert not torch.equal(color.decoder.conv_in.weight, alpha.decoder.conv_in.weight)
    assert torch.equal(color.encoder.conv_in.weight, vae.encoder.conv_in.weight)


def test_a_decoder_that_does_not_fit_is_refused(weights: Path) -> None:
    vae = stock_pipeline().vae
    state = load_file(weights / "wan-alpha-v2" / "decoder.safetensors")
    with pytest.raises(BadCheckpoint, match="has no updates called vae_pha"):
        decoder_with(vae, {k: v for k, v in state.items() if "fgr" in k}, "vae_pha")
    wide = {k: v.repeat(1, 2, 1, 1, 1) if "lora_A" in k else v for k, v in state.items()}
    with pytest.raises(BadCheckpoint, match="of another width"):
        decoder_with(vae, wide, "vae_pha")
    other = {k.replace("decoder.conv1", "decoder.conv9"): v for k, v in state.items()}
    with pytest.raises(BadCheckpoint, match=r"updates decoder.conv9, which Wan 2.1's does not"):
        decoder_with(vae, other, "vae_pha")
