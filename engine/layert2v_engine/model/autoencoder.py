"""Video to latents and back, frame group by frame group.

``VideoAutoencoder`` is what the rest of the engine asks for. ``PatchAutoencoder`` fills it for the
small models: a linear encoder over blocks of pixels x 4 frames, fitted by principal components, and
a convolutional decoder trained on the frozen latents, which sees a latent frame and the frames
around it.
``WanAutoencoder`` fills it with diffusers' ``AutoencoderKLWan``, whose causal cache is carried from
group to group. Knows nothing of layers, prompts or files; which stream a latent belongs to is the
caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from layert2v_engine.model.diffusers_classes import (
    AutoencoderKLWan,
    ConfigMixin,
    ModelMixin,
    register_to_config,
    unpatchify,
)


class VideoAutoencoder(Protocol):
    """Encodes videos [B, 3, T, H, W] in -1..1 as latents [B, C, F, h, w], and decodes them.

    T = 1 + temporal_factor * (F - 1); H = spatial_factor * h.
    """

    spatial_factor: int
    temporal_factor: int
    latent_channels: int

    def encode_video(self, video: Tensor) -> Tensor:
        """Return latents [B, C, F, h, w] of a whole video [B, 3, T, H, W] in -1..1.

        Sides must divide by ``spatial_factor``.
        """

    def decode_groups(self, latents: Tensor) -> Iterator[Tensor]:
        """Yield frames [B, 3, t, H, W] in -1..1 for each latent frame of [B, C, F, h, w].

        First one frame, then ``temporal_factor`` each.
        """


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity.

    The second starts at zero, so a new block changes nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast(Tensor, self.conv2.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Return features [N, W, h, w] of features of the same shape."""
        return x + self.conv2(nn.functional.silu(self.conv1(nn.functional.silu(self.norm(x)))))


