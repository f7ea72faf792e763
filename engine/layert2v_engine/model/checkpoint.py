"""Checkpoint folders: diffusers' layout, safetensors only, with what a model can do in its index.

    <model>/model_index.json     the components (folder -> library, class) and our declarations
    <model>/transformer/         config.json and weights, in pieces that any file host takes
    <model>/autoencoder/ ...     further components, each with its own config.json

Knows folders and declarations, not how a component is used. Weights in other people's layouts are
read by ``model.wan_import``.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject, parse
from layert2v.spec import ModelInfo, model_from_json, model_to_json
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.image.compositing import ShadowDomain
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.diffusers_classes import WanTransformer3DModel, diffusers
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.model.weights_check import check_weights
from layert2v_engine.out_of_memory import is_out_of_memory

INDEX = "model_index.json"
FORMAT = 1
# What a model's images can be written in, as far as this engine goes.
COLORSPACES = ("lin_rec709_scene", "lin_ap1_scene", "lin_ap0_scene", "lin_rec2020_scene")
SMALL_MODEL = 500_000_000  # bytes; up to here weights are cut so that repositories take them
SMALL_SHARD, LARGE_SHARD = "14MB", "5GB"  # many hosts refuse files of 15 MB and more

_CHOICES = {
    "prediction": ("v", "x"),
    "timesteps": ("real", "whole"),
    "noise_levels": ("layert2v", "diffusers"),
    "text_padding": ("masked", "attended"),
    "routing": ("layered", "joint"),
    "shadow_domain": get_args(ShadowDomain),
    "frozen_attention": ("full", "one_way"),
}
# Keys of the index that differ from their names here.
_STORED_NAMES = {
    "latent_normalization": "whitening",
    "timesteps": "times",
    "matte_color": "matte_colour",
}
# Declarations that the first checkpoints do not make, and what holds for them.
_DEFAULTS: dict[str, Any] = {
    "frozen_attention": "full",
    "distilled_guidance": 0.0,
    "text_padding": "masked",
    "noise_levels": "layert2v",
    "untrained": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentNormalization:
    """Statistics of the latents of one role, per channel: z = (latent - mean) / std."""

    latents_mean: tuple[float, ...]
    latents_std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """What a checkpoint declares about itself.

    info: limits, defaults and abilities, as published; its digest is that of the files.
    latent_normalization: statistics by role (``foreground``) or stream (``foreground_02``).
    prediction: what the network's output is, noise - clean (``v``) or clean latents (``x``).
    timesteps: ``real`` numbers 0..1000, or ``whole`` ones as LayerT2V shows them.
    routing: which stream attends to which prompt; ``layered`` is ``StreamLayout.attended_prompts``,
        with ``joint`` every stream attends to the global prompt alone.
    text_encoder, text_tokens: ``minilm`` or ``umt5``, and the length prompts are padded to.
    text_padding: what follows the tokens of a prompt is hidden (``masked``), or zeros that are
        attended to up to ``text_tokens``, as in Wan.
    solver, shift, guidance_interval: how the model likes to be sampled.
    noise_levels: ``layert2v``, evenly down to 0 before the shift, or those of ``diffusers``.
    frames_per_stream: latent frames between the rotary positions of two streams; 0 is the clip's.
    shadow_domain: light a shadow's opacity takes away, in ``linear`` or ``display`` values.
    matte_color: the gray (0..1, display-referred) that foregrounds lie over.
    frozen_attention: what clean streams saw in training: all others (``full``), or one another only
        (``one_way``), so that their keys and values hold for a whole run.
    distilled_guidance: the scale whose guided output the network was taught to give in one pass;
        0 for a network that is guided while it samples.
    untrained: layers were added to the weights, and not yet trained.
    """

    info: ModelInfo
    latent_normalization: Mapping[str, LatentNormalization]
    prediction: str = "v"
    timesteps: str = "real"
    routing: str = "layered"
    text_encoder: str = "minilm"
    text_tokens: int = 512
    text_padding: str = "masked"
    solver: str = "unipc"
    shift: float = 1.0
    noise_levels: str = "layert2v"
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    frames_per_stream: int = 0
    shadow_domain: ShadowDomain = "linear"
    matte_color: float = 0.0
    frozen_attention: str = "full"
    distilled_guidance: float = 0.0
    untrained: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                stored = _STORED_NAMES.get(name, name)
                raise BadCheckpoint(
                    f"The checkpoint's {stored} must be one of {', '.join(choices)}.",
                    "Use the engine version that the checkpoint was made for.",
                )
        statistics = self.latent_normalization.values()
        if len({len(s) for n in statistics for s in (n.latents_mean, n.latents_std)}) != 1:
            raise BadCheckpoint("The latent statistics of the roles differ in length.")

    def latents_mean_std(self, layout: StreamLayout) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation [S, C] of each stream's latents."""
        names = list(self.latent_normalization)
        chosen = [self.latent_normalization[names[row]] for row in layout.modulation_rows(names)]
        means, stds = zip(*((n.latents_mean, n.latents_std) for n in chosen), strict=True)
        return torch.tensor(means), torch.tensor(stds)


