from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from layert2v_engine.decompose.splitter.network import (
    SplitterConfig,
    SplitterNetwork,
    linear_values,
    load_network,
    network_input,
    network_values,
    save_network,
)
from layert2v_engine.errors import BadCheckpoint

SMALL = SplitterConfig(widths=(8, 16), groups=4)


def test_network_values_are_display_like_and_go_back() -> None:
    linear = torch.tensor([0.0, 0.002, 0.18, 1.0, 3.0, 12.0, 400.0])
    values = network_values(linear)
    assert values[2] == pytest.approx(0.461, abs=1e-3)  # sRGB of mid-gray
    assert bool((values.diff() > 0).all())
    torch.testing.assert_close(linear_values(values), linear, rtol=1e-4, atol=1e-6)


def test_nothing_learned_says_the_mask_and_hardly_any_shadow() -> None:
    mask = torch.zeros(1, 1, 21, 35)
    mask[..., 5:15, 10:20] = 1
    picture = torch.rand(1, 3, 21, 35)
    alpha, shadow = SplitterNetwork(SMALL).requires_grad_(False)(
        network_input(picture, picture, mask)
    )
    assert alpha.shape == shadow.shape == (1, 1, 21, 35)
    assert float((alpha - mask).abs().max()) < 0.02
    assert float(shadow.max()) < 0.05


@pytest.mark.parametrize("context", [0, 4])
def test_what_is_saved_is_loaded(tmp_path: Path, context: int) -> None:
    network = SplitterNetwork(replace(SMALL, context=context))
    torch.nn.init.normal_(network.head.weight)
    save_network(network, tmp_path)
    inputs = torch.randn(1, 11, 16, 16)
    torch.testing.assert_close(
        load_network(tmp_path)(inputs)[0], network(inputs)[0], atol=5e-3, rtol=0
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"widths": [8, 16, 32], "groups": 4}',
        '{"widths": [8, 1000000000], "groups": 4}',
        json.dumps({"widths": [8] * 100_000, "groups": 4}),
    ],
    ids=["empty", "nothing", "another", "wide", "deep"],
)
def test_a_folder_without_a_splitter_is_refused(tmp_path: Path, text: str) -> None:
    save_network(SplitterNetwork(SMALL), tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadCheckpoint, match="holds no splitter"):
        load_network(tmp_path)
