"""What a run of a model costs before it is started: tokens, memory by part, arithmetic.

Reads configurations and headers of weights, never the weights. Memory of the transformer's pass is
an estimate; weights and the caches of the decoder are exact.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from layert2v_engine.errors import ModelNotFound
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.model.chunked import BATCHED_NUMBERS, CHUNK_BYTES, CHUNK_BYTES_DEVICE
from layert2v_engine.model.components import stored_dtype, working_dtype
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.model.memory import MemoryOptions, Offload
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

# Transformers that can be planned for before their weights are here.
KNOWN: dict[str, dict[str, Any]] = {
    "wan-1.3b": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "wan-14b": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
}
UMT5_XXL_BYTES = 11_361_845_248  # 5.7 billion weights of the encoder in bfloat16
BYTES = {torch.bfloat16: 2, torch.float16: 2, torch.float32: 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """What decides the cost of a model: its networks' configurations, and the bytes they take.

    transformer, autoencoder: as in config.json. weights: bytes by part in memory. dtype: of the
    transformer's weights and matrix products. on_cpu: the run has no memory but the CPU's.
    """

    transformer: dict[str, Any]
    autoencoder: dict[str, Any]
    weights: dict[str, int]
    dtype: torch.dtype
    text_tokens: int = 512
    makes_shadows: bool = True
    on_cpu: bool = False

    @property
    def width(self) -> int:
        """Numbers per token."""
        heads: int = self.transformer.get("num_attention_heads", 40)
        return heads * int(self.transformer.get("attention_head_dim", 128))

    @property
    def steps(self) -> tuple[int, int]:
        """Frames and pixels by which clips differ: there are 1 + n times as many frames."""
        frames, pixels = _factors(self.autoencoder)
        patch = self.transformer.get("patch_size", (1, 2, 2))
        return frames * int(patch[0]), pixels * int(patch[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEstimate:
    """Cost of one run. streams, tokens: of all streams together. memory: bytes by part.

    flops: of all steps. options: what saves memory.
    """

    streams: int
    tokens: int
    memory: dict[str, int]
    flops: float
    options: MemoryOptions

    @property
    def peak(self) -> int:
        """Return the most bytes at one time: passes take turns, and offloaded networks, too."""
        take = self.memory.get
        text, network = take("text_encoder", 0), take("transformer", 0)
        kept = text + network if self.options.offload is Offload.none else 0
        sampling = take("text keys and values", 0) + take("transformer pass", 0)
        decoding = take("decoder caches", 0) + take("decoded frames", 0)
        if self.options.offload is not Offload.none:
            sampling += network
            decoding += network if self.options.offload is Offload.group else 0
        return take("autoencoder", 0) + kept + max(text, sampling, decoding)

    @property
    def working_bytes(self) -> int:
        """Return what a run takes beside a model that is in memory already."""
        weights = sum(self.memory.get(name, 0) for name in ("text_encoder", "transformer"))
        return max(0, self.peak - weights - self.memory.get("autoencoder", 0))


def read_shape(model: str | Path, device: torch.device, folder: Path | None) -> ModelShape:
    """Return the shape of a model by name: one of KNOWN, or a folder with an index.

    Raises ModelNotFound, BadCheckpoint.
    """
    if folder is None:
        if str(model) not in KNOWN:
            raise ModelNotFound(
                f"There is no model called {str(model)!r} here.",
                f"Name a model folder, or one of: {', '.join(KNOWN)}.",
            )
        return _known_shape(KNOWN[str(model)], device)
    config = read_index(folder)
    autoencoder = _read(folder / "autoencoder")
    weights = {
        part: _weight_bytes(folder / part, working_dtype(folder / part, device))
        for part in ("transformer", "text_encoder")
        if (folder / part).is_dir()
    }
    weights["autoencoder"] = _weight_bytes(folder / "autoencoder", torch.float32)
    return ModelShape(
        transformer=_read(folder / "transformer"),
        autoencoder=autoencoder,
        weights=weights,
        dtype=working_dtype(folder / "transformer", device),
        text_tokens=config.text_tokens,
        makes_shadows=config.info.makes_shadows,
        on_cpu=device.type == "cpu",
    )


def _known_shape(settings: dict[str, Any], device: torch.device) -> ModelShape:
    with torch.device("meta"):
        transformer = LayeredWanTransformer3DModel(**settings)
        autoencoder = AutoencoderKLWan()
    count, pixels = (sum(p.numel() for p in m.parameters()) for m in (transformer, autoencoder))
    weights = {"transformer": 2 * count, "text_encoder": UMT5_XXL_BYTES, "autoencoder": 4 * pixels}
    return ModelShape(
        transformer=dict(transformer.config),
        autoencoder=dict(autoencoder.config),
        weights=weights,
        dtype=torch.bfloat16,
        on_cpu=device.type == "cpu",
    )


def estimate_run(
    shape: ModelShape,
    *,
    size: tuple[int, int],
    frames: int,
    foregrounds: int,
    steps: int,
    guided: bool,
    options: MemoryOptions | None = None,
) -> RunEstimate:
    """Return the cost of a run of ``size`` (width, height) pixels with so many foregrounds.

    options: what is switched on to save memory.
    """
    options = options or MemoryOptions()
    layout = StreamLayout.for_foregrounds(foregrounds, shadows=shape.makes_shadows)
    settings, batch = shape.transformer, 2 if guided else 1
    factors = _factors(shape.autoencoder)
    grid = 1 + (frames - 1) // factors[0], size[1] // factors[1], size[0] // factors[1]
    patch = settings.get("patch_size", (1, 2, 2))
    tokens = len(layout)
    for side, length in zip(grid, patch, strict=True):
        tokens *= side // length
    channels = int(settings.get("in_channels", 16))
    width, layers = shape.width, int(settings.get("num_layers", 40))
    hidden, element = int(settings.get("ffn_dim", 13824)), BYTES[shape.dtype]
    text = shape.text_tokens * sum(len(prompts) for prompts in layout.attended_prompts)
    linear = 2 * tokens * (6 * width**2 + 2 * width * hidden)
    attention = 4 * tokens**2 * width + 4 * tokens // len(layout) * text * width
    decoded = 1 if options.one_stream_decode else len(layout)
    memory = {
        **shape.weights,
        "transformer": _held_bytes(shape, options),
        "text keys and values": (
            2 * layers * batch * len(layout.prompts) * shape.text_tokens * width * element
        ),
        "transformer pass": _layered_pass_bytes(tokens, width, element, shape.on_cpu)
        * (batch if len(layout) * math.prod(grid) * channels <= BATCHED_NUMBERS else 1),
        "decoder caches": decoded * decoder_cache_bytes(shape.autoencoder, size),
    }
    if options.one_stream_decode and shape.on_cpu:  # else they wait in other memory than is planned
        memory["decoded frames"] = len(layout) * frames * 3 * size[0] * size[1] * 4
    return RunEstimate(
        streams=len(layout),
        tokens=tokens,
        memory=memory,
        flops=float(steps * batch * layers * (linear + attention)),
        options=options,
    )


def pass_bytes(tokens: int, width: int, hidden: int, element: int) -> int:
    """Return the bytes that diffusers' block of Wan takes beside its weights.

    element: bytes a number.

    The residual stream and one normalized copy in float32; queries, keys, values and the result of
    attention, or the two sides of the feed-forward network's activation.
    """
    return tokens * (2 * 4 * width + max(4 * width, 2 * hidden) * element)


def _layered_pass_bytes(tokens: int, width: int, element: int, on_cpu: bool) -> int:
    """Return the bytes that a block of ours takes beside its weights; element: bytes a number.

    In attention the residual stream in float32, what it reads, and queries, keys, values and their
    result; or two more of the stream's size while that is added to it. All else goes by chunks.
    """
    chunk = CHUNK_BYTES["cpu"] if on_cpu else CHUNK_BYTES_DEVICE
    return tokens * width * max(4 + 5 * element, 12 + element) + 3 * chunk


def fit_memory(
    estimate: Callable[[MemoryOptions], RunEstimate],
    choices: Sequence[MemoryOptions],
    limit: float,
) -> RunEstimate:
    """Return the first of some choices that takes at most ``limit`` bytes, else the last."""
    runs = map(estimate, choices)
    return next((run for run in runs if run.peak <= limit), None) or estimate(choices[-1])


def _held_bytes(shape: ModelShape, options: MemoryOptions) -> int:
    """Return the bytes that the transformer takes on the device while it computes."""
    settings, element = shape.transformer, BYTES[shape.dtype]
    layers, hidden = int(settings.get("num_layers", 40)), int(settings.get("ffn_dim", 13824))
    matrices = 8 * shape.width**2 + 2 * shape.width * hidden  # of one block
    held = shape.weights.get("transformer", 0)
    if options.float8:
        held -= layers * matrices * (element - 1)
    if options.offload is Offload.group:  # the block at work, and the next on its way
        waiting = max(0, layers - 2)
        held -= waiting * matrices * (1 if options.float8 else element)
    return held


def decoder_cache_bytes(config: dict[str, Any], size: tuple[int, int]) -> int:
    """Return the bytes that the causal cache of one stream takes while it is decoded.

    Found by decoding tensors that have sizes and no memory. 0 for a decoder without one.
    """
    if config.get("_class_name", AutoencoderKLWan.__name__) != AutoencoderKLWan.__name__:
        return 0
    return _decoder_cache_bytes(json.dumps(config, default=list), size)


@lru_cache(maxsize=4)
def _decoder_cache_bytes(settings: str, size: tuple[int, int]) -> int:
    config = json.loads(settings)
    with torch.device("meta"), torch.no_grad():
        vae: Any = AutoencoderKLWan.from_config(config)
        cache: list[Any] = [None] * vae._cached_conv_counts["decoder"]
        factor = _factors(config)[1]
        frame = torch.empty(1, config["z_dim"], 1, size[1] // factor, size[0] // factor)
        for index in range(3):  # then it no longer grows
            vae.decoder(frame, feat_cache=cache, feat_idx=[0], first_chunk=index == 0)
    return sum(each.nbytes for each in cache if isinstance(each, torch.Tensor))


def measure_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Return the arithmetic per second of matrix products on a device."""
    size = 4096 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    left @ right  # the first one sets things up
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        left @ right
        count += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return 2 * size**3 * count / (time.perf_counter() - start)


def _read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def _factors(config: dict[str, Any]) -> tuple[int, int]:
    """Return frames per latent frame and pixels per latent column of an autoencoder."""
    frames = config.get("scale_factor_temporal", config.get("temporal_factor", 4))
    return int(frames), int(config.get("scale_factor_spatial", config.get("spatial_factor", 8)))


def _weight_bytes(folder: Path, held: torch.dtype) -> int:
    stored = stored_dtype(folder)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return 0 if stored is None else size * BYTES[held] // BYTES[stored]
