from __future__ import annotations

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.training.encoded.buckets import Bucket, choose_bucket, parse_bucket

WIDE, TALL = Bucket(832, 480, 81), Bucket(480, 832, 81)
SHORT, SMALL = Bucket(832, 480, 41), Bucket(416, 240, 81)
ALL = (WIDE, TALL, SHORT, SMALL)


@pytest.mark.parametrize(
    ("clip", "bucket"),
    [
        ((1920, 1080, 120), WIDE),
        ((1080, 1920, 81), TALL),
        ((832, 480, 80), SHORT),
        ((640, 369, 100), SMALL),  # the larger one would enlarge it
        ((300, 173, 90), SMALL),
        ((1920, 1080, 40), None),
    ],
)
def test_a_clip_gets_the_nearest_shape_then_the_longest_then_the_largest(
    clip: tuple[int, int, int], bucket: Bucket | None
) -> None:
    assert choose_bucket(ALL, *clip) == bucket


def test_a_size_that_no_model_makes_is_answered_with_the_nearest() -> None:
    assert parse_bucket("832x480x81", (4, 16)) == WIDE
    with pytest.raises(EngineError, match="multiples of 16 pixels") as raised:
        parse_bucket("830x480x80", (4, 16))
    assert raised.value.hint == "The nearest is 832x480x81."
    with pytest.raises(EngineError, match="is no size"):
        parse_bucket("large", (4, 16))
