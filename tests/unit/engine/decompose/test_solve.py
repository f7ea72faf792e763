from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fakes.moving_disc import GLINT, disc_clip
from layert2v_engine.decompose.measures import mismatch
from layert2v_engine.decompose.solve import (
    FrameLayers,
    Proposal,
    compose,
    expand_proposal,
    solve_frame,
)

SHAPE = (4, 5)
HALF_PRECISION = 2.01  # rounding errors: that of the layers and that of their over


def _planes(shape: tuple[int, ...], low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, shape, elements=st.floats(low, high, width=32))


PROPOSALS = st.builds(
    Proposal,
    _planes((*SHAPE, 3), 0, 40),
    _planes(SHAPE, 0, 1),
    _planes(SHAPE, 0, 1),
    _planes(SHAPE, 0, 1),
    _planes(SHAPE, 0, 1),
)


@given(_planes((*SHAPE, 3), 0, 60000), PROPOSALS)
def test_over_is_the_footage_whatever_was_proposed(source: np.ndarray, proposal: Proposal) -> None:
    half = source.astype(np.float16)

    layers = solve_frame(half, proposal)

    assert mismatch(half.astype(np.float32), compose(layers)) <= HALF_PRECISION


@given(_planes((*SHAPE, 3), 0, 60000), PROPOSALS)
def test_nothing_is_negative(source: np.ndarray, proposal: Proposal) -> None:
    layers = solve_frame(source.astype(np.float16), proposal)

    for layer in layers:
        assert layer.min() >= 0
        assert np.isfinite(layer).all()
    assert layers.foreground[..., 3].max() <= 1


@given(_planes((*SHAPE, 3), 0, 60000), PROPOSALS)
def test_a_part_is_solved_like_the_whole(source: np.ndarray, proposal: Proposal) -> None:
    half, part = source.astype(np.float16), (slice(1, 3), slice(0, 4))
    inner = Proposal(*(each[part] for each in proposal))

    layers = solve_frame(half, inner, part)
    whole = solve_frame(half, expand_proposal(inner, part, *SHAPE))

    for made, expected in zip(layers, whole, strict=True):
        assert (made[part] == expected[part]).all()
    outside = np.ones(SHAPE, bool)
    outside[part] = False
    assert layers.background[outside].tobytes() == half[outside].tobytes()
    assert (layers.shadow[outside] == 0).all()
    assert (layers.foreground[outside] == 0).all()


@given(_planes((*SHAPE, 3), -2, 60000), PROPOSALS)
def test_footage_below_zero_is_kept_as_well(source: np.ndarray, proposal: Proposal) -> None:
    half = source.astype(np.float16)

    layers = solve_frame(half, proposal)

    frame = half.astype(np.float32)
    is_free = (layers.foreground[..., 3] == 0) & (layers.shadow == 0).all(-1)
    assert (compose(layers)[is_free] == frame[is_free]).all()


def test_untouched_pixels_are_the_footage_to_the_bit() -> None:
    clip = disc_clip()
    half = clip.source[0].astype(np.float16)

    layers = solve_frame(half, _proposal(0, plate=clip.background[0] * 0.9))

    is_free = (clip.alpha[0] == 0) & (clip.shadow[0] == 0)
    assert (layers.background[is_free] == half[is_free]).all()
    assert layers.background[is_free].max() == GLINT


def test_shadowed_background_keeps_its_texture() -> None:
    clip = disc_clip()

    layers = solve_frame(clip.source[3].astype(np.float16), _proposal(3, plate=clip.source[3] * 0))

    is_shadow = (clip.shadow[3] > 0.1) & (clip.alpha[3] == 0)
    background = layers.background.astype(np.float32)
    assert is_shadow.sum() > 50
    np.testing.assert_allclose(background[is_shadow], clip.background[3][is_shadow], rtol=4e-3)


def test_light_is_color_without_alpha() -> None:
    plate = np.full((*SHAPE, 3), 0.25, np.float32)
    source = (plate + np.float32(0.5)).astype(np.float16)
    nothing, all_over = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)

    layers = solve_frame(source, Proposal(plate, nothing, nothing, all_over, nothing))

    assert (layers.background == np.float16(0.25)).all()
    assert (layers.shadow[..., :3] == np.float16(0.5)).all()
    assert (layers.shadow[..., 3] == 0).all()


@pytest.mark.parametrize("alpha", [0.0, 0.002])
def test_alpha_of_noise_is_none(alpha: float) -> None:
    source = np.full((*SHAPE, 3), 0.5, np.float16)
    plane = np.full(SHAPE, alpha, np.float32)
    plate = np.ones((*SHAPE, 3), np.float32)

    layers = solve_frame(source, Proposal(plate, plane, plane, plane * 0, plane * 0))

    assert (layers.foreground == 0).all()


def test_alpha_is_raised_where_the_plate_is_too_bright() -> None:
    source = np.full((*SHAPE, 3), 0.5, np.float16)
    plate = np.ones((*SHAPE, 3), np.float32)
    alpha = np.full(SHAPE, 0.25, np.float32)

    layers = solve_frame(source, Proposal(plate, alpha, alpha * 0, alpha * 0, alpha * 0))

    assert (layers.foreground[..., 3] >= np.float16(0.5)).all()
    assert _is_exact(source, layers)


def test_alpha_stays_where_it_is_surer_than_the_plate() -> None:
    source = np.full((*SHAPE, 3), 0.5, np.float16)
    plate = np.ones((*SHAPE, 3), np.float32)
    alpha = np.full(SHAPE, 0.25, np.float32)

    layers = solve_frame(source, Proposal(plate, alpha, alpha * 0, alpha * 0, np.ones_like(alpha)))

    np.testing.assert_allclose(layers.foreground[..., 3].astype(np.float32), 0.25, atol=1e-3)
    np.testing.assert_allclose(layers.background.astype(np.float32), 0.5 / 0.75, rtol=1e-3)
    assert _is_exact(source, layers)


def _is_exact(source: np.ndarray, layers: FrameLayers) -> bool:
    return mismatch(source.astype(np.float32), compose(layers)) <= HALF_PRECISION


def _proposal(frame: int, plate: np.ndarray) -> Proposal:
    clip = disc_clip()
    nothing = np.zeros_like(clip.alpha[frame])
    return Proposal(plate, clip.alpha[frame], clip.shadow[frame], nothing, nothing)