def write_index(config: CheckpointConfig, folder: Path) -> CheckpointConfig:
    """Write the index of a folder whose components are complete; return it with their digest."""
    for path in folder.glob("*/config.json"):
        own = json.loads(path.read_text())
        if own.pop("_name_or_path", None) is not None:  # diffusers notes a path of this machine
            with atomic_write(path) as temporary:  # it may be a link to that of another model
                temporary.write_text(json.dumps(own, indent=2) + "\n")
    config = replace(config, info=replace(config.info, digest=digest(folder)))
    index: dict[str, Any] = {
        "_class_name": "LayerT2VPipeline",
        "_diffusers_version": diffusers.__version__,
        **{path.parent.name: _component(path) for path in sorted(folder.glob("*/config.json"))},
        "layert2v": _to_json(config),
    }
    with atomic_write(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(index, indent=2) + "\n")
    _share(folder)
    return config


def _share(folder: Path) -> None:
    """Let those read the weights who may read the index: safetensors writes for one user alone."""
    allowed = (folder / INDEX).stat().st_mode & 0o444
    for path in folder.rglob("*"):
        with suppress(OSError):  # a link to a file of somebody else
            if path.is_file() and not path.is_symlink():
                path.chmod(path.stat().st_mode | allowed)


def read_index(folder: Path) -> CheckpointConfig:
    """Return the declarations of a checkpoint folder.

    Raises ModelNotFound where there is no index, BadCheckpoint where it cannot be understood.
    """
    path = folder / INDEX
    if not path.is_file():
        raise ModelNotFound(
            f"{folder} is not a model folder: it has no {INDEX}.", "Name a folder with one."
        )
    try:
        index = JsonObject(parse(path.read_text("utf-8"), SpecError), "", SpecError)
        if str(index.value("_class_name")).startswith("Wan"):
            raise BadCheckpoint(
                f"{folder} is a model of diffusers, which knows no layers.",
                f"Run layert2v-engine convert {folder} --out NEW first.",
            )
        return _from_json(index.value("layert2v"))
    except (SpecError, OSError, UnicodeDecodeError) as error:
        raise BadCheckpoint(
            f"{path} cannot be read: {error}", "Export the checkpoint again."
        ) from error


@contextmanager
def raise_bad_checkpoint(what: str) -> Iterator[None]:
    """Raise BadCheckpoint for whatever a library raises while it loads ``what``.

    Files may be missing, damaged, of another format (only safetensors are read) or shape.
    """
    try:
        yield
    except (
        *(OSError, ValueError, LookupError, AttributeError, TypeError, RuntimeError),
        SafetensorError,
    ) as error:
        if is_out_of_memory(error):  # no fault of the files
            raise
        detail = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadCheckpoint(
            f"{what} cannot be loaded: {detail}",
            "Copy the model folder again, whole and unchanged.",
        ) from error


