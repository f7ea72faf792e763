"""Latents of streams to frames of layers and back: split by stream first, then decoded latent frame
by latent frame.

A serialised latent must never be decoded in one go: neighbouring streams would leak into each
other. Colour streams go through the colour decoder, mattes and shadows through the mask-adapted
one. Pictures here are display-referred, as the model draws them; opacities are linear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import VideoAutoencoder

# Below this alpha the division by alpha amplifies decoder noise more than it restores colour.
ALPHA_FLOOR = 1 / 32
# Decoders leave a faint veil where a layer is empty and a faint hole where it is solid; both ends
# are pulled in.
EMPTY_BELOW, SOLID_ABOVE = 0.03, 0.97


class StreamDecoder:
    """Decodes whitened latents of single streams.

    `mean` and `std` are [S, C], one row per stream of the layout; `opacity` is the mask-adapted
    autoencoder.
    """

    def __init__(
        self, colour: VideoAutoencoder, opacity: VideoAutoencoder, mean: Tensor, std: Tensor
    ) -> None:
        self._colour, self._opacity = colour, opacity
        self._mean, self._std = mean[:, :, None, None, None], std[:, :, None, None, None]

    def colour(self, latents: Tensor, stream: int) -> Iterator[Tensor]:
        """Latents [B, C, F, h, w] to frame groups [B, 3, t, H, W] in 0..1."""
        for group in self._colour.decode_groups(latents * self._std[stream] + self._mean[stream]):
            yield (group.float() * 0.5 + 0.5).clamp(0, 1)

    def opacity(self, latents: Tensor, stream: int) -> Iterator[Tensor]:
        """Latents [B, C, F, h, w] to frame groups [B, 1, t, H, W] in 0..1: the mean of the decoded
        channels.
        """
        for group in self._opacity.decode_groups(latents * self._std[stream] + self._mean[stream]):
            yield (group.float().mean(1, keepdim=True) * 0.5 + 0.5).clamp(0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForegroundFrames:
    """One foreground: straight colour [B, 3, t, H, W], alpha and linear shadow opacity [B, 1, t, H,
    W].
    """

    colour: Tensor
    alpha: Tensor
    shadow: Tensor | None

    def cpu(self) -> ForegroundFrames:
        """The same in CPU memory."""
        return ForegroundFrames(
            colour=self.colour.cpu(),
            alpha=self.alpha.cpu(),
            shadow=None if self.shadow is None else self.shadow.cpu(),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFrames:
    """All layers of a frame group; `composite` is the model's own full video."""

    composite: Tensor
    background: Tensor
    foregrounds: tuple[ForegroundFrames, ...]

    def cpu(self) -> LayerFrames:
        """The same in CPU memory, for pictures and figures."""
        return LayerFrames(
            composite=self.composite.cpu(),
            background=self.background.cpu(),
            foregrounds=tuple(actor.cpu() for actor in self.foregrounds),
        )


def decode_layers(
    latents: Tensor, layout: StreamLayout, decoder: StreamDecoder, *, matte_colour: float
) -> Iterator[LayerFrames]:
    """Whitened latents [B, S, C, F, h, w] to layers, one frame group at a time (first one frame,
    then t each).
    """
    for frame in decode_streams(latents, layout, layout.names, decoder):
        yield LayerFrames(
            composite=frame["composite"],
            background=frame["background"],
            foregrounds=tuple(
                foreground_frames(frame, number, matte_colour)
                for number in range(1, layout.foregrounds + 1)
            ),
        )


def decode_streams(
    latents: Tensor, layout: StreamLayout, names: Sequence[str], decoder: StreamDecoder
) -> Iterator[dict[str, Tensor]]:
    """Frames [B, 3 or 1, t, H, W] of some streams of whitened latents [B, S, C, F, h, w], by name,
    one frame group at a time; the others are not decoded.
    """
    groups = {
        name: (decoder.opacity if layout.shows_opacity(name) else decoder.colour)(
            latents[:, layout.index(name)], layout.index(name)
        )
        for name in names
    }
    for _ in range(latents.shape[3]):
        yield {name: next(stream) for name, stream in groups.items()}


def foreground_frames(
    frame: Mapping[str, Tensor], number: int, matte_colour: float
) -> ForegroundFrames:
    """One foreground of a decoded frame group; its shadow only if that was decoded."""
    alpha = clean_opacity(frame[f"matte_{number:02d}"])
    shadow = frame.get(f"shadow_{number:02d}")
    return ForegroundFrames(
        colour=unmatte(frame[f"foreground_{number:02d}"], alpha, matte_colour),
        alpha=alpha,
        shadow=None if shadow is None else clean_opacity(shadow),
    )


def clean_opacity(opacity: Tensor) -> Tensor:
    """Opacity in 0..1 with its nearly empty and nearly solid ends made exact, soft edges kept."""
    return ((opacity - EMPTY_BELOW) / (SOLID_ABOVE - EMPTY_BELOW)).clamp(0, 1)


def unmatte(drawn: Tensor, alpha: Tensor, matte_colour: float) -> Tensor:
    """Straight colour in 0..1 of a foreground drawn over a flat `matte_colour`; free where alpha is
    0.
    """
    straight = (drawn - matte_colour * (1 - alpha)) / alpha.clamp_min(ALPHA_FLOOR)
    return torch.where(alpha > 0, straight, drawn).clamp(0, 1)


def matted(straight: Tensor, alpha: Tensor, matte_colour: float) -> Tensor:
    """A foreground as the model is shown it: straight colour over a flat `matte_colour`."""
    return straight * alpha + matte_colour * (1 - alpha)
