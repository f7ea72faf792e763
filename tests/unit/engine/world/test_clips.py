"""Clips of the picture world: banks repeat, subjects are whole, layers add up in linear light."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from layert2v_engine.image.srgb import decode_srgb
from layert2v_engine.world import clips
from layert2v_engine.world.backdrops.light import LIGHTS
from layert2v_engine.world.clips import _part_of
from layert2v_engine.world.subjects import anatomy
from layert2v_engine.world.text.scenes import Actor, Scene, scene_from_label
from layert2v_engine.world.text.vocabulary import (
    ABILITIES,
    DISTANCES,
    PLACES,
    SUBJECTS,
    TIMES,
    V0,
    Label,
    Selection,
)

WIDTH, HEIGHT = 56, 40
SMALL = Selection(
    subjects=("fox", "giraffe", "car"),
    places=("meadow", "beach"),
    times=("sunny day", "dawn", "snowfall"),
    colors=("red",),
    foregrounds=(0, 1, 2, 3),
)
TINY = Selection(subjects=("fox",), places=("beach",), times=("dawn",), foregrounds=(1,))


def build(folder: Path, selection: Selection, *, width: int = WIDTH, processes: int = 1) -> Path:
    clips.build_bank(
        folder,
        selection=selection,
        width=width,
        height=width * HEIGHT // WIDTH,
        creatures_per_species=1,
        plates_per_scene=1,
        processes=processes,
    )
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bank"), SMALL)


@pytest.fixture(scope="module")
def world(bank: Path) -> clips.World:
    return clips.World(bank)


def test_every_stream_has_its_shape_and_range(world: clips.World) -> None:
    for seed in range(8):
        clip = world.clip(seed, frames=5)
        assert len(clip.foregrounds) == len(clip.scene.actors)
        streams = [(clip.composite, 3), (clip.background, 3)]
        for fg in clip.foregrounds:
            streams += [(fg.color, 3), (fg.matte, 1), (fg.shadow, 1)]
        for stream, channels in streams:
            assert stream.shape == (5, channels, HEIGHT, WIDTH)
            assert stream.dtype == torch.float32
            assert stream.min() >= 0
            assert stream.max() <= 1 + 1e-6


def test_the_same_seed_gives_the_same_clip(world: clips.World, bank: Path) -> None:
    first, again, other = world.clip(7), clips.World(bank).clip(7), world.clip(8)
    assert first.scene == again.scene
    assert torch.equal(first.composite, again.composite)
    assert not torch.equal(first.composite, other.composite)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_linear_over_of_the_layers_is_the_composite(world: clips.World, count: int) -> None:
    for seed in range(6):
        clip = world.clip(seed, foregrounds=count)
        over = decode_srgb(clip.background)
        for fg in clip.foregrounds:
            straight = (fg.color - 0.5 * (1 - fg.matte)) / fg.matte.clamp_min(1e-6)
            over = over * (1 - fg.shadow)
            over = decode_srgb(straight.clamp(0, 1)) * fg.matte + over * (1 - fg.matte)
        assert (over - decode_srgb(clip.composite)).abs().max() <= 2e-5


def test_cast_and_contact_shadows_darken_one_after_the_other(world: clips.World) -> None:
    scene = world.clip(1, frames=1, foregrounds=1).scene
    light = LIGHTS[scene.time]
    layer = torch.zeros(1, 6, HEIGHT, WIDTH)
    layer[:, 4], layer[:, 5] = 0.5, 0.8  # the subject itself is elsewhere
    clip = world._compose(torch.full((1, 3, HEIGHT, WIDTH), 0.5), [layer], scene)
    left = (1 - 0.5 * light.shadow) * (1 - 0.8 * light.contact)
    assert clip.shadow.unique().tolist() == pytest.approx([1 - left], abs=1e-6)
    darkened = decode_srgb(clip.composite) / decode_srgb(clip.background)
    assert darkened.min() == pytest.approx(left, abs=1e-4)
    assert darkened.max() == pytest.approx(left, abs=1e-4)


def test_a_nearer_figure_covers_one_behind_it_which_stays_whole(world: clips.World) -> None:
    """Two subjects at one spot: the composite shows the upper, the layers keep both."""
    far, near = (
        Actor(subject=0, action="walking", spot="middle", distance=d) for d in ("far", "near")
    )
    car = Actor(subject=7, color=0, action="driving", spot="middle", distance="near")
    scene = Scene(place=4, time=0, actors=(far, near, car), camera="still")
    clip = world.clip(3, scene=scene)
    alone = world.clip(3, scene=Scene(place=4, time=0, actors=(near,), camera="still"))
    lower, upper = clip.foregrounds[1], clip.foregrounds[2]
    both = (lower.matte > 0.99) & (upper.matte > 0.99)
    assert int(both.sum()) > 20
    shown = (clip.composite - upper.color).abs().amax(1, keepdim=True)
    assert shown[both].max() < 0.02
    assert 0.4 < float(lower.matte.sum() / alone.foregrounds[0].matte.sum()) < 1


@pytest.mark.parametrize("seed", range(12))
def test_shadows_touch_the_feet_and_no_figure_loses_them(world: clips.World, seed: int) -> None:
    clip = world.clip(seed, frames=anatomy.PHASES, foregrounds=1 + seed % 3)
    for fg in clip.foregrounds:
        assert fg.matte[..., 0, :].max() < 0.05
        assert fg.matte[..., -1, :].max() < 0.05
        for shape, shade in zip(fg.matte[:, 0] > 0.5, fg.shadow[:, 0], strict=True):
            lowest = int(torch.nonzero(shape.any(1)).max())
            columns = torch.nonzero(shape[lowest]).flatten()
            left, right = max(0, int(columns[0]) - 1), int(columns[-1]) + 2
            assert shade[lowest : lowest + 2, left:right].max() > 0.1


def test_figures_stand_where_the_words_say_and_are_mostly_seen(world: clips.World) -> None:
    columns = (torch.arange(WIDTH) + 0.5) / WIDTH
    reach = {"left": (0, 0.46), "middle": (0.38, 0.62), "right": (0.54, 1)}
    for seed in range(18):
        clip = world.clip(seed, foregrounds=1 + seed % 3)
        for k, (actor, fg) in enumerate(zip(clip.scene.actors, clip.foregrounds, strict=True)):
            matte = fg.matte.sum((0, 1, 2))
            low, high = reach[actor.spot]
            assert low < float((matte @ columns) / matte.sum()) < high
            seen = fg.matte.clone()
            for above in clip.foregrounds[k + 1 :]:
                seen = seen * (1 - above.matte)
            assert seen.sum() > 0.15 * fg.matte.sum()


def test_figures_are_ordered_by_distance_and_height(world: clips.World) -> None:
    for seed in range(20):
        clip = world.clip(seed, frames=1, foregrounds=3)
        ranks = [DISTANCES.index(actor.distance) for actor in clip.scene.actors]
        assert ranks == sorted(ranks)


def test_headings_are_mirrored_but_the_light_is_not(world: clips.World) -> None:
    """Whichever way a giraffe goes, its shadow falls to the side away from the sun."""
    columns = torch.arange(WIDTH, dtype=torch.float32)
    sides = []
    for heading in ("left", "right"):
        actor = Actor(subject=6, action="walking", heading=heading, distance="near")
        clip = world.clip(5, scene=Scene(place=4, time=0, actors=(actor,), camera="still"))
        matte, shadow = (x.sum((0, 1, 2)) for x in (clip.matte, clip.shadow))
        head = clip.matte[:, 0, : HEIGHT // 3].sum((0, 1))
        middle = float((columns * matte).sum() / matte.sum())
        assert (float((columns * head).sum() / head.sum()) > middle) == (heading == "right")
        sides.append(float((columns * shadow).sum() / shadow.sum()) - middle)
    assert sides[0] * sides[1] > 0


def test_a_low_sun_throws_longer_shadows(world: clips.World) -> None:
    def shadow_width(time: int) -> float:
        actor = Actor(subject=6, action="walking", distance="near")
        clip = world.clip(1, scene=Scene(place=4, time=time, actors=(actor,), camera="still"))
        return float((clip.shadow / LIGHTS[time].shadow > 0.3).any(0)[0].any(0).float().sum())

    dawn = next(i for i, word in enumerate(TIMES) if word.name == "dawn")
    assert shadow_width(dawn) > 1.2 * shadow_width(0)


@pytest.mark.parametrize("held_out", [False, True])
def test_scenes_are_drawn_from_the_right_side_of_the_split(
    world: clips.World, held_out: bool
) -> None:
    for seed in range(30):
        scene = world.clip(seed, frames=1, held_out=held_out, foregrounds=1 + seed % 3).scene
        assert scene.held_out == held_out


@pytest.mark.slow
def test_banks_are_the_same_from_one_process_and_from_two(tmp_path: Path) -> None:
    alone = build(tmp_path / "1", TINY, width=28)
    together = build(tmp_path / "2", TINY, width=28, processes=2)
    for name in ("world.json", "figures.safetensors", "plates.safetensors"):
        assert (alone / name).read_bytes() == (together / name).read_bytes()


def test_a_bank_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match="format 99"):
        clips.World(tmp_path)


def test_the_world_of_mini_v0_stays_what_it_was(tmp_path: Path) -> None:
    """One large subject that heads right in the middle, while the ground passes below it."""
    fox = replace(V0, subjects=("fox",), places=("meadow",))
    world = clips.World(build(tmp_path / "v0", fox))
    label = Label(subject=0, place=PLACES.index(PLACES[4]), time=0, action="running")
    clip = world.clip(2, label=label)
    assert clip.scene == scene_from_label(label, V0)
    assert clip.label == label
    share = clip.matte.mean()
    assert 0.08 < float(share) < 0.3
    centre = (clip.matte[:, 0].sum(1) @ torch.arange(WIDTH).float()) / clip.matte.sum((1, 2, 3))
    assert centre.max() - centre.min() < 4
    assert not torch.allclose(clip.background[0], clip.background[-1], atol=0.02)
    assert SUBJECTS[0].name == "fox"
    assert "running" in ABILITIES[0]


def test_some_plates_and_subjects_are_kept_out_of_training() -> None:
    choices = list(range(13))
    training, others = _part_of(choices, unseen=False), _part_of(choices, unseen=True)
    assert [*training, *others] == choices
    assert len(others) == 2
    few = [4, 5]
    assert _part_of(few, unseen=True) == _part_of(few, unseen=False) == few
