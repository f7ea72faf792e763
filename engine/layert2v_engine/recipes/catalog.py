"""The recipes: what each is made of, and which networks it needs.

Knows names; whether they are here is for ``preflight``, how they run for ``stages`` and ``flat``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from layert2v_engine.errors import RecipeUnknown

DEFAULT_RECIPE = "decompose"
FOOTAGE, PROMPT = "footage", "a sentence"
_INCLUDED = ("u2netp", "splitter")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A way that ends in a stack.

    ``starts_from`` is ``FOOTAGE`` or ``PROMPT``. ``networks`` are names of the ledger; those in
    ``for_words`` are needed where subjects are said in words alone, ``text`` where its fixed
    prompt is not kept yet. ``frames``, ``size`` (width, height), ``steps`` and ``passes`` a step
    are what one run of its largest network takes at once; ``is_block_offloaded`` says that its
    blocks wait in the memory of the CPU.
    """

    name: str
    title: str
    starts_from: str
    networks: tuple[str, ...] = ()
    for_words: tuple[str, ...] = ()
    transformer: str = ""
    remover: str = ""
    frames: int = 81
    size: tuple[int, int] = (832, 480)
    is_block_offloaded: bool = False
    steps: int = 0
    passes: int = 1


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name=DEFAULT_RECIPE,
                title="layers of footage by the product's own small networks",
                starts_from=FOOTAGE,
                networks=("u2netp", "nanodet", "splitter", "all-minilm-l6-v2"),
            ),
            Recipe(
                name="decompose+",
                title="layers of footage: SAM 2.1 follows subjects, SVOR makes the plate",
                starts_from=FOOTAGE,
                networks=(*_INCLUDED, "sam2.1", "wan2.1-vace-1.3b", "wan2.1-vae", "svor"),
                for_words=("grounding-dino",),
                transformer="wan2.1-vace-1.3b",
                remover="svor",
                steps=20,
                passes=2,
            ),
            Recipe(
                name="decompose+omnimatte",
                title="layers of footage: SAM 2.1 follows subjects, GenOmnimatte makes the plate",
                starts_from=FOOTAGE,
                networks=(*_INCLUDED, "sam2.1", "gen-omnimatte-wan", "wan2.1-vae"),
                for_words=("grounding-dino",),
                transformer="gen-omnimatte-wan",
                remover="gen-omnimatte-wan",
                steps=50,
            ),
            Recipe(
                name="decompose+rose",
                title="layers of footage: SAM 2.1 follows subjects, ROSE makes the plate",
                starts_from=FOOTAGE,
                networks=(*_INCLUDED, "sam2.1", "rose", "wan2.1-vae"),
                for_words=("grounding-dino",),
                transformer="rose",
                remover="rose",
                steps=50,
            ),
            Recipe(
                name="flat+decompose",
                title="Wan makes video of a sentence, which is decomposed",
                starts_from=PROMPT,
                networks=("wan-t2v", "u2netp", "nanodet", "splitter", "all-minilm-l6-v2"),
                transformer="wan2.1-t2v-1.3b",
                steps=50,
                passes=2,
            ),
            Recipe(
                name="alpha",
                title="Wan-Alpha makes foregrounds with alpha over a plate by Wan; no shadows",
                starts_from=PROMPT,
                networks=(
                    *("wan-t2v", "wan2.1-t2v-14b", "wan2.1-vae"),
                    *("wan-alpha-v2", "lightx2v"),
                ),
                transformer="wan2.1-t2v-14b",
                is_block_offloaded=True,
                steps=4,
            ),
        )
    }
)


def find_recipe(name: str) -> Recipe:
    """Return a recipe. Raises RecipeUnknown."""
    if name not in RECIPES:
        raise RecipeUnknown(
            f"There is no recipe called {name!r}.", f"There are: {', '.join(RECIPES)}."
        )
    return RECIPES[name]
