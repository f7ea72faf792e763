"""Training captions of a scene, in the order of a layout's prompts: whole, foregrounds, background.

Knows words only: standard library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from layert2v_engine.world.text.descriptions import canonical_description, describe
from layert2v_engine.world.text.scenes import Scene, sample_scene
from layert2v_engine.world.text.vocabulary import Selection

SAMPLED_SCENES = 4000  # enough for every word to occur many times


def captions_for(
    scene: Scene, rng: Random | None = None, details: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the caption of the whole, of each foreground, and of the background.

    They are random ones with ``rng``, else canonical; ``details`` are those that a request tells.
    """
    if rng is None:
        description = canonical_description(scene, details)
    else:
        description = describe(scene, rng, details)
    return (description.whole, *description.foregrounds, description.background)


def sample_captions(selection: Selection) -> Iterator[str]:
    """Yield captions of random scenes, enough for every word of ``selection`` to occur."""
    rng = Random(0)  # noqa: S311 - sentences, not secrets
    for _ in range(SAMPLED_SCENES):
        yield from captions_for(sample_scene(rng, selection), rng)