def digest(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files of a checkpoint but its index."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.parent != folder):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def link_folder(source: Path, target: Path) -> None:
    """Copy a folder of components; files are hard links where the disk allows it.

    A text encoder may take 22 GB. Whoever changes such a file must replace it.
    """
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def save_transformer(
    model: LayeredWanTransformer3DModel, folder: Path, *, dtype: torch.dtype | None = None
) -> None:
    """Write config and weights in pieces, as ``dtype`` if given; the model stays as it is.

    What diffusers keeps in float32, such as modulations, is written so.
    """
    saved = model if dtype is None else cast_weights(copy.deepcopy(model), dtype)
    size = sum(each.nbytes for each in saved.parameters())
    saved.save_pretrained(
        folder, max_shard_size=SMALL_SHARD if size <= SMALL_MODEL else LARGE_SHARD
    )


def cast_weights(
    model: LayeredWanTransformer3DModel, dtype: torch.dtype
) -> LayeredWanTransformer3DModel:
    """Cast what diffusers does not keep in float32, in place."""
    kept = set(model._keep_in_fp32_modules or ())
    for name, parameter in model.named_parameters():
        if not kept & set(name.split(".")):
            parameter.data = parameter.data.to(dtype)
    return model


def load_transformer(
    folder: Path, *, dtype: torch.dtype = torch.float32, **settings: Any
) -> LayeredWanTransformer3DModel:
    """Load a layered transformer from its own folder or from a stock Wan one, for inference.

    What a stock folder lacks starts at zero, where it changes nothing. settings: in place of those
    in config.json. Raises ModelNotFound, BadCheckpoint.
    """
    if not (folder / "config.json").is_file():
        raise ModelNotFound(
            f"There is no transformer in {folder}.", "Name the folder of config.json."
        )
    with raise_bad_checkpoint(f"The transformer in {folder}"):
        check_weights(folder)
        model: LayeredWanTransformer3DModel = LayeredWanTransformer3DModel.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, **settings
        )
        _fill_missing(model, folder)
    return model.eval()


def _fill_missing(model: LayeredWanTransformer3DModel, folder: Path) -> None:
    """Set the parameters that diffusers left without data to zero, if they are ours."""
    written_by = json.loads((folder / "config.json").read_text())["_class_name"]
    stock = written_by == WanTransformer3DModel.__name__
    for name, parameter in list(model.named_parameters()):
        if not parameter.is_meta:
            continue
        if not stock or name not in ("layer_modulation", "position_table"):
            raise BadCheckpoint(f"The transformer in {folder} lacks {name}.", "Copy it again.")
        setattr(model, name, nn.Parameter(torch.zeros(parameter.shape)))


def _component(config: Path) -> list[str]:
    """Return library and class of a component, as diffusers notes them."""
    name = json.loads(config.read_text()).get("_class_name", "")
    library = "diffusers" if hasattr(diffusers, name) else "layert2v_engine"
    return [library, name]


def _to_json(config: CheckpointConfig) -> dict[str, Any]:
    plain = {_STORED_NAMES.get(f.name, f.name): getattr(config, f.name) for f in fields(config)}
    plain["info"] = model_to_json(config.info)
    plain["whitening"] = {
        role: {"mean": list(n.latents_mean), "std": list(n.latents_std)}
        for role, n in config.latent_normalization.items()
    }
    return {"format": FORMAT, **plain}


def _from_json(value: Any) -> CheckpointConfig:
    if isinstance(value, dict):
        value = _DEFAULTS | value
    index = JsonObject(value, "layert2v", SpecError)
    if index.integer("format") != FORMAT:
        raise index.value_error("format", f"{FORMAT}; this engine knows no other")
    config = CheckpointConfig(
        info=model_from_json(index.value("info")),
        latent_normalization={
            role: _read_normalization(role, entry)
            for role, entry in index.mapping("whitening").items()
        },
        prediction=index.text("prediction"),
        timesteps=index.text("times"),
        routing=index.text("routing"),
        text_encoder=index.text("text_encoder"),
        text_tokens=index.integer("text_tokens"),
        solver=index.text("solver"),
        shift=index.number("shift"),
        guidance_interval=index.number_pair("guidance_interval"),
        frames_per_stream=index.integer("frames_per_stream"),
        shadow_domain=cast(ShadowDomain, index.text("shadow_domain")),
        matte_color=index.number("matte_colour"),
        frozen_attention=index.text("frozen_attention"),
        distilled_guidance=index.number("distilled_guidance"),
        text_padding=index.text("text_padding"),
        noise_levels=index.text("noise_levels"),
        untrained=index.boolean("untrained"),
    )
    index.refuse_unknown()
    return config


def _read_normalization(role: str, value: Any) -> LatentNormalization:
    entry = JsonObject(value, f"whitening.{role}", SpecError)
    return LatentNormalization(
        latents_mean=_numbers(entry, "mean"), latents_std=_numbers(entry, "std")
    )


def _numbers(entry: JsonObject, key: str) -> tuple[float, ...]:
    values = entry.value(key)
    if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
        raise entry.value_error(key, "a list of numbers")
    return tuple(float(v) for v in values)
