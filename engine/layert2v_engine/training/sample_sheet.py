"""What a transformer in training can do so far: fixed prompts, sampled, decoded and laid out on one
sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.metrics.contact_sheet import checkerboard, save_captioned
from layert2v_engine.model.components import load_autoencoder, load_matte_vae
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.solvers import make_sampler
from layert2v_engine.stream_codec import LayerFrames, StreamDecoder, decode_layers
from layert2v_engine.training.data import StreamWhitening
from layert2v_engine.training.joint_phase import JointConfig, Material
from layert2v_engine.world.text.captions import captions_for

ROWS = 8
MATTE_COLOR = 0.5  # what the world's foreground stream is drawn over
STEPS, GUIDANCE, SHIFT, SEED = 16, 1.5, 2.0, 1
SOLVER = "stochastic"
# Noise levels that are guided: what is drawn, not its fine detail, in which guided streams disagree
# (docs/decisions/0059-larger-pictures-from-the-same-latents.md).
GUIDED = (0.5, 1.0)


def load_decoder(run: Path, whitening: StreamWhitening, layout: StreamLayout) -> StreamDecoder:
    """The decoders a run folder holds: colour, and the one adapted to mattes, where the statistics
    are.
    """
    color = load_autoencoder(run / "autoencoder" / "model", whitening.mean.device)
    opacity = load_matte_vae(color, run / "matte")
    own = whitening.of(layout)
    return StreamDecoder(color, opacity, own.mean, own.std)


def layer_row(frames: list[LayerFrames], row: int) -> Tensor:
    """The pictures [3 + 3 K + 1, 3, H, W] of one sheet row: first and last frame, then the layers
    of the first, and what they add up to.
    """
    first, last = frames[0], frames[-1]
    background = first.background[row, :, 0]
    pictures = [first.composite[row, :, 0], last.composite[row, :, -1], background]
    checker = checkerboard(*background.shape[-2:])
    over = background
    for actor in first.foregrounds:
        color, alpha = actor.color[row, :, 0], actor.alpha[row, :, 0]
        shadow = torch.zeros_like(alpha) if actor.shadow is None else actor.shadow[row, :, 0]
        flat = [color * alpha + checker * (1 - alpha), alpha, shadow]
        pictures += [picture.expand(3, -1, -1) for picture in flat]
        over = color * alpha + over * (1 - shadow) * (1 - alpha)
    return torch.stack([*pictures, over])


def columns(foregrounds: int) -> tuple[str, ...]:
    """The headings of `layer_row`."""
    layers = [
        f"{what} {k}".removesuffix(" 1")
        for k in range(1, foregrounds + 1)
        for what in ("foreground", "matte", "shadow")
    ]
    return ("composite", "last frame", "background", *layers, "over")


class SheetSampler:
    """Samples the prompts of the first held-out scenes; satisfies `joint.Sampler`."""

    def __init__(self, run: Path, material: Material) -> None:
        self.run, self.material = run, material

    @torch.no_grad()
    def __call__(
        self,
        model: LayeredWanTransformer3DModel,
        path: Path,
        frame: int | None,
        config: JointConfig,
    ) -> None:
        foregrounds = config.foregrounds
        for count in foregrounds:
            scenes = self.material.scenes[count]
            prompts = [captions_for(scene) for scene in scenes.held_out.scenes[:ROWS]]
            decoder = load_decoder(self.run, self.material.whitening, scenes.layout)
            latents = self._sample(model, (count, config), prompts, frame)
            groups = decode_layers(latents, scenes.layout, decoder, matte_color=MATTE_COLOR)
            frames = [group.cpu() for group in groups]
            rows = [layer_row(frames, row) for row in range(len(prompts))]
            own = path if len(foregrounds) == 1 else path.with_stem(f"{path.stem}_{count}fg")
            save_captioned(rows, [words[0] for words in prompts], columns(count), own)

    def _sample(
        self,
        model: LayeredWanTransformer3DModel,
        what: tuple[int, JointConfig],
        prompts: Sequence[Sequence[str]],
        frame: int | None,
    ) -> Tensor:
        (count, config), texts = what, self.material.texts
        scenes = self.material.scenes[count]
        _, streams, channels, frames, height, width = scenes.latents.latents.shape
        shape = (len(prompts), streams, channels, 1 if frame else frames, height, width)
        generator = torch.Generator().manual_seed(SEED)
        noise = torch.randn(shape, generator=generator)
        predict = make_predictor(
            model,
            scenes.layout,
            (),
            attention="full",
            routing=config.routing,
            frame_offset=frame or 0,
            frames_per_stream=self.material.stride,
            autocast=torch.bfloat16,
        )
        return denoise(
            predict,
            noise.to(model.device),
            make_sampler(
                SOLVER,
                STEPS,
                shift=SHIFT,
                noise_source=lambda _: torch.randn(shape, generator=generator),
            ),
            Conditioning(*texts.batch(prompts)),
            Conditioning(*texts.batch([("",) * len(row) for row in prompts])),
            Guidance(scale=1.0 if config.guidance else GUIDANCE, interval=GUIDED),
        )
