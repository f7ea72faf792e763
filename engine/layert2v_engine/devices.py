"""Devices, their memory and precision, and random numbers on them.

Nothing else in training names a device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import psutil
import torch
from torch import Tensor

from layert2v_engine.errors import BadDevice
from layert2v_engine.memory_limits import memory_limit

CPU = torch.device("cpu")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``cpu``, ``cuda``, ``cuda:1``, ...

    ``auto`` is the first GPU, or the CPU where there is none. Raises BadDevice for a name torch
    does not know or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (AssertionError, RuntimeError) as error:  # torch asserts that it was built with CUDA
        raise BadDevice(
            f"torch cannot use the device {name!r} on this machine.", "Use auto, cpu or cuda."
        ) from error


def device_memory(device: torch.device) -> int:
    """Return the bytes of memory of a device, in use or not; of a CPU, what a process may have."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return min(int(psutil.virtual_memory().total), memory_limit())


def free_memory(device: torch.device) -> int:
    """Return the bytes of memory of a device that a run can have."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what torch holds for later is free for others, too
        return int(torch.cuda.mem_get_info(device)[0])
    left = memory_limit() - int(psutil.Process().memory_info().rss)
    return max(min(int(psutil.virtual_memory().available), left), 0)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return an autocast to bfloat16 for matrix products and convolutions; weights stay as is."""
    return torch.autocast(device.type, torch.bfloat16)


def fits_in_memory(tensor: Tensor, device: torch.device, fraction: float = 0.5) -> bool:
    """Return whether a tensor takes at most ``fraction`` (0..1) of a GPU's free memory."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return tensor.nbytes <= fraction * free


def seed_for(*parts: str | int) -> int:
    """Return a seed that depends on all ``parts``: other parts, other random numbers."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


class TrainingRng:
    """Random numbers of a training phase: choices on the CPU, noise on the training device.

    A seed gives the same choices on every device. On the CPU both come from one generator.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.choices = torch.Generator().manual_seed(seed)
        self._noise = (
            self.choices if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
        )

    def index(self, count: int) -> int:
        """Return an integer in 0 .. ``count`` - 1."""
        return int(torch.randint(count, (), generator=self.choices))

    def indices(self, count: int, size: int) -> Tensor:
        """Return integers [size] in 0 .. ``count`` - 1, on the CPU."""
        return torch.randint(count, (size,), generator=self.choices)

    def choice(self, weights: Tensor) -> int:
        """Return an index of ``weights`` [n], each as often as its weight."""
        return int(torch.multinomial(weights, 1, generator=self.choices))

    def bernoulli(self, probability: float) -> bool:
        """Return True with a probability in 0..1."""
        return bool(torch.rand((), generator=self.choices) < probability)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Return numbers in 0..1 of a shape, on the device."""
        return torch.rand(shape, generator=self._noise, device=self.device)

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Return normal noise of a shape, on the device."""
        return torch.randn(shape, generator=self._noise, device=self.device)
