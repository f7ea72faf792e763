"""Recipes that begin with a sentence, as the models that hosts and clients list.

Reads configurations, no weights.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from layert2v.spec import NO_SHADOWS, ModelInfo
from layert2v_engine.errors import EngineError
from layert2v_engine.model.checkpoint import COLORSPACES, raise_bad_checkpoint
from layert2v_engine.recipes.catalog import PROMPT, RECIPES, Recipe
from layert2v_engine.weights.folder import WeightsFolder

NETWORK = "wan-t2v"
DEFAULT_STEPS = 50  # of flat video, a plate included
_TOKEN_SIDE = 2  # latent pixels of a token

_log = logging.getLogger(__name__)


def recipe_models(weights: WeightsFolder) -> dict[str, ModelInfo]:
    """Return the recipes that begin with a sentence and whose networks are all here, as models."""
    found = {}
    for recipe in RECIPES.values():
        if recipe.starts_from != PROMPT:
            continue
        try:
            states = [weights.state(name) for name in recipe.networks]
            if all(state.is_usable for state in states):
                found[recipe.name] = _info(recipe, size_step(weights.require(NETWORK)))
        except EngineError as error:  # what is wrong there must not keep other models from working
            _log.warning("recipe=%s skipped: %s", recipe.name, error)
    return found


def _info(recipe: Recipe, step: int) -> ModelInfo:
    width, height = (round(side / step) * step for side in recipe.size)
    return ModelInfo(
        name=recipe.name,
        title=recipe.title,
        digest="",
        width_range=(2 * step, 40 * step),
        height_range=(2 * step, 40 * step),
        size_step=step,
        frames_range=(5, 121),
        frames_step=4,
        max_foregrounds=3,
        abilities=("generate",) if recipe.name == "flat+decompose" else ("generate", NO_SHADOWS),
        default_width=width,
        default_height=height,
        default_frames=recipe.frames,
        default_fps=16.0,
        default_steps=DEFAULT_STEPS,
        default_guidance=5.0,
        steps_range=(1, 200),
        guidance_range=(1.0, 20.0),
        colorspaces=COLORSPACES,
    )


def size_step(folder: Path) -> int:
    """Return what the sides of a video must be multiples of, by the autoencoder's configuration."""
    with raise_bad_checkpoint(str(folder)):
        config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    return _TOKEN_SIDE * int(config.get("scale_factor_spatial") or 8)