class PatchDecoder(nn.Module):
    """Linear inverse of the encoder plus a residual image from a small upsampling network (2D).

    It sees ``context_frames`` latent frames on each side, too, and learns to leave out what
    flickers.
    """

    def __init__(
        self,
        channels: int,
        patch: int,
        frames: int,
        widths: tuple[int, ...],
        blocks: int,
        context_frames: int = 0,
    ) -> None:
        super().__init__()
        self.patch, self.frames = patch, frames
        # The channels of the latent frame itself, among those of the frames around it.
        self.own_channels = slice(context_frames * channels, (context_frames + 1) * channels)
        self.linear = nn.Conv2d(channels, 3 * frames * patch * patch, 1)
        self.stem = nn.Conv2d((1 + 2 * context_frames) * channels, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(w) for _ in range(blocks))) for w in widths
        )
        self.ups = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in pairwise(widths))
        rest = patch // 2 ** (len(widths) - 1)  # what one pixel shuffle has to make up at the end
        self.head = nn.Conv2d(widths[-1], 3 * frames * rest * rest, 3, padding=1)
        self.rest = rest
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def forward(self, z: Tensor) -> Tensor:
        """Return frames [N, 3, t, H, W] of latents with n context frames [N, (1 + 2 n) C, h, w]."""
        x = self.stem(z)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i < len(self.ups):
                x = nn.functional.pixel_shuffle(self.ups[i](x), 2)
        detail = nn.functional.pixel_shuffle(self.head(x), self.rest).float()
        with torch.autocast(z.device.type, enabled=False):  # bfloat16 would leave steps in a sky
            own = z[:, self.own_channels].to(next(self.linear.parameters()).dtype)
            flat = self.linear(own)
        video = nn.functional.pixel_shuffle(flat, self.patch).float() + detail
        return video.unflatten(1, (3, self.frames))


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Small video autoencoder with a linear encoder and a convolutional decoder.

    spatial_factor^2 pixels x temporal_factor frames become latent_channels numbers. The first
    latent frame holds the first frame of the video repeated, the convention of causal video
    autoencoders (frames = 1 + k * temporal_factor). The encoder is linear: it is fitted in seconds,
    keeps large-scale brightness in its first channels, and stays frozen, so the decoder can be
    trained on without touching latents already in use.

    neighbours: latent frames on each side that the decoder sees, too (``context_frames``; the
        argument is a key of config.json).
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 24,
        spatial_factor: int = 8,
        temporal_factor: int = 4,
        decoder_widths: tuple[int, ...] = (192, 96, 48),
        decoder_blocks: int = 2,
        neighbours: int = 0,
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.context_frames = neighbours
        self.spatial_factor = spatial_factor
        self.temporal_factor = temporal_factor
        self.encoder = nn.Conv2d(3 * temporal_factor * spatial_factor**2, latent_channels, 1)
        self.decoder = PatchDecoder(
            latent_channels,
            spatial_factor,
            temporal_factor,
            tuple(decoder_widths),
            decoder_blocks,
            neighbours,
        )

    def frame_groups(self, video: Tensor) -> Tensor:
        """Cut a video [B, 3, T, H, W] into frame groups [B, F, 3, t, H, W].

        The first frame is repeated t times. Raises ValueError unless T = 1 + a multiple of t.
        """
        if (video.shape[2] - 1) % self.temporal_factor:
            raise ValueError(
                f"{video.shape[2]} frames are not 1 + a multiple of {self.temporal_factor}."
            )
        first = video[:, :, :1].expand(-1, -1, self.temporal_factor, -1, -1)
        video = torch.cat([first, video[:, :, 1:]], dim=2)
        return video.unflatten(2, (-1, self.temporal_factor)).transpose(1, 2)

    def patches(self, groups: Tensor) -> Tensor:
        """Return frame groups [N, 3, t, H, W] as columns [N, 3*t*p*p, H/p, W/p]."""
        # unshuffle + 1x1 instead of a stride-8 convolution: the latter is wrong in bfloat16 on some
        # CPUs (torch 2.13)
        return nn.functional.pixel_unshuffle(groups.flatten(1, 2), self.spatial_factor)

    def encode_video(self, video: Tensor) -> Tensor:
        """Return latents [B, C, F, h, w] of a video [B, 3, T, H, W] in -1..1."""
        groups = self.frame_groups(video)
        latents = self.encoder(self.patches(groups.flatten(0, 1)))
        return cast(Tensor, latents.unflatten(0, groups.shape[:2]).transpose(1, 2))

    def with_temporal_context(self, latents: Tensor) -> Tensor:
        """Return latents [B, C, F, h, w] with the n frames around each, [B, (1 + 2 n) C, F, h, w].

        At both ends the last frame is repeated.
        """
        count, reach = latents.shape[2], self.context_frames
        indices = torch.arange(count, device=latents.device)
        offsets = range(-reach, reach + 1)
        return torch.cat([latents[:, :, (indices + k).clamp(0, count - 1)] for k in offsets], dim=1)

    def decode_groups(self, latents: Tensor) -> Iterator[Tensor]:
        """Yield frames [B, 3, t, H, W] for each latent frame of [B, C, F, h, w]."""
        windows = self.with_temporal_context(latents)
        for index in range(latents.shape[2]):
            frames = self.decoder(windows[:, :, index])
            yield frames.mean(2, keepdim=True) if index == 0 else frames

    @torch.no_grad()
    def fit_encoder(self, columns: Tensor) -> Tensor:
        """Set encoder and linear decoder to the principal components of columns [N, 3*t*p*p].

        Returns the standard deviation of each component [C], largest first.
        """
        mean = columns.mean(0)
        _, singular, basis = torch.svd_lowrank(columns - mean, q=self.latent_channels + 8, niter=4)
        basis = basis[:, : self.latent_channels]  # [D, C]
        linear = self.decoder.linear
        self.encoder.weight.copy_(basis.T[:, :, None, None])
        cast(Tensor, self.encoder.bias).copy_(-(mean @ basis))
        linear.weight.copy_(basis[:, :, None, None])
        cast(Tensor, linear.bias).copy_(mean)
        return singular[: self.latent_channels] / len(columns) ** 0.5

    @torch.no_grad()
    def match_latents_of(self, small: PatchAutoencoder) -> None:
        """Set the encoder to give a video the latents that ``small`` gives its scaled-down copy.

        A network that was trained on those latents then generates larger videos. The decoder starts
        from what fits of the smaller one. Raises ValueError where the sizes do not divide, or
        channels or frames differ.
        """
        factor, rest = divmod(self.spatial_factor, small.spatial_factor)
        own, other = ((a.latent_channels, a.temporal_factor) for a in (self, small))
        if rest or own != other:
            raise ValueError(f"an autoencoder of {own} cannot match the latents of one of {other}")
        side, planes = small.spatial_factor, 3 * self.temporal_factor

        def to_blocks(weights: Tensor) -> Tensor:
            return weights.reshape(-1, planes, side, side)

        averaged = to_blocks(small.encoder.weight).repeat_interleave(factor, -1) / factor**2
        averaged = averaged.repeat_interleave(factor, -2)
        self.encoder.weight.copy_(averaged.flatten(1)[:, :, None, None])
        cast(Tensor, self.encoder.bias).copy_(cast(Tensor, small.encoder.bias))
        linear, mean = small.decoder.linear, cast(Tensor, small.decoder.linear.bias)

        def enlarge(weights: Tensor) -> Tensor:
            size = (side * factor, side * factor)
            return nn.functional.interpolate(to_blocks(weights), size, mode="bilinear").flatten(1)

        self.decoder.linear.weight.copy_(enlarge(linear.weight[:, :, 0, 0].T).T[:, :, None, None])
        cast(Tensor, self.decoder.linear.bias).copy_(enlarge(mean)[0])
        stem = self.decoder.stem.weight.zero_()
        stem[:, self.decoder.own_channels].copy_(
            small.decoder.stem.weight[:, small.decoder.own_channels]
        )
        theirs, ours = small.decoder.state_dict(), self.decoder.state_dict()
        for name, weights in ours.items():
            fits = name in theirs and theirs[name].shape == weights.shape
            if fits and name.startswith(("stem.bias", "stages.", "ups.")):
                weights.copy_(theirs[name])


