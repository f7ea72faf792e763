"""The tracer draws bodies at their size."""

from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.world.subjects import anatomy, tracer


def test_a_ball_is_drawn_as_a_disc_of_its_size() -> None:
    builder = anatomy.BodyBuilder()
    builder.ball(anatomy.point(0, 1, 0), 0.5, (200, 100, 50))
    view = tracer.View(width=40, height=40, centre=20, ground=30, scale=20, yaw=0)
    alpha = tracer.render(builder.body(1.0), 0, view, (0.3, 1, 0.2))[3]
    assert float(alpha.sum()) == pytest.approx(np.pi * 10**2, rel=0.06)
