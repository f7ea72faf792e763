"""What a recipe needs, said before it starts: weights, licences, memory, arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from layert2v_engine.errors import OutOfMemory, WeightsMissing
from layert2v_engine.recipes.catalog import Recipe
from layert2v_engine.recipes.memory import RecipeCost, recipe_cost
from layert2v_engine.recipes.plate.prompts import fixed_prompts
from layert2v_engine.recipes.text import ENCODER, stored_text
from layert2v_engine.weights.folder import NetworkState, WeightsFolder

GIB = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeState:
    """A recipe as it stands here: its networks in order, and what a run of it would cost."""

    recipe: Recipe
    networks: tuple[NetworkState, ...]
    cost: RecipeCost | None

    @property
    def missing(self) -> tuple[NetworkState, ...]:
        """Networks that cannot be used."""
        return tuple(state for state in self.networks if not state.is_usable)


def recipe_networks(recipe: Recipe, *, with_words: bool) -> tuple[str, ...]:
    """Return the names of the networks that a run of a recipe loads."""
    return (*recipe.networks, *(recipe.for_words if with_words else ()))


def inspect_recipe(recipe: Recipe, weights: WeightsFolder, *, with_words: bool) -> RecipeState:
    """Return which networks of a recipe are here. Raises BadConfig."""
    names = [*recipe_networks(recipe, with_words=with_words)]
    prompts = fixed_prompts(recipe)
    is_kept = bool(prompts) and stored_text(prompts, weights).is_file()
    if recipe.transformer and not is_kept:
        names.append(ENCODER)
    return RecipeState(
        recipe=recipe,
        networks=tuple(weights.state(name) for name in names),
        cost=recipe_cost(recipe, reads_text=not is_kept) if recipe.transformer else None,
    )


def check_recipe(
    recipe: Recipe, weights: WeightsFolder, device: torch.device, *, with_words: bool
) -> None:
    """Raise WeightsMissing or OutOfMemory where a recipe cannot run here, in one sentence."""
    state = inspect_recipe(recipe, weights, with_words=with_words)
    if state.missing:
        first = state.missing[0]
        count = len(state.missing)
        others = f" {count} networks are missing in all." if count > 1 else ""
        raise WeightsMissing(
            f"The recipe {recipe.name} needs {first.network.title}: {first.problem}{others}",
            f"Where: {first.network.origin}. Nothing is downloaded here; layert2v-engine recipes "
            f"{recipe.name} lists what it needs.",
        )
    if state.cost is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if state.cost.peak > free:
            raise OutOfMemory(
                f"The recipe {recipe.name} takes {state.cost.peak / GIB:.1f} GiB of the device, "
                f"where {free / GIB:.1f} are free.",
                "Use a larger device, or the recipe decompose, which needs none.",
            )
