"""A fake GPU: a torch device ``pretend`` whose tensors lie in CPU memory.

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
# Operations that take tensors of both devices on CUDA, too.
_MAY_MIX_DEVICES = {"_to_copy", "copy_", "index", "index_put_"}
_AUTOCAST_OPS = ("linear", "conv2d", "conv3d", "matmul", "scaled_dot_product_attention")
_libraries: list[torch.library.Library] = []  # registrations last as long as these


class FakeGpuTensor(torch.Tensor):
    """A tensor that says it is on ``pretend``; ``cpu_tensor`` holds its numbers."""

    cpu_tensor: Tensor

    @staticmethod
    def __new__(cls, cpu_tensor: Tensor) -> FakeGpuTensor:
        on_gpu = torch.Tensor._make_wrapper_subclass(
            cls,
            cpu_tensor.shape,
            cpu_tensor.stride(),
            cpu_tensor.storage_offset(),
            dtype=cpu_tensor.dtype,
            device=torch.device(NAME, 0),
        )
        on_gpu.cpu_tensor = cpu_tensor
        return on_gpu

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy: Tensor = FakeGpuTensor(self.cpu_tensor.detach().clone())
        if isinstance(self, nn.Parameter):
            copy = nn.Parameter(copy, self.requires_grad)
        memo[id(self)] = copy
        return copy

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.cpu_tensor.untyped_storage()

    def data_ptr(self) -> int:
        return self.cpu_tensor.data_ptr()

    def __repr__(self) -> str:
        return f"FakeGpuTensor({self.cpu_tensor})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with _Dispatch():
            return func(*args, **(kwargs or {}))


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_gpu = [x for x in tensors if isinstance(x, FakeGpuTensor)]
        on_cpu = [x for x in tensors if not isinstance(x, FakeGpuTensor) and x.ndim]
        if on_gpu and on_cpu and name not in _MAY_MIX_DEVICES:
            shapes = [tuple(x.shape) for x in on_cpu]
            raise RuntimeError(f"{name}: tensors on {NAME} and, of shapes {shapes}, on the CPU")
        target = kwargs.get("device")
        if target is not None:
            kwargs["device"] = torch.device("cpu")
            result_on_gpu = torch.device(target).type == NAME
        else:
            result_on_gpu = (
                isinstance(args[0], FakeGpuTensor) if name in _MAY_MIX_DEVICES else bool(on_gpu)
            )
        # What works in place returns its argument.
        originals = {id(x.cpu_tensor): x for x in on_gpu}
        result = func(*tree_map(_to_cpu, args), **tree_map(_to_cpu, kwargs))
        return tree_map(lambda x: originals.get(id(x), _to_gpu(x) if result_on_gpu else x), result)


def _to_cpu(x: Any) -> Any:
    return x.cpu_tensor if isinstance(x, FakeGpuTensor) else x


def _to_gpu(x: Any) -> Any:
    return FakeGpuTensor(x) if isinstance(x, Tensor) else x


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class _Generator(torch.Generator):
    """A generator on the CPU, whatever device is asked for."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return _TorchGenerator.__new__(_TorchGenerator)


_TorchGenerator = torch.Generator


@cache  # torch takes one such device per process
def _install() -> None:
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    fallthrough = torch.library.Library("_", "IMPL")
    fallthrough.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    casts = torch.library.Library("aten", "IMPL")
    for name in _AUTOCAST_OPS:
        casts.impl(name, _in_bfloat16(getattr(torch.ops.aten, name)), "AutocastPrivateUse1")
    inside = torch.library.Library("aten", "IMPL")  # for torch's own calls that no mode sees
    inside.impl("empty_strided", _empty_strided, "PrivateUse1")
    inside.impl("_copy_from", _copy_from, "PrivateUse1")
    _libraries.extend([fallthrough, casts, inside])


def _empty_strided(size: Any, stride: Any, *, dtype: torch.dtype, **_: Any) -> Tensor:
    return FakeGpuTensor(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _to_cpu(target).copy_(_to_cpu(source))
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
def fake_gpu() -> Iterator[torch.device]:
    """Yield a fake GPU that exists as long as the block runs."""
    _install()
    with _Dispatch(), patch.object(torch, "Generator", _Generator):
        yield torch.device(NAME, 0)
