"""The picture world: banks repeat, figures are whole, layers add up in linear light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from layert2v_engine.world import anatomy, clips, creatures, places, tracer
from layert2v_engine.world.light import decode_srgb, encode_srgb
from layert2v_engine.world.vocabulary import ABILITIES, SUBJECTS, Label, is_held_out, is_painted

WIDTH, HEIGHT = 56, 40


def build(folder: Path, *, width: int, height: int, processes: int = 1) -> Path:
    clips.build_bank(
        folder,
        width=width,
        height=height,
        creatures_per_species=1,
        plates_per_scene=1,
        processes=processes,
    )
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bank"), width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="module")
def world(bank: Path) -> clips.World:
    return clips.World(bank)


def one_of_each() -> list[Label]:
    return [
        Label(subject=s, place=s % 6, time=s % 4, colour=0 if is_painted(s) else -1, action=a)
        for s in range(len(SUBJECTS))
        for a in ABILITIES[s]
    ]


def test_a_clip_has_five_streams_in_range(world: clips.World) -> None:
    clip = world.clip(1)
    for name, channels in (
        ("composite", 3),
        ("background", 3),
        ("foreground", 3),
        ("matte", 1),
        ("shadow", 1),
    ):
        stream = getattr(clip, name)
        assert stream.shape == (9, channels, HEIGHT, WIDTH)
        assert stream.dtype == torch.float32
        assert stream.min() >= 0
        assert stream.max() <= 1 + 1e-6
    assert clip.matte.max() > 0.99
    assert 0.1 < clip.shadow.max() < 1


def test_the_same_seed_gives_the_same_clip(world: clips.World, bank: Path) -> None:
    first, again, other = world.clip(7), clips.World(bank).clip(7), world.clip(8)
    assert first.label == again.label
    assert torch.equal(first.composite, again.composite)
    assert first.composite.shape != other.composite.shape or not torch.equal(
        first.composite, other.composite
    )


def test_the_linear_over_of_the_layers_is_the_composite(world: clips.World) -> None:
    for seed in range(12):
        clip = world.clip(seed)
        straight = (clip.foreground - 0.5 * (1 - clip.matte)) / clip.matte.clamp_min(1e-6)
        under = decode_srgb(clip.background) * (1 - clip.shadow)
        over = decode_srgb(straight.clamp(0, 1)) * clip.matte + under * (1 - clip.matte)
        assert (over - decode_srgb(clip.composite)).abs().max() <= 1e-5


@pytest.mark.parametrize(
    "label", one_of_each(), ids=lambda x: f"{SUBJECTS[x.subject].name}-{x.action}"
)
def test_a_figure_is_whole_and_its_shadow_touches_it(world: clips.World, label: Label) -> None:
    clip = world.clip(5, label=label, frames=anatomy.PHASES)
    edges = [x[..., sl] for x in (clip.matte, clip.shadow) for sl in (0, -1)]
    edges += [clip.matte[..., 0, :], clip.matte[..., -1, :], clip.shadow[..., -1, :]]
    assert max(float(edge.max()) for edge in edges) < 0.05
    assert 0.04 < float(clip.matte.mean()) < 0.45
    solid = clip.matte[:, 0] > 0.5
    for shape, shade in zip(solid, clip.shadow[:, 0], strict=True):
        lowest = int(torch.nonzero(shape.any(1)).max())
        columns = torch.nonzero(shape[lowest]).flatten()
        below = shade[lowest : lowest + 2, max(0, int(columns[0]) - 1) : int(columns[-1]) + 2]
        assert below.max() > 0.2


def test_labels_are_drawn_from_the_right_side_of_the_split(world: clips.World) -> None:
    for held_out in (False, True):
        for seed in range(30):
            x = world.clip(seed, frames=1, held_out=held_out).label
            assert is_held_out(x.subject, x.place, x.time) == held_out


def test_the_shadow_falls_away_from_the_light(world: clips.World) -> None:
    giraffe = next(i for i, word in enumerate(SUBJECTS) if word.name == "giraffe")
    columns = torch.arange(WIDTH, dtype=torch.float32)
    for entry, pixels in zip(world._figures, world._figure_pixels, strict=True):
        if entry.subject == giraffe:
            cast, figure = pixels[:, 4].float().sum((0, 1)), pixels[:, 3].float().sum((0, 1))
            shift = (cast @ columns) / cast.sum() - (figure @ columns) / figure.sum()
            assert shift * entry.sun_side < 0


def test_the_camera_keeps_pace_with_the_feet(world: clips.World) -> None:
    """What a plate column shows moves left by the figure's advance per frame."""
    ramp = torch.linspace(0, 255, round(WIDTH * places.OVERSCAN)).expand(3, HEIGHT, -1)
    seen = world._panned(ramp, 1.5, 5, np.random.default_rng(0))
    per_pixel = float(ramp[0, 0, 1] - ramp[0, 0, 0]) / 255
    step = (seen[1:] - seen[:-1]).mean((1, 2, 3)) / per_pixel
    assert torch.allclose(step, torch.full((4,), 1.5), atol=1e-3)


@pytest.mark.parametrize("subject", range(len(SUBJECTS)))
def test_carrying_feet_move_back_at_the_pace_of_the_ground(subject: int) -> None:
    """Of the parts that stay on the ground between two poses, one goes back by the advance."""
    body = creatures.body(subject, ABILITIES[subject][0], 0, np.random.default_rng(0))
    low = body.end[..., 1] - body.radius[:, 1] < 0.02
    resting = low & low.roll(-1, 0)
    moved = (body.end.roll(-1, 0) - body.end)[..., 0][resting]
    pace = -body.advance / anatomy.PHASES
    assert subject == 7 or (moved - pace).abs().min() < 0.02


@pytest.mark.slow
def test_banks_are_the_same_from_one_process_and_from_two(tmp_path: Path) -> None:
    alone = build(tmp_path / "1", width=28, height=20)
    together = build(tmp_path / "2", width=28, height=20, processes=2)
    for name in ("world.json", "figures.safetensors", "plates.safetensors"):
        assert (alone / name).read_bytes() == (together / name).read_bytes()


def test_a_bank_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match="format 99"):
        clips.World(tmp_path)


def test_plates_are_bright_by_day_and_dark_at_night() -> None:
    for place in range(6):
        day, night = (
            places.plate(place, t, width=28, height=20, rng=np.random.default_rng(1)).pixels.mean()
            for t in (0, 2)
        )
        assert day > 1.5 * night


def test_the_srgb_curve_returns() -> None:
    x = torch.linspace(0, 1, 256)
    assert torch.allclose(encode_srgb(decode_srgb(x)), x, atol=1e-6)


def test_a_ball_is_drawn_as_a_disc_of_its_size() -> None:
    sculpt = anatomy.Sculpt()
    sculpt.ball(anatomy.at(0, 1, 0), 0.5, (200, 100, 50))
    view = tracer.View(width=40, height=40, centre=20, ground=30, scale=20, yaw=0)
    alpha = tracer.render(sculpt.body(1.0), 0, view, (0.3, 1, 0.2))[3]
    assert float(alpha.sum()) == pytest.approx(np.pi * 10**2, rel=0.06)
