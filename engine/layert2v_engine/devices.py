"""Where tensors live and how precisely they multiply there: what a command line asks for, and what
training does on it. Nothing else in training names a device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from layert2v_engine.errors import BadDevice

CPU = torch.device("cpu")


def pick_device(wanted: str = "auto") -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` is the first GPU, or the CPU where there is none.

    Raises BadDevice for a name torch does not know or a GPU that is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (AssertionError, RuntimeError) as problem:  # torch asserts that it was built with CUDA
        raise BadDevice(
            f"torch cannot use the device {wanted!r} on this machine.", "Use auto, cpu or cuda."
        ) from problem


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 for matrix products and convolutions, float32 for the rest; weights as they are."""
    return torch.autocast(device.type, torch.bfloat16)


def fits(tensor: Tensor, device: torch.device, share: float = 0.5) -> bool:
    """Whether a tensor takes no more than `share` of the free memory of a GPU."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return tensor.nbytes <= share * free


class Dice:
    """Random numbers of a training phase: choices on the CPU, noise where it is needed.

    A seed gives the same choices on every device. On the CPU both come from one generator.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.choices = torch.Generator().manual_seed(seed)
        self._noise = (
            self.choices if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
        )

    def index(self, count: int) -> int:
        """A number below `count`."""
        return int(torch.randint(count, (), generator=self.choices))

    def indices(self, count: int, size: int) -> Tensor:
        """Numbers [size] below `count`, on the CPU."""
        return torch.randint(count, (size,), generator=self.choices)

    def pick(self, shares: Tensor) -> int:
        """An index of `shares` [n], each as often as its share."""
        return int(torch.multinomial(shares, 1, generator=self.choices))

    def chance(self, share: float) -> bool:
        """True in that share of calls."""
        return bool(torch.rand((), generator=self.choices) < share)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Numbers in 0..1 on the device."""
        return torch.rand(shape, generator=self._noise, device=self.device)

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Normal noise on the device."""
        return torch.randn(shape, generator=self._noise, device=self.device)
