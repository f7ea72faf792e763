"""The fixed prompts of a recipe, whose states are kept in place of a text encoder."""

from __future__ import annotations

from layert2v_engine.recipes.catalog import Recipe
from layert2v_engine.recipes.wan import NEGATIVE_PROMPT

REMOVAL_PROMPTS = {
    "svor": ("Remove the target and fill the content appropriately", NEGATIVE_PROMPT),
    "gen-omnimatte-wan": ("a clean background",),
    "rose": ("",),
}


def fixed_prompts(recipe: Recipe) -> tuple[str, ...]:
    """Return the prompts of a recipe that are the same in every run; none for other recipes."""
    return REMOVAL_PROMPTS.get(recipe.remover, ())
