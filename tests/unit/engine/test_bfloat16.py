from __future__ import annotations

import torch

from fakes.layer_check import worst_layer


def test_layers_are_right_in_bfloat16() -> None:
    error, name = worst_layer(torch.device("cpu"))
    assert error < 0.02, name
