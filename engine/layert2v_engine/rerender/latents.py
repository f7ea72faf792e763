"""What a model is shown of layers that are there: their latents, or their pixels encoded again.

The inverse of how `layers` makes pictures of streams. Latents are kept beside each version of a
layer, whitened, by stream role; those of another model cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from layert2v.stack import Stack
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import flatten, linear_to_shadow, unpremultiply
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import composite_on_matte_color

Pixels = Callable[[int], Tensor]  # frame index to half [H, W, 4]

_DIGEST = "model_digest"


def save_latents(path: Path, tensors: Mapping[str, Tensor], digest: str) -> None:
    """Write whitened latents [C, F, h, w] by stream role, in float16. Raises `DiskFull`."""
    halves = {role: each.half().cpu().contiguous() for role, each in tensors.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(halves, {_DIGEST: digest}))


def load_latents(path: Path, digest: str) -> dict[str, Tensor]:
    """Latents by stream role, in float32; none from a file that is missing, damaged, or of a model
    with another digest.
    """
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get(_DIGEST) != digest:
                return {}
            return {role: file.get_tensor(role).float() for role in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return {}


def latents_of(folder: Path, stack: Stack, name: str, digest: str) -> dict[str, Tensor]:
    """Those of a layer in the version that `stack` has of it."""
    kept = stack.latents_of(name)
    return {} if kept is None else load_latents(folder / kept.path, digest)


class Encoder:
    """Encodes delivered pixels for one model; `colorspace` is that of the stack."""

    def __init__(self, pipeline: LayeredPipeline, layout: StreamLayout, colorspace: str) -> None:
        self._pipeline, self._layout = pipeline, layout
        shown_in = pipeline.info.source_colorspace
        self._to_display = ColorConfig.load().transform(colorspace, shown_in)

    def stream(self, stream: Stream, frames: Iterable[Tensor]) -> Tensor:
        """Whitened latents [C, F, h, w] of a stream whose layer has these half frames."""
        video = torch.stack([self.shown(stream.role, pixels.float()) for pixels in frames])
        return self._pipeline.encode(video, self._layout, stream.name)

    def empty(self, stream: Stream, count: int, size: tuple[int, int]) -> Tensor:
        """The same of a stream of `count` frames of (height, width) that shows nothing."""
        return self.stream(stream, [torch.zeros(*size, 4)] * count)

    def shown(self, role: StreamRole, pixels: Tensor) -> Tensor:
        """A premultiplied linear picture [H, W, 4] as the model draws it, [3 or 1, H, W]."""
        config = self._pipeline.config
        alpha = pixels[..., 3].clamp(0, 1)[None]
        if role is StreamRole.matte:
            return alpha
        if role is StreamRole.shadow:
            return linear_to_shadow(alpha) if config.shadow_domain == "display" else alpha
        straight = unpremultiply(pixels)[..., :3].movedim(-1, 0)
        color = self._to_display(straight).clamp(0, 1)
        if role is StreamRole.foreground:
            return composite_on_matte_color(color, alpha, config.matte_color)
        return color


def flattened(layers: Iterable[Pixels], count: int) -> Iterable[Tensor]:
    """The over of layers from bottom to top, frame by frame."""
    sources = list(layers)
    return (flatten(source(index) for source in sources) for index in range(count))


def latent_mask(mask: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """A mask [T, H, W] in 0..1 as shares of latent cells [F, h, w]: the first frame has a latent
    frame of its own, then every so many share one.
    """
    frames, rows, columns = shape
    small = torch.nn.functional.interpolate(mask[:, None], (rows, columns), mode="area")[:, 0]
    if frames == 1:
        return small[:1]
    rest = small[1:].unflatten(0, (frames - 1, -1)).mean(1)
    return torch.cat((small[:1], rest))
