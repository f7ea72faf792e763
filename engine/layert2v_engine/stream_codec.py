"""Latents of streams to frames of layers, and colors of layers as the model is shown them.

Latents are split by stream first, then decoded latent frame by latent frame. A serialized latent
must never be decoded in one go, since neighboring streams would leak into each other. Color streams
go through the color decoder, mattes and shadows through the mask-adapted one. Images here are
display-referred, as the model generates them; opacities are linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import VideoAutoencoder

# Below this alpha the division by alpha amplifies decoder noise more than it restores color.
ALPHA_FLOOR = 1 / 32
# Decoders leave a faint veil where a layer is empty and a faint hole where it is solid; both ends
# are pulled in.
EMPTY_BELOW, SOLID_ABOVE = 0.03, 0.97


class StreamDecoder:
    """Decodes normalized latents of single streams.

    vae, matte_vae: the color autoencoder and the mask-adapted one.
    latents_mean, latents_std: [S, C], one row per stream of the layout.
    autocast: what products and convolutions compute in; None for the precision of the weights.
    """

    def __init__(
        self,
        vae: VideoAutoencoder,
        matte_vae: VideoAutoencoder,
        latents_mean: Tensor,
        latents_std: Tensor,
        *,
        autocast: torch.dtype | None = None,
    ) -> None:
        self._vae, self._matte_vae, self._autocast = vae, matte_vae, autocast
        self._mean = latents_mean[:, :, None, None, None]
        self._std = latents_std[:, :, None, None, None]

    def decode_color(self, latents: Tensor, stream: int) -> Iterator[Tensor]:
        """Decode latents [B, C, F, h, w] to frame groups [B, 3, t, H, W] in 0..1."""
        for group in self._decode(self._vae, latents, stream):
            yield (group.float() * 0.5 + 0.5).clamp(0, 1)

    def decode_opacity(self, latents: Tensor, stream: int) -> Iterator[Tensor]:
        """Decode latents [B, C, F, h, w] to frame groups [B, 1, t, H, W] in 0..1.

        An opacity is the mean of the decoded channels.
        """
        for group in self._decode(self._matte_vae, latents, stream):
            yield (group.float().mean(1, keepdim=True) * 0.5 + 0.5).clamp(0, 1)

    def _decode(self, vae: VideoAutoencoder, latents: Tensor, stream: int) -> Iterator[Tensor]:
        """Yield frame groups; the precision is set only while one is decoded."""
        groups = vae.decode_groups(self._denormalize(latents, stream))
        dtype, device = self._autocast, latents.device.type
        for _ in range(latents.shape[2]):
            with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
                group = next(groups)
            yield group

    def _denormalize(self, latents: Tensor, stream: int) -> Tensor:
        return latents * self._std[stream] + self._mean[stream]


@dataclass(frozen=True, kw_only=True, slots=True)
class ForegroundFrames:
    """One foreground of a frame group, in 0..1.

    color: straight (not premultiplied) [B, 3, t, H, W]. alpha: [B, 1, t, H, W].
    shadow: linear opacity [B, 1, t, H, W], None where it was not decoded.
    """

    color: Tensor
    alpha: Tensor
    shadow: Tensor | None

    def cpu(self) -> ForegroundFrames:
        """Return a copy in CPU memory."""
        return ForegroundFrames(
            color=self.color.cpu(),
            alpha=self.alpha.cpu(),
            shadow=None if self.shadow is None else self.shadow.cpu(),
        )

    def select(self, row: int) -> ForegroundFrames:
        """Return that of one clip of the batch, as a batch of one."""
        one = slice(row, row + 1)
        return ForegroundFrames(
            color=self.color[one],
            alpha=self.alpha[one],
            shadow=None if self.shadow is None else self.shadow[one],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFrames:
    """All layers of a frame group.

    composite: the model's own full video [B, 3, t, H, W] in 0..1. background: the same shape.
    """

    composite: Tensor
    background: Tensor
    foregrounds: tuple[ForegroundFrames, ...]

    def cpu(self) -> LayerFrames:
        """Return a copy in CPU memory."""
        return LayerFrames(
            composite=self.composite.cpu(),
            background=self.background.cpu(),
            foregrounds=tuple(foreground.cpu() for foreground in self.foregrounds),
        )

    def select(self, row: int) -> LayerFrames:
        """Return one clip of the batch, as a batch of one."""
        one = slice(row, row + 1)
        return LayerFrames(
            composite=self.composite[one],
            background=self.background[one],
            foregrounds=tuple(foreground.select(row) for foreground in self.foregrounds),
        )


def concatenate_groups(groups: Iterable[LayerFrames]) -> LayerFrames:
    """Return all frame groups of a clip as one."""
    parts = list(groups)

    def foreground(number: int) -> ForegroundFrames:
        own = [part.foregrounds[number] for part in parts]
        shadows = [part.shadow for part in own if part.shadow is not None]
        return ForegroundFrames(
            color=torch.cat([part.color for part in own], 2),
            alpha=torch.cat([part.alpha for part in own], 2),
            shadow=torch.cat(shadows, 2) if shadows else None,
        )

    return LayerFrames(
        composite=torch.cat([part.composite for part in parts], 2),
        background=torch.cat([part.background for part in parts], 2),
        foregrounds=tuple(foreground(k) for k in range(len(parts[0].foregrounds))),
    )


def ignore_group() -> None:
    """Do nothing: the callback of a decoding nobody watches."""


def decode_layers(
    latents: Tensor,
    layout: StreamLayout,
    decoder: StreamDecoder,
    *,
    matte_color: float,
    one_by_one: bool = False,
    on_group: Callable[[], None] = ignore_group,
) -> Iterator[LayerFrames]:
    """Decode normalized latents [B, S, C, F, h, w] to layers, one frame group at a time.

    The first group has one frame, the others t each. one_by_one, on_group: as ``decode_streams``
    takes them.
    """
    frames = decode_streams(
        latents, layout, layout.names, decoder, one_by_one=one_by_one, on_group=on_group
    )
    for frame in frames:
        yield LayerFrames(
            composite=frame["composite"],
            background=frame["background"],
            foregrounds=tuple(
                foreground_frames(frame, number, matte_color)
                for number in range(1, layout.foregrounds + 1)
            ),
        )


def decode_streams(
    latents: Tensor,
    layout: StreamLayout,
    names: Sequence[str],
    decoder: StreamDecoder,
    *,
    one_by_one: bool = False,
    on_group: Callable[[], None] = ignore_group,
) -> Iterator[dict[str, Tensor]]:
    """Decode the streams ``names`` of normalized latents [B, S, C, F, h, w].

    Yields frames [B, 3 or 1, t, H, W] in 0..1 by stream name, one frame group at a time; the other
    streams are not decoded.

    one_by_one: decode each stream to its end before the first group is yielded, so that one causal
        cache is in memory at a time; frames then wait in the CPU's memory.
    on_group: called for each group of a stream decoded so; what it raises ends the decoding.
    """
    groups = {
        name: (decoder.decode_opacity if layout.is_opacity(name) else decoder.decode_color)(
            latents[:, layout.index(name)], layout.index(name)
        )
        for name in names
    }
    if one_by_one:  # a cache is filled from the first group on, and dropped with its generator
        groups = {name: iter(_decode_all(groups.pop(name), on_group)) for name in names}
    for _ in range(latents.shape[3]):
        yield {name: next(stream).to(latents.device) for name, stream in groups.items()}


def _decode_all(groups: Iterator[Tensor], on_group: Callable[[], None]) -> list[Tensor]:
    frames = []
    for group in groups:
        frames.append(group.cpu())
        on_group()
    return frames


def foreground_frames(
    frame: Mapping[str, Tensor], number: int, matte_color: float
) -> ForegroundFrames:
    """Return foreground ``number`` (from 1) of a decoded frame group; its shadow if decoded."""
    alpha = clean_opacity(frame[f"matte_{number:02d}"])
    shadow = frame.get(f"shadow_{number:02d}")
    return ForegroundFrames(
        color=remove_matte_color(frame[f"foreground_{number:02d}"], alpha, matte_color),
        alpha=alpha,
        shadow=None if shadow is None else clean_opacity(shadow),
    )


def clean_opacity(opacity: Tensor) -> Tensor:
    """Make the nearly empty and nearly solid ends of an opacity in 0..1 exact; any shape."""
    return ((opacity - EMPTY_BELOW) / (SOLID_ABOVE - EMPTY_BELOW)).clamp(0, 1)


def remove_matte_color(matted: Tensor, alpha: Tensor, matte_color: float) -> Tensor:
    """Return the straight color of a foreground that lies over a flat gray.

    The inverse of ``composite_on_matte_color``. matted: [..., 3, H, W]; alpha: [..., 1, H, W];
    matte_color: a gray; all in 0..1. Where alpha is 0 the color is free.
    """
    straight = (matted - matte_color * (1 - alpha)) / alpha.clamp_min(ALPHA_FLOOR)
    return torch.where(alpha > 0, straight, matted).clamp(0, 1)


def composite_on_matte_color(straight: Tensor, alpha: Tensor, matte_color: float) -> Tensor:
    """Composite straight color [..., 3, H, W] over a flat gray, as the model is shown it.

    alpha: [..., 1, H, W]; all in 0..1.
    """
    return straight * alpha + matte_color * (1 - alpha)
