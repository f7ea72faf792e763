"""What a transformer in training can do so far: fixed prompts, sampled, decoded and laid out on one
sheet.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from layert2v_engine.evaluation.sheets import checkerboard, save_captioned
from layert2v_engine.layers import LayerFrames, StreamDecoder, decode_layers
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.matte import merge_lora
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import denoise, scene_predictor
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.schedule import new_run
from layert2v_engine.training.data import CaptionStates, StreamWhitening
from layert2v_engine.world.captions import canonical
from layert2v_engine.world.vocabulary import ABILITIES, SUBJECTS, Label, is_painted

COLUMNS = ("composite", "last frame", "background", "foreground", "matte", "shadow", "over")
MATTE_COLOUR = 0.5  # what the world's foreground stream is drawn over
STEPS, GUIDANCE, SHIFT, SEED = 16, 2.0, 2.0, 1


def fixed_labels() -> list[Label]:
    """Every subject once, over all places and times."""
    return [
        Label(
            subject=s,
            place=s % 6,
            time=s % 4,
            colour=s % 3 if is_painted(s) else -1,
            action=ABILITIES[s][0],
        )
        for s in range(len(SUBJECTS))
    ]


def load_decoder(run: Path, whitening: StreamWhitening) -> StreamDecoder:
    """The decoders a run folder holds: colour, and the one adapted to mattes, where the statistics
    are.
    """
    device = whitening.mean.device
    colour = (
        PatchAutoencoder.from_pretrained(run / "autoencoder" / "model", use_safetensors=True)
        .eval()
        .to(device)
    )
    opacity = copy.deepcopy(colour)
    lora = load_file(run / "matte" / "decoder_lora.safetensors")
    opacity.decoder = merge_lora(colour.decoder, lora)
    return StreamDecoder(colour, opacity, whitening.mean, whitening.std)


def layer_row(frames: list[LayerFrames], row: int) -> Tensor:
    """The pictures [7, 3, H, W] of one sheet row: first and last frame, then the layers of the
    first.
    """
    first, last = frames[0], frames[-1]
    actor = first.foregrounds[0]
    drawn = torch.zeros_like(actor.alpha) if actor.shadow is None else actor.shadow
    colour, alpha, shadow = actor.colour[row, :, 0], actor.alpha[row, :, 0], drawn[row, :, 0]
    background = first.background[row, :, 0]
    checker = checkerboard(*alpha.shape[-2:])
    over = colour * alpha + background * (1 - shadow) * (1 - alpha)
    return torch.stack(
        [
            first.composite[row, :, 0],
            last.composite[row, :, -1],
            background,
            colour * alpha + checker * (1 - alpha),
            alpha.expand(3, -1, -1),
            shadow.expand(3, -1, -1),
            over,
        ]
    )


class SheetSampler:
    """Samples the fixed prompts; satisfies `joint.Sampler`."""

    def __init__(
        self,
        run: Path,
        layout: StreamLayout,
        whitening: StreamWhitening,
        texts: CaptionStates,
        latent_shape: tuple[int, ...],
    ) -> None:
        self.layout, self.texts, self.latent_shape = layout, texts, latent_shape
        self.decoder = load_decoder(run, whitening)

    @torch.no_grad()
    def __call__(self, model: LayeredWanTransformer3DModel, path: Path, frame: int | None) -> None:
        labels = fixed_labels()
        latents = self._sample(model, labels, frame)
        layers = decode_layers(latents, self.layout, self.decoder, matte_colour=MATTE_COLOUR)
        frames = [group.cpu() for group in layers]
        rows = [layer_row(frames, row) for row in range(len(labels))]
        save_captioned(rows, [canonical(label)[0] for label in labels], COLUMNS, path)

    def _sample(
        self, model: LayeredWanTransformer3DModel, labels: list[Label], frame: int | None
    ) -> Tensor:
        all_frames, height, width = self.latent_shape
        count = len(labels)
        shape = (
            len(self.layout),
            model.config.in_channels,
            1 if frame else all_frames,
            height,
            width,
        )
        noise = torch.randn(count, *shape, generator=torch.Generator().manual_seed(SEED))
        predict = scene_predictor(
            model,
            self.layout,
            frame_offset=frame or 0,
            frames_per_stream=all_frames,
            autocast=torch.bfloat16,
        )
        return denoise(
            predict,
            noise.to(model.device),
            new_run("euler", STEPS, shift=SHIFT),
            Conditioning(*self.texts.batch([canonical(label) for label in labels])),
            Conditioning(*self.texts.batch([("", "", "")] * count)),
            Guidance(scale=GUIDANCE),
        )
