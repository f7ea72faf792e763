"""Where subjects stand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from layert2v_engine.evaluation.classification import spot_accuracy


def matte_at(column: int) -> Tensor:
    matte = torch.zeros(1, 1, 2, 8, 32)
    matte[..., 2:6, column : column + 2] = 1
    return matte


@pytest.mark.parametrize(
    ("spot", "column", "is_right"),
    [
        ("left", 4, 1.0),
        ("left", 20, 0.0),
        ("left", 14, 0.0),
        ("middle", 15, 1.0),
        ("middle", 24, 0.0),
        ("right", 24, 1.0),
        ("right", 16, 0.0),
    ],
)
def test_a_subject_stands_where_it_should(spot: str, column: int, is_right: float) -> None:
    assert spot_accuracy([((spot,), [matte_at(column)])]) == {"spot": is_right}


def test_prompts_that_say_nothing_of_it_do_not_count() -> None:
    assert spot_accuracy([((), [matte_at(4)])]) == {}
    both = [(("left", "right"), [matte_at(4), matte_at(4)])]
    assert spot_accuracy(both) == {"spot": 0.5}
