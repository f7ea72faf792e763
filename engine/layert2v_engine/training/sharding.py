"""A network whose weights lie in parts on several processes (FSDP2), and its state on disk.

Every process computes its own rows with whole layers, gathered one block at a time; weights,
gradients, averages and moments are shared out. Each process writes its parts itself, as safetensors
with their places, so that another number of processes can go on from them.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

COUNTERS = "counters.json"
_FOLDER = re.compile(r"state_(\d+)")


class Counters(NamedTuple):
    """How far a training is: steps, and seconds of training."""

    step: int
    spent_s: float


def shard(network: nn.Module, blocks: nn.ModuleList, device: torch.device) -> None:
    """Share the weights of a network out over all processes, in place, block by block.

    All processes must hold the same weights.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def is_sharded(network: nn.Module) -> bool:
    """Return whether a network is shared out over processes."""
    return isinstance(network, FSDPModule)


def gather(tensor: Tensor) -> Tensor:
    """Return a whole tensor on every process; all of them must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather_state(network: nn.Module) -> dict[str, Any]:
    """Return the whole weights of a network on the CPU of the first process, nothing elsewhere.

    All processes must ask for it.
    """
    if not is_sharded(network):
        return network.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(network, options=options)


def save_shards(folder: Path, tensors: Mapping[str, Tensor], counters: Counters) -> None:
    """Write the parts of all processes as a new folder in ``folder``, in place of an older one.

    The older one is there until the new one is whole.
    """
    partial = folder / f"state_{counters.step:09d}.part"
    is_first = dist.get_rank() == 0
    if is_first:
        shutil.rmtree(partial, ignore_errors=True)
    dist.barrier()
    writer = HuggingFaceStorageWriter(str(partial), save_distributed=True)
    save(dict(tensors), storage_writer=writer)
    if is_first:
        (partial / COUNTERS).write_text(json.dumps(counters._asdict()))
        older = find_shards(folder)
        final = partial.with_suffix("")
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        if older is not None and older != final:
            shutil.rmtree(older)
    dist.barrier()


def load_shards(folder: Path, tensors: dict[str, Any]) -> Counters | None:
    """Fill ``tensors`` in place with what ``save_shards`` wrote; None where there is nothing.

    The number of processes may be another one.
    """
    found = find_shards(folder)
    if found is None:
        return None
    load(tensors, storage_reader=HuggingFaceStorageReader(str(found)))
    return Counters(**json.loads((found / COUNTERS).read_text()))


def read_averages(folder: Path) -> dict[str, Tensor]:
    """Return the whole averaged weights of a training that was saved in parts, in one process."""
    found = find_shards(folder)
    if found is None:
        return {}
    reader = HuggingFaceStorageReader(str(found))
    known = reader.read_metadata().state_dict_metadata
    averages = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in known.items()
        if name.startswith("average.") and isinstance(entry, TensorStorageMetadata)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is one process is known
        load(averages, storage_reader=HuggingFaceStorageReader(str(found)), no_dist=True)
    return {name.removeprefix("average."): tensor for name, tensor in averages.items()}


def find_shards(folder: Path) -> Path | None:
    """Return the newest folder of parts in ``folder``, None without one."""
    found = [each for each in folder.glob("state_*") if _FOLDER.fullmatch(each.name)]
    return max(found, default=None)
