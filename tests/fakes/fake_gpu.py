"""A GPU that is not there: a torch device `pretend` whose tensors lie in CPU memory.

It computes like the CPU but refuses what CUDA refuses, an operation on tensors of two devices, so
that a tensor left behind shows without a GPU. Autocast works as on CUDA for what the networks use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "pretend"
# What may meet tensors of both devices on CUDA, too.
_BETWEEN_DEVICES = {"_to_copy", "copy_", "index", "index_put_"}
_IN_BFLOAT16 = ("linear", "conv2d", "conv3d", "matmul", "scaled_dot_product_attention")
_libraries: list[torch.library.Library] = []  # registrations last as long as these


class PretendTensor(torch.Tensor):
    """Says it is on `pretend`; `near` holds its numbers."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> PretendTensor:
        far = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        far.near = near
        return far

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        twin: Tensor = PretendTensor(self.near.detach().clone())
        if isinstance(self, nn.Parameter):
            twin = nn.Parameter(twin, self.requires_grad)
        memo[id(self)] = twin
        return twin

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.near.untyped_storage()

    def data_ptr(self) -> int:
        return self.near.data_ptr()

    def __repr__(self) -> str:
        return f"PretendTensor({self.near})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with _Dispatch():
            return func(*args, **(kwargs or {}))


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        far = [x for x in tensors if isinstance(x, PretendTensor)]
        left_behind = [x for x in tensors if not isinstance(x, PretendTensor) and x.ndim]
        if far and left_behind and name not in _BETWEEN_DEVICES:
            shapes = [tuple(x.shape) for x in left_behind]
            raise RuntimeError(f"{name}: tensors on {NAME} and, of shapes {shapes}, on the CPU")
        target = kwargs.get("device")
        if target is not None:
            kwargs["device"] = torch.device("cpu")
            to_far = torch.device(target).type == NAME
        else:
            to_far = isinstance(args[0], PretendTensor) if name in _BETWEEN_DEVICES else bool(far)
        known = {id(x.near): x for x in far}  # what works in place returns its argument
        result = func(*tree_map(_near, args), **tree_map(_near, kwargs))
        return tree_map(lambda x: known.get(id(x), _far(x) if to_far else x), result)


def _near(x: Any) -> Any:
    return x.near if isinstance(x, PretendTensor) else x


def _far(x: Any) -> Any:
    return PretendTensor(x) if isinstance(x, Tensor) else x


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class _Generator(torch.Generator):
    """Draws on the CPU, whatever device is asked for."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return _TorchGenerator.__new__(_TorchGenerator)


_TorchGenerator = torch.Generator


@cache  # torch takes one such device per process
def _install() -> None:
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    rest = torch.library.Library("_", "IMPL")
    rest.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    casts = torch.library.Library("aten", "IMPL")
    for name in _IN_BFLOAT16:
        casts.impl(name, _in_bfloat16(getattr(torch.ops.aten, name)), "AutocastPrivateUse1")
    inside = torch.library.Library("aten", "IMPL")  # for torch's own calls that no mode sees
    inside.impl("empty_strided", _empty_strided, "PrivateUse1")
    inside.impl("_copy_from", _copy_from, "PrivateUse1")
    _libraries.extend([rest, casts, inside])


def _empty_strided(size: Any, stride: Any, *, dtype: torch.dtype, **rest: Any) -> Tensor:
    return PretendTensor(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _near(target).copy_(_near(source))
    return target


def _in_bfloat16(op: Any) -> Any:
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(x: Any) -> Any:
        floats = isinstance(x, Tensor) and x.is_floating_point()
        return x.to(torch.bfloat16) if floats else x

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(key):
            return op(*tree_map(cast, args), **tree_map(cast, kwargs))

    return run


@contextmanager
def pretend_gpu() -> Iterator[torch.device]:
    """A device for as long as the block runs."""
    _install()
    with _Dispatch(), patch.object(torch, "Generator", _Generator):
        yield torch.device(NAME, 0)