class WanAutoencoder:
    """``AutoencoderKLWan`` behind the same interface: that of Wan 2.1, and of Wan 2.2 5B.

    Latents are normalized with the checkpoint's own statistics.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self.vae = vae
        config = cast(Any, vae.config)
        self.latent_channels: int = config.z_dim
        self.spatial_factor: int = config.scale_factor_spatial
        self.temporal_factor: int = config.scale_factor_temporal
        self._mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std).view(1, -1, 1, 1, 1)

    def encode_video(self, video: Tensor) -> Tensor:
        """Return latents [B, C, F, h, w] of a video [B, 3, T, H, W] in -1..1."""
        latents = self.vae.encode(video).latent_dist.mode()
        return cast(Tensor, (latents - self._mean.to(latents)) / self._std.to(latents))

    def decode_groups(self, latents: Tensor) -> Iterator[Tensor]:
        """Yield frames [B, 3, t, H, W] in -1..1 for each latent frame of [B, C, F, h, w]."""
        for group in self.decode_unclamped(latents):
            yield group.clamp(-1, 1)

    def decode_unclamped(self, latents: Tensor) -> Iterator[Tensor]:
        """Yield the same as the decoder's last layer gives it, which may leave -1..1.

        The causal cache belongs to the generator: several can run side by side.
        """
        vae = cast(Any, self.vae)
        cache: list[Tensor | None] = [None] * vae._cached_conv_counts["decoder"]
        patch = vae.config.patch_size
        x = vae.post_quant_conv(latents * self._std.to(latents) + self._mean.to(latents))
        for index in range(latents.shape[2]):
            group = vae.decoder(
                x[:, :, index : index + 1], feat_cache=cache, feat_idx=[0], first_chunk=index == 0
            )
            yield group if patch is None else unpatchify(group, patch_size=patch)


def decode_video(autoencoder: VideoAutoencoder, latents: Tensor) -> Tensor:
    """Return the whole video [B, 3, T, H, W] in -1..1 of latents [B, C, F, h, w].

    For training, tests and short clips.
    """
    return torch.cat(list(autoencoder.decode_groups(latents)), dim=2)
