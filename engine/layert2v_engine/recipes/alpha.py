"""Wan-Alpha v2: foregrounds with alpha from sentences, over a plate by Wan (arXiv 2509.24979).

Its transformer is Wan 2.1 T2V 14B with a DoRA and a four-step LoRA folded in; its latents are
decoded twice, once for color and once for alpha. Where a subject is to be is said by an ellipse,
which shifts the mean of the noise around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from diffusers import UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor, nn

from layert2v.placement import Placement
from layert2v.spec import GenerateSpec, spec_to_json
from layert2v.stack import Role, Stack, slug
from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.image.exr_header import ExrOptions
from layert2v_engine.model.components import working_dtype
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.model.lora import merge_lora
from layert2v_engine.recipes.from_prompt import RecipeRun
from layert2v_engine.recipes.lora import fold_updates, read_update
from layert2v_engine.recipes.models import NETWORK
from layert2v_engine.recipes.text import encode_text, encoder_record
from layert2v_engine.recipes.text_to_video import TextToVideo, load_text_to_video
from layert2v_engine.recipes.wan import NEGATIVE_PROMPT, SHIFT, load_network, load_vae
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

STEPS = 4  # that the four-step LoRA was made for, without guidance
MEAN_SHIFT = 0.05  # of the noise outside of the ellipse
_STAGE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"load": 0.2, "text": 0.05, "denoise": 0.6, "decode": 0.1, "write": 0.05}
)
_DOWN = (".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight")
_UP = (".lora_up.weight", ".lora_B.weight", ".lora_B.default.weight")


class Ellipse(NamedTuple):
    """Where a subject is to be: center and full lengths, as shares of width and height.

    ``strength`` multiplies the shift of the noise around it.
    """

    x: float
    y: float
    width: float
    height: float
    strength: float = 1.0


class AlphaVideo(NamedTuple):
    """Straight color ``[T, 3, H, W]``, as displayed, and alpha ``[T, H, W]``, both in 0..1."""

    color: Tensor
    alpha: Tensor


class AlphaNetwork:
    """Wan-Alpha, ready to make foregrounds."""

    def __init__(
        self, transformer: Any, color_vae: Any, alpha_vae: Any, device: torch.device
    ) -> None:
        """Take networks on the CPU; the transformer has its updates folded in."""
        self._vaes, self._device = (color_vae, alpha_vae), device
        scheduler = UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT
        )
        self._video = TextToVideo(
            WanPipeline(
                tokenizer=None,
                text_encoder=None,
                transformer=transformer,
                vae=color_vae,
                scheduler=scheduler,
            ),
            device,
            is_large=True,
        )
        config = color_vae.config
        self._mean, self._std = (
            torch.tensor(values).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        self._grid = (2 ** sum(config.temperal_downsample), 2 ** len(config.temperal_downsample))

    def sample(
        self, text: Tensor, spec: GenerateSpec, place: Ellipse, seed: int, on_step: Any
    ) -> AlphaVideo:
        """Return one foreground. text: states ``[2, 512, D]``; the second is not used."""
        group, factor = self._grid
        shape = (
            1,
            self._mean.shape[1],
            1 + (spec.frames - 1) // group,
            spec.height // factor,
            spec.width // factor,
        )
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        latents = self._video.sample(
            text,
            size=(spec.width, spec.height),
            frames=spec.frames,
            steps=STEPS,
            guidance=1.0,
            seed=seed,
            on_step=on_step,
            latents=place_noise(noise, place),
            output="latent",
        )
        color, alpha = (self._decode(vae, latents) for vae in self._vaes)
        return AlphaVideo(color, alpha.mean(1))

    @torch.no_grad()
    def _decode(self, vae: Any, latents: Tensor) -> Tensor:
        vae.to(self._device)
        scaled = (latents * self._std + self._mean).to(self._device)
        pixels: Tensor = vae.decode(scaled, return_dict=False)[0]
        if self._device.type != "cpu":
            vae.to("cpu")
        return (pixels[0].movedim(0, 1).float().cpu() / 2 + 0.5).clamp(0.0, 1.0)


def place_noise(noise: Tensor, place: Ellipse) -> Tensor:
    """Return noise ``[1, C, T, h, w]`` whose mean is raised outside of an ellipse.

    Inside it falls off as a Gaussian of half the ellipse's lengths, stretched to 0..1.
    """
    height, width = noise.shape[-2:]
    rows = (torch.arange(height) + 0.5) / height - place.y
    columns = (torch.arange(width) + 0.5) / width - place.x
    squares = (columns / (place.width / 2))[None] ** 2 + (rows / (place.height / 2))[:, None] ** 2
    inside = torch.exp(-0.5 * squares)
    low, high = inside.min(), inside.max()
    inside = (inside - low) / (high - low).clamp_min(1e-9)
    return noise + (1.0 - inside) * MEAN_SHIFT * place.strength


def find_places(count: int, placements: Sequence[Placement]) -> tuple[Ellipse, ...]:
    """Return an ellipse for each foreground: that of the request, a box as the ellipse in it.

    Those that the request does not place stand side by side, taller than wide.
    """
    places = [Ellipse((k + 1) / (count + 1), 0.55, 0.8 / count, 0.8) for k in range(count)]
    for each in placements:
        if each.foreground > count:  # a request without foreground prompts has one
            continue
        center = (each.x + each.width / 2, each.y + each.height / 2)
        places[each.foreground - 1] = Ellipse(*center, each.width, each.height, each.strength)
    return tuple(places)


def alpha_prompt(words: str) -> str:
    """Return a sentence as Wan-Alpha was taught: background, shot and style are named."""
    said = words.strip().rstrip(".")
    return f"This video has a transparent background. Medium shot. {said}. Realistic style."


def decoder_with(vae: AutoencoderKLWan, state: Mapping[str, Tensor], part: str) -> nn.Module:
    """Return the autoencoder with the decoder's updates of one part: ``vae_fgr`` or ``vae_pha``.

    ``W + up @ down / rank`` for each convolution, under Wan's own names. Raises BadCheckpoint.
    """
    updates: dict[str, Tensor] = {}
    own = {name for name, _ in vae.named_modules()}
    for key, down in state.items():
        ending = next((each for each in _DOWN if key.endswith(each)), None)
        if ending is None or not key.startswith(f"{part}."):
            continue
        up_key = key.removesuffix(ending) + _UP[_DOWN.index(ending)]
        theirs = key.removeprefix(f"{part}.").removesuffix(ending).replace(".conv3D", "")
        (weight,) = convert_wan_vae_to_diffusers({f"{theirs}.weight": down})
        name = weight.removesuffix(".weight")
        if name not in own or up_key not in state:
            raise BadCheckpoint(
                f"Wan-Alpha's decoder updates {theirs}, which Wan 2.1's does not have.",
                "Take the decoder of version 2, as safetensors.",
            )
        updates[f"{name}.down.weight"] = down
        updates[f"{name}.up.weight"] = state[up_key]
        updates[f"{name}.scale"] = torch.tensor([1.0 / down.shape[0]])
    if not updates:
        raise BadCheckpoint(
            f"Wan-Alpha's decoder has no updates called {part}.",
            "Take the decoder of version 2, as safetensors.",
        )
    try:
        return merge_lora(vae, updates)
    except RuntimeError as error:  # sizes that differ
        raise BadCheckpoint(
            "Wan-Alpha's decoder is for an autoencoder of another width.",
            "Take the autoencoder of Wan 2.1.",
        ) from error


def load_alpha(run: RecipeRun) -> AlphaNetwork:
    """Load Wan-Alpha with everything folded in. Raises WeightsMissing, BadCheckpoint."""
    weights = run.weights
    folder = weights.require("wan2.1-t2v-14b")
    transformer = load_network(WanTransformer3DModel, folder, working_dtype(folder, run.device))
    own, steps = weights.require("wan-alpha-v2"), weights.require("lightx2v")
    fold_updates(transformer, read_update(own / "dora.safetensors"), "Wan-Alpha's DoRA")
    for path in sorted(steps.glob("*.safetensors")):
        fold_updates(transformer, read_update(path), f"LightX2V's {path.name}")
    vae, state = load_vae(weights), read_update(own / "decoder.safetensors")
    color, alpha = (decoder_with(vae, state, part) for part in ("vae_fgr", "vae_pha"))
    return AlphaNetwork(transformer, color, alpha, run.device)


def generate_alpha_stack(spec: GenerateSpec, run: RecipeRun) -> Stack:
    """Write a plate and foregrounds over it as a stack; there are no shadows.

    Raises WeightsMissing, BadCheckpoint, Cancelled, StackError, DiskFull.
    """
    progress = run.progress
    progress.stage_weights = _STAGE_WEIGHTS
    seed = spec.seed or 0
    prompts = spec.foreground_prompts or (spec.prompt,)
    total = spec.steps + STEPS * len(prompts)
    done = 0

    def on_step(step: int) -> None:
        progress.report("denoise", done + step, total)

    with _open_writer(spec, run) as writer, closing(progress):
        progress.report("load", 0, 1, f"loading {run.recipe.name}")
        background = spec.background_prompt or spec.prompt
        text = partial(encode_text, weights=run.weights, device=run.device, is_kept=False)
        negative = spec.negative_prompt or NEGATIVE_PROMPT
        states = [text((words, negative)) for words in (background, *map(alpha_prompt, prompts))]
        plate = load_text_to_video(run.weights.require(NETWORK), run.device)
        progress.report("load", 1, 1)
        video = plate.sample(
            states[0],
            size=(spec.width, spec.height),
            frames=spec.frames,
            steps=spec.steps,
            guidance=spec.guidance,
            seed=seed,
            on_step=on_step,
        )
        del plate  # two networks of 14 billion numbers do not fit beside each other
        writer.add_layer("bg", Role.background, prompt=background, seed=seed)
        for index, picture in enumerate(video):
            writer.write_frame("bg", index, picture)
        network = load_alpha(run)
        done = spec.steps
        for number, (words, place) in enumerate(
            zip(prompts, find_places(len(prompts), spec.placements), strict=True), 1
        ):
            found = network.sample(states[number], spec, place, seed + number, on_step)
            name = f"fg_{number:02d}"
            writer.add_layer(name, Role.foreground, prompt=words, seed=seed + number)
            for index in range(spec.frames):
                writer.write_frame(name, index, found.color[index], found.alpha[index])
            done += STEPS
        return writer.finish(_provenance(spec, run), progress=partial(progress.report, "write"))


def _open_writer(spec: GenerateSpec, run: RecipeRun) -> StackWriter:
    return StackWriter(
        run.progress.folder,
        name=slug(spec.prompt),
        width=spec.width,
        height=spec.height,
        fps=spec.fps,
        start_frame=spec.start_frame,
        frames=spec.frames,
        colorspace=spec.colorspace,
        exr=ExrOptions(compression=spec.compression),
    )


def _provenance(spec: GenerateSpec, run: RecipeRun) -> Provenance:
    return Provenance(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        seed=spec.seed or 0,
        model=spec.model,
        prompt_interpretation="; ".join(spec.foreground_prompts or (spec.prompt,)),
        warnings=("Wan-Alpha makes no shadows.",),
        spec=spec_to_json(spec),
        networks=(
            *(run.weights.record(name) for name in run.recipe.networks),
            encoder_record(run.weights),
        ),
    )
