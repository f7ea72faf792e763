"""What a transformer in training can do so far: fixed prompts, sampled and decoded on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from layert2v_engine.layout import Figure, StreamLayout
from layert2v_engine.metrics.contact_sheet import foreground_tiles, save_captioned
from layert2v_engine.metrics.layers import (
    matte_statistics,
    psnr,
    recompose,
    shadow_correlation,
)
from layert2v_engine.model.components import load_autoencoder, load_matte_vae
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.solvers import make_sampler
from layert2v_engine.stream_codec import (
    LayerFrames,
    StreamDecoder,
    concatenate_groups,
    decode_layers,
)
from layert2v_engine.training.init_from_checkpoint import read_init_config
from layert2v_engine.training.joint_phase import JointConfig, TrainingData
from layert2v_engine.training.latents import StreamNormalization

ROWS = 8
MATTE_COLOR = 0.5  # what the world's foreground stream is drawn over
STEPS, GUIDANCE, SHIFT, SEED = 16, 1.5, 2.0, 1
SOLVER = "stochastic"
# Noise levels that are guided: what is drawn, not its fine detail, in which guided streams disagree
# (docs/decisions/0059-decoder-with-temporal-context.md).
GUIDANCE_INTERVAL = (0.5, 1.0)


def load_decoder(
    run: Path, normalization: StreamNormalization, layout: StreamLayout
) -> StreamDecoder:
    """Return a run folder's decoders, color and matte, on the device of the statistics."""
    color = load_autoencoder(run / "autoencoder" / "model", normalization.mean.device)
    opacity = load_matte_vae(color, run / "matte")
    own = normalization.of(layout)
    return StreamDecoder(color, opacity, own.mean, own.std)


def layer_tiles(groups: list[LayerFrames], row: int) -> Tensor:
    """Return the pictures [3 + 3 K + 1, 3, H, W] in 0..1 of one sheet row.

    They are the first and last frame of the composite, then of the first frame the background, the
    tiles of K foregrounds, and the layers over one another.
    """
    first, last = groups[0], groups[-1]
    background = first.background[row, :, 0]
    pictures = [first.composite[row, :, 0], last.composite[row, :, -1], background]
    over = background
    for foreground in first.foregrounds:
        pictures += foreground_tiles(foreground, row, 0)
        color, alpha = foreground.color[row, :, 0], foreground.alpha[row, :, 0]
        cast = foreground.shadow
        shadow = torch.zeros_like(alpha) if cast is None else cast[row, :, 0]
        over = color * alpha + over * (1 - shadow) * (1 - alpha)
    return torch.stack([*pictures, over])


def column_titles(foregrounds: int) -> tuple[str, ...]:
    """Return the titles of the pictures of ``layer_tiles``."""
    layers = [
        f"{what} {k}".removesuffix(" 1")
        for k in range(1, foregrounds + 1)
        for what in ("foreground", "matte", "shadow")
    ]
    return ("composite", "last frame", "background", *layers, "over")


def sheet_metrics(groups: list[LayerFrames]) -> dict[str, float]:
    """Return how well the layers of the sampled clips fit each other, on average.

    ``recomposition`` is the PSNR of the layers over one another against the composite, in dB;
    ``matte_*`` are shares of the first foreground's matte in 0..1, ``shadow_correlation`` is that
    of its shadow with the darkening of the composite.
    """
    clips = concatenate_groups(groups)
    rows = [measure_layers(clips.select(row)) for row in range(len(clips.composite))]
    return {name: sum(each[name] for each in rows) / len(rows) for name in rows[0]}


def measure_layers(clip: LayerFrames) -> dict[str, float]:
    """Return the same for one clip."""
    metrics = {"recomposition": psnr(recompose(clip), clip.composite[0])}
    for first in clip.foregrounds[:1]:
        metrics |= {f"matte_{k}": v for k, v in matte_statistics(first.alpha).items()}
        if first.shadow is not None:
            metrics["shadow_correlation"] = shadow_correlation(clip, first)
    return metrics


class SampleSheetWriter:
    """Writes samples of the first held-out scenes' prompts; a ``joint_phase.SheetWriter``."""

    def __init__(self, run: Path, data: TrainingData) -> None:
        self.run, self.data = run, data
        start = read_init_config(run)
        self.solver = SOLVER if start is None else start.solver
        self.shift = SHIFT if start is None else start.shift
        guidance = GUIDANCE if start is None else start.info.default_guidance
        interval = GUIDANCE_INTERVAL if start is None else start.guidance_interval
        self.guidance = Guidance(scale=guidance, interval=interval)

    @torch.no_grad()
    def __call__(
        self,
        model: LayeredWanTransformer3DModel,
        path: Path,
        frame: int | None,
        config: JointConfig,
    ) -> dict[str, float]:
        foregrounds = config.foregrounds
        metrics: dict[str, float] = {}
        for count in foregrounds:
            group = self.data.groups[count]
            shown = range(min(ROWS, len(group.held_out.scenes)))
            prompts = [group.held_out.captions_of(row) for row in shown]
            figures = [group.held_out.figures_of(row) for row in shown]
            decoder = load_decoder(self.run, self.data.normalization, group.layout)
            latents = self._sample(model, (count, config), prompts, figures, frame)
            decoded = decode_layers(latents, group.layout, decoder, matte_color=MATTE_COLOR)
            groups = [frames.cpu() for frames in decoded]
            rows = [layer_tiles(groups, row) for row in range(len(prompts))]
            own = path if len(foregrounds) == 1 else path.with_stem(f"{path.stem}_{count}fg")
            save_captioned(rows, [words[0] for words in prompts], column_titles(count), own)
            end = "" if len(foregrounds) == 1 else f"_{count}fg"
            metrics |= {f"{k}{end}": v for k, v in sheet_metrics(groups).items()}
        return metrics

    def _sample(
        self,
        model: LayeredWanTransformer3DModel,
        what: tuple[int, JointConfig],
        prompts: Sequence[Sequence[str]],
        figures: Sequence[Sequence[Figure]],
        frame: int | None,
    ) -> Tensor:
        (count, config), captions = what, self.data.captions
        group = self.data.groups[count]
        _, streams, channels, frames, height, width = group.train.latents.shape
        shape = (len(prompts), streams, channels, 1 if frame else frames, height, width)
        generator = torch.Generator().manual_seed(SEED)
        shift, prior = torch.zeros(shape), self.data.prior
        if prior is not None and config.prior_share:
            shift = prior.shift(figures, group.layout, frame, shift)
        noise = torch.randn(shape, generator=generator) + shift
        predict = make_predictor(
            model,
            group.layout,
            (),
            attention="full",
            routing=config.routing,
            frame_offset=frame or 0,
            frames_per_stream=self.data.stride or frames,
            autocast=torch.bfloat16,
        )
        return denoise(
            predict,
            noise.to(model.device),
            make_sampler(
                self.solver,
                STEPS,
                shift=self.shift,
                noise_source=lambda _: torch.randn(shape, generator=generator) + shift,
            ),
            Conditioning(*captions.batch(prompts)),
            Conditioning(*captions.batch([("",) * len(row) for row in prompts])),
            Guidance(scale=1.0) if config.guidance else self.guidance,
        )
