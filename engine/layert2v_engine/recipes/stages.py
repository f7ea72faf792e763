"""The stages of a decomposition as a recipe makes them of networks of others."""

from __future__ import annotations

from dataclasses import replace

import torch

from layert2v_engine.decompose.stages import Stages
from layert2v_engine.recipes.catalog import Recipe
from layert2v_engine.recipes.plate.fun_inpaint import REMOVERS, load_fun_network
from layert2v_engine.recipes.plate.remover import WindowedRemover
from layert2v_engine.recipes.plate.svor import load_svor
from layert2v_engine.recipes.preflight import recipe_networks
from layert2v_engine.recipes.subjects.boxes import GroundingDino
from layert2v_engine.recipes.subjects.tracking import Sam2Tracker
from layert2v_engine.recipes.text import encoder_record
from layert2v_engine.weights.folder import WeightsFolder


def open_stages(
    recipe: Recipe,
    included: Stages,
    weights: WeightsFolder,
    device: torch.device,
    *,
    with_words: bool,
) -> Stages:
    """Return the stages of a recipe; ``included`` are those of the product, for the rest.

    Raises WeightsMissing and BadCheckpoint, before anything runs.
    """
    names = recipe_networks(recipe, with_words=with_words)
    records = (*(weights.record(name) for name in names), encoder_record(weights))
    detector = None
    if with_words:
        detector = GroundingDino(weights.require("grounding-dino"), device)
    tracker = Sam2Tracker(
        weights.require("sam2.1"), device, saliency=included.saliency, detector=detector
    )
    if recipe.remover in REMOVERS:
        remover = WindowedRemover(load_fun_network(recipe.remover, weights, device))
    else:
        remover = WindowedRemover(load_svor(weights, device))
    return replace(included, networks=records, tracker=tracker, remover=remover)
