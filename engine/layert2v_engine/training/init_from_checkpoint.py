"""Training that starts from a checkpoint: its components, put where a run folder has its own.

Encoder, matte projection and latent statistics are taken over unchanged, since the transformer
knows no other latents. The decoders are kept, too, unless the run trains new ones.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from layert2v_engine.errors import BadCheckpoint, BadConfig
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.checkpoint import CheckpointConfig, link_folder, read_index
from layert2v_engine.pipeline import find_models

START = "start"
# What a longer or more crowded scene needs; it has no weights.
FREE_SETTINGS = ("rope_max_seq_len",)


def init_from_checkpoint(run: Path, checkpoint: str, *, decoders: bool = True) -> None:
    """Prepare a run folder in which training goes on from a model; do nothing if it is one.

    checkpoint: a model folder, or the name of a shipped model. A run goes on from the model that it
        began with, also once another one ships under its name.
    decoders: take them over; else the stages ``autoencoder`` and ``matte`` train new ones.
    Raises ModelNotFound, BadCheckpoint, and BadConfig where the run has begun with something else.
    """
    folder = Path(checkpoint)
    is_named = not folder.is_dir()
    if is_named:
        folder = find_models(None).get(checkpoint, folder)
    config = read_index(folder)
    start = run / START
    if start.exists():
        begun, given = read_index(start).info, config.info
        if begun.name != given.name or (begun.digest != given.digest and not is_named):
            raise BadConfig(f"{run} started from another model.", "Name another run folder.")
        return
    if (run / "autoencoder").exists() or (run / "whitening.safetensors").exists():
        raise BadConfig(f"{run} has an autoencoder of its own already.", "Name another run folder.")
    partial = run / f"{START}.part"
    shutil.rmtree(partial, ignore_errors=True)
    link_folder(folder, partial)
    if decoders:
        shutil.copytree(partial / "autoencoder", run / "autoencoder" / "model")
    if decoders and (partial / "matte").exists():
        shutil.copytree(
            partial / "matte",
            run / "matte" / "projection",
            ignore=shutil.ignore_patterns("decoder_lora.safetensors"),
        )
        shutil.copy(partial / "matte" / "decoder_lora.safetensors", run / "matte")
    save_file(_latent_statistics(config, folder), run / "whitening.safetensors")
    partial.rename(start)


def read_init_config(run: Path) -> CheckpointConfig | None:
    """Return the configuration of the model a run started from; None where there is none."""
    return read_index(run / START) if (run / START).exists() else None


def trains_shadows(run: Path) -> bool:
    """Return whether a run's transformer has streams of cast shadows: as its start has them."""
    start = read_init_config(run)
    return start is None or start.info.makes_shadows


def network_settings(run: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the transformer to train: those of the start, or ``wanted``.

    Raises BadConfig where both are given and differ.
    """
    if not (run / START).exists():
        return wanted
    path = run / START / "transformer" / "config.json"
    settings = {k: v for k, v in json.loads(path.read_text()).items() if not k.startswith("_")}
    for name, value in wanted.items():
        if name not in FREE_SETTINGS and settings.get(name) != value:
            raise BadConfig(
                f"joint.transformer.{name} is {value!r}, but the start has {settings.get(name)!r}.",
                "Leave it out: a start brings its own transformer.",
            )
    return settings | {name: wanted[name] for name in FREE_SETTINGS if name in wanted}


def _latent_statistics(config: CheckpointConfig, folder: Path) -> dict[str, torch.Tensor]:
    """Return mean and deviation of latents by role, [5, C] each.

    A model without shadows has those of mattes there.
    """
    found = dict(config.latent_normalization)
    if not config.info.makes_shadows and StreamRole.matte in found:
        found.setdefault(StreamRole.shadow, found[StreamRole.matte])
    if missing := [role.value for role in StreamRole if role.value not in found]:
        raise BadCheckpoint(f"{folder} has no latent statistics of {', '.join(missing)}.")
    chosen = [found[role.value] for role in StreamRole]
    return {
        "mean": torch.tensor([w.latents_mean for w in chosen]),
        "std": torch.tensor([w.latents_std for w in chosen]),
    }
