"""What is said about a scene in training, in the order of a layout's prompts."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from layert2v_engine.world.text.descriptions import describe, plain
from layert2v_engine.world.text.scenes import Scene, draw
from layert2v_engine.world.text.vocabulary import Selection

SCENES = 4000  # that have used every word many times


def spoken(scene: Scene, rng: Random | None = None) -> tuple[str, ...]:
    """Sentences about the whole, each foreground and the background; random ones with `rng`."""
    said = plain(scene) if rng is None else describe(scene, rng)
    return (said.whole, *said.foregrounds, said.background)


def samples(selection: Selection) -> Iterator[str]:
    """Sentences enough to know every word that occurs."""
    rng = Random(0)  # noqa: S311 - sentences, not secrets
    for _ in range(SCENES):
        yield from spoken(draw(rng, selection), rng)
