"""Latents of layers that are there, to show them to a model: saved ones, or pixels encoded again.

The inverse of how ``stream_codec`` makes images of streams. Latents are saved beside each version
of a layer, normalized, by stream role; those of another model cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from layert2v.stack import Stack
from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import flatten, linear_to_shadow, unpremultiply
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.rerender.plan import StreamMapping
from layert2v_engine.rerender.prepare import RerenderPlan
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.pixel_sources import DonorSource
from layert2v_engine.stream_codec import composite_on_matte_color
from layert2v_engine.tensor_file import count_tensors

FrameReader = Callable[[int], Tensor]  # frame index to half, premultiplied, linear [H, W, 4]

_DIGEST = "model_digest"
MAX_HEADER_BYTES = 64 << 10
MAX_STREAMS = 16  # of one layer: its color, its matte and its shadow


def save_latents(path: Path, tensors: Mapping[str, Tensor], digest: str) -> None:
    """Write normalized latents ``[C, F, h, w]`` by stream role, in float16. Raises DiskFull."""
    halves = {role: each.half().cpu().contiguous() for role, each in tensors.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(halves, {_DIGEST: digest}))


def load_latents(path: Path, digest: str) -> dict[str, Tensor]:
    """Return normalized latents ``[C, F, h, w]`` by stream role, in float32.

    There are none in a file that is missing, damaged, or of a model with another digest.
    """
    try:
        # The file may be an upload.
        count_tensors(path, max_header_bytes=MAX_HEADER_BYTES, max_tensors=MAX_STREAMS)
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get(_DIGEST) != digest:
                return {}
            return {role: file.get_tensor(role).float() for role in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, BadCheckpoint):
        return {}


def load_layer_latents(folder: Path, stack: Stack, name: str, digest: str) -> dict[str, Tensor]:
    """Return the latents of a layer in the version that ``stack`` has of it, like load_latents."""
    file = stack.latents_of(name)
    return {} if file is None else load_latents(folder / file.path, digest)


class StreamEncoder:
    """Encodes delivered pixels for one model; ``colorspace`` is that of the stack."""

    def __init__(self, pipeline: LayeredPipeline, layout: StreamLayout, colorspace: str) -> None:
        self._pipeline, self._layout = pipeline, layout
        display_space = pipeline.info.source_colorspace
        self._to_display = ColorConfig.load().transform(colorspace, display_space)

    def encode(self, stream: Stream, frames: Iterable[Tensor]) -> Tensor:
        """Return normalized latents ``[C, F, h, w]`` of a stream from frames ``[H, W, 4]``."""
        video = torch.stack([self.model_input(stream.role, pixels.float()) for pixels in frames])
        return self._pipeline.encode(video, self._layout, stream.name)

    def encode_empty(self, stream: Stream, count: int, size: tuple[int, int]) -> Tensor:
        """Return the latents of ``count`` empty frames of ``size``, which is (height, width)."""
        return self.encode(stream, [torch.zeros(*size, 4)] * count)

    def model_input(self, role: StreamRole, pixels: Tensor) -> Tensor:
        """Return what a model sees of a premultiplied linear image ``[H, W, 4]``.

        That is ``[1, H, W]`` in 0..1 for mattes and shadows, display-referred ``[3, H, W]`` in 0..1
        for the others.
        """
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


class InitLatents:
    """Latents of what the streams of a model show before anything is generated.

    ``encoded`` names the layers whose latents were not there, so that their pixels were encoded.
    """

    def __init__(
        self,
        plan: RerenderPlan,
        mapping: StreamMapping,
        editor: StackEditor,
        pipeline: LayeredPipeline,
    ) -> None:
        self._plan, self._mapping, self._editor = plan, mapping, editor
        self._digest = pipeline.info.digest
        self._encoder = StreamEncoder(pipeline, mapping.layout, editor.format.colorspace)
        self.encoded: list[str] = []

    def stream_latents(self, stream: Stream) -> Tensor:
        """Return normalized latents ``[C, F, h, w]`` of a stream."""
        mapping, format = self._mapping, self._editor.format
        name = mapping.layer_of(stream)
        if name is None and stream.role is StreamRole.shadow:
            size = (format.height, format.width)
            return self._encoder.encode_empty(stream, format.frames, size)
        if name is None:
            names = mapping.below
            if stream.role is StreamRole.composite:
                names = tuple(each for each in mapping.layers if each not in mapping.above)
            readers = [self.frame_reader(each) for each in names]
            return self._encoder.encode(stream, flatten_frames(readers, format.frames))
        saved = self._load_saved(name).get(stream.role.value)
        if saved is not None:
            return saved
        if name not in self.encoded:
            self.encoded.append(name)
        read = self.frame_reader(name)
        return self._encoder.encode(stream, (read(index) for index in range(format.frames)))

    def frame_reader(self, name: str) -> FrameReader:
        """Return what reads the frames of a layer, or of the pixels that are imported for it."""
        source = self._plan.sources.get(name)
        return partial(self._editor.read, name) if source is None else source.frame

    def _load_saved(self, name: str) -> dict[str, Tensor]:
        """Return saved latents by stream role, of a layer or of what is imported for it."""
        source = self._plan.sources.get(name)
        if source is None:
            return load_layer_latents(self._editor.folder, self._plan.base, name, self._digest)
        donor = self._plan.donor
        if donor is None or not isinstance(source, DonorSource) or not source.unchanged:
            return {}
        folder, stack = donor
        return load_layer_latents(folder, stack, source.layer.name, self._digest)


def flatten_frames(layers: Iterable[FrameReader], count: int) -> Iterable[Tensor]:
    """Yield ``count`` frames ``[H, W, 4]``: layers from bottom to top over each other."""
    readers = list(layers)
    return (flatten(read(index) for read in readers) for index in range(count))


def latent_mask(mask: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return a mask ``[T, H, W]`` in 0..1 as a share of each latent cell ``[F, h, w]``.

    The first frame has a latent frame of its own, then every so many share one.
    """
    frames, rows, columns = shape
    small = torch.nn.functional.interpolate(mask[:, None], (rows, columns), mode="area")[:, 0]
    if frames == 1:
        return small[:1]
    rest = small[1:].unflatten(0, (frames - 1, -1)).mean(1)
    return torch.cat((small[:1], rest))
