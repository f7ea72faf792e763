"""What a run gives up to take less memory of the device: which networks lie there, and as what.

Knows networks, not requests; what a request takes is the business of ``estimate``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from layert2v_engine.model.text import TextEncoder, TextStates
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Offload(StrEnum):
    """What waits in the memory of the CPU.

    none: nothing. model: text encoder and transformer, whichever is not at work. group: the text
    encoder as well, and of the transformer all but the blocks at work.
    """

    none = "none"
    model = "model"
    group = "group"


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryOptions:
    """What is switched on to save memory of the device.

    one_stream_decode: decode a stream to its end before the next, so that one causal cache is in
        memory and not that of every stream. The same pixels; frames wait in the CPU's memory.
    offload: the same pixels, and the time of copying weights.
    float8: hold the matrices of the transformer's blocks in 8 bits (e4m3) and compute as before.
        Half of a bfloat16 network, and not quite the same pixels.
    """

    one_stream_decode: bool = False
    offload: Offload = Offload.none
    float8: bool = False

    def __str__(self) -> str:
        """Return the options of the command line that switch this on."""
        names = ["--one-stream-decode"] if self.one_stream_decode else []
        names += [f"--offload {self.offload}"] if self.offload is not Offload.none else []
        names += ["--float8"] if self.float8 else []
        return " ".join(names) or "nothing"


def exact_options(device: torch.device) -> tuple[MemoryOptions, ...]:
    """Return what changes no pixel on a device, the fastest first and the smallest last.

    A CPU has nowhere to move weights to.
    """
    offloads = [] if device.type == "cpu" else [Offload.model, Offload.group]
    decode = MemoryOptions(one_stream_decode=True)
    return MemoryOptions(), decode, *(replace(decode, offload=each) for each in offloads)


class _Movable(Protocol):
    def to(self, device: torch.device) -> Any: ...


class DeviceText:
    """A text encoder that is on the device only while it encodes."""

    def __init__(self, encoder: Any, device: torch.device) -> None:
        self._encoder, self._device = encoder, device
        self.width: int = encoder.width

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return states [N, L, D] and mask [N, L] of N prompts, in order."""
        with on_device(self._encoder, self._device):
            states: TextStates = self._encoder.encode(prompts)
        return states

    def sentence_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Return one unit vector [N, D] per text."""
        with on_device(self._encoder, self._device):
            vectors: Tensor = self._encoder.sentence_embeddings(texts)
        return vectors


@contextmanager
def on_device(network: _Movable, device: torch.device) -> Iterator[None]:
    """Hold a network on a device for as long as the block runs, and on the CPU afterwards."""
    try:
        network.to(device)
        yield
    finally:
        network.to(torch.device("cpu"))


def move(network: NetworkT, device: torch.device) -> NetworkT:
    """Return a network that has no hooks of diffusers yet, on a device.

    What diffusers puts in the place of ``to`` first imports all its hooks, which takes seconds, to
    ask whether one of them is there.
    """
    nn.Module.to(network, device)
    return network


def place_text_encoder(encoder: Any, device: torch.device, options: MemoryOptions) -> TextEncoder:
    """Return an encoder on the CPU as one that computes on the device, moved as options say."""
    if options.offload is Offload.none:
        placed: TextEncoder = encoder.to(device)
        return placed
    return DeviceText(encoder, device)


def place_transformer(
    model: LayeredWanTransformer3DModel, device: torch.device, options: MemoryOptions
) -> LayeredWanTransformer3DModel:
    """Hold a transformer that lies on the CPU as the options say. Returns it.

    With ``Offload.model`` it stays on the CPU, and whoever calls it moves it (``on_device``).
    """
    if options.float8:
        model.enable_layerwise_casting(torch.float8_e4m3fn, compute_dtype=model.dtype)
    if options.offload is Offload.group:
        model.enable_group_offload(
            device,
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=device.type == "cuda",  # fetches a block while the one before computes
        )
        return model
    return move(model, device) if options.offload is Offload.none else model
