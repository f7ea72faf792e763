"""Sprites of the world: pictures, motion, colours, shadows."""

from __future__ import annotations

import math

import pytest
import torch

from layert2v_engine.world.subjects import sprites
from layert2v_engine.world.subjects.sprites import Stage
from layert2v_engine.world.text.sprite_words import SPRITES, Sprite
from layert2v_engine.world.text.vocabulary import ABILITIES, SPRITE_INDICES, SUBJECTS

STAGE = Stage(width=72, height=60, centre=36, ground=48, tall=24)
HIGH_SUN_ON_THE_LEFT = (0.45, 0.5)


def find_sprite(name: str) -> Sprite:
    return next(sprite for sprite in SPRITES if sprite.name == name)


def test_every_picture_is_used_and_there() -> None:
    files = {path.stem for path in sprites.PICTURES.glob("*.webp")}
    assert files == {sprite.picture for sprite in SPRITES}
    assert len(files) == len(SPRITES)


def test_words_and_sprites_are_in_the_same_order() -> None:
    assert [SUBJECTS[i].name for i in SPRITE_INDICES] == [sprite.name for sprite in SPRITES]
    assert [ABILITIES[i] for i in SPRITE_INDICES] == [(sprite.action,) for sprite in SPRITES]


@pytest.mark.parametrize("name", ["gorilla", "snail"])
def test_a_hopping_sprite_stays_where_it_came_down(name: str) -> None:
    motion_of = sprites.motion_of(find_sprite(name))
    count = len(motion_of.poses)
    landed = [
        pose.x + motion_of.advance * k / count
        for k, pose in enumerate(motion_of.poses)
        if k and pose.lift < 1e-6
    ]
    assert len(landed) > 2
    assert max(landed) - min(landed) < 1e-6


def test_a_ball_rolls_as_far_as_it_turns() -> None:
    motion_of = sprites.motion_of(find_sprite("soccer ball"))
    turned = motion_of.poses[1].turn * len(motion_of.poses)
    assert turned == pytest.approx(2 * math.pi)
    assert motion_of.advance == pytest.approx(0.5 * turned)  # the diameter is one height


@pytest.mark.parametrize("sprite", SPRITES[::4], ids=lambda s: s.name)
def test_a_shadow_lies_under_its_sprite_and_away_from_the_light(sprite: Sprite) -> None:
    pixels, motion_of = sprites.load_picture(sprite), sprites.motion_of(sprite)
    frame = sprites.render(pixels, motion_of.poses[2], STAGE, HIGH_SUN_ON_THE_LEFT)
    alpha, cast = frame[3], frame[4]
    columns = torch.arange(STAGE.width, dtype=torch.float32)
    centre, fallen = (float((x.sum(0) @ columns) / x.sum()) for x in (alpha, cast))
    assert fallen > centre
    rows = (cast.amax(1) > 0.2).nonzero()[:, 0]
    assert STAGE.ground - 5 < int(rows[0])
    assert int(rows[-1]) < STAGE.ground + 9


def test_shadows_touch_what_stands_on_the_ground() -> None:
    for sprite in SPRITES:
        if sprite.action not in ("hopping", "driving", "tumbling"):
            continue
        pixels, motion_of = sprites.load_picture(sprite), sprites.motion_of(sprite)
        frame = sprites.render(pixels, motion_of.poses[-1], STAGE, HIGH_SUN_ON_THE_LEFT)
        lowest = int((frame[3].amax(1) > 0.5).nonzero()[-1])
        touching = frame[3][lowest] > 0.5
        below = frame[4:, lowest : lowest + 3].amax((0, 1))
        assert float(below[touching].max()) > 0.4, sprite.name


def test_paint_changes_the_hue_and_leaves_the_outline() -> None:
    for sprite in SPRITES:
        if sprite.painted:
            red, blue = sprites.load_picture(sprite, 0), sprites.load_picture(sprite, 1)
            assert torch.equal(red[3], blue[3])
            solid = red[3] > 0.9
            warmth = [(p[0] - p[2])[solid].mean() for p in (red, blue)]
            assert warmth[0] > warmth[1] + 0.15, sprite.name
