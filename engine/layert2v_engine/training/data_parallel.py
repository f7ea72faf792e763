"""Training one model in several processes, each on its own rows of every batch.

All processes draw the whole batch of a step, which is a function of seed and step, keep every
n-th row, and add up their gradients: the step is that of one process with the whole batch.
Two processes of one thread each take a fifth more steps an hour than one process of two threads,
and do not collapse beside other work. Without a group of processes all functions do nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from layert2v_engine.errors import EngineError

# The other processes wait while the first one renders, validates and draws.
WAIT = timedelta(hours=12)


def rank() -> int:
    """Return the number of this process, 0 for the first or only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_rows() -> slice:
    """Return which rows of a batch are those of this process."""
    return slice(rank(), None, world_size())


def sum_in_place(tensors: Sequence[Tensor]) -> None:
    """Add up each of ``tensors`` over all processes.

    Raises EngineError where another process has ended.
    """
    if world_size() == 1:
        return
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    try:
        dist.all_reduce(flat)
    except RuntimeError as error:
        raise EngineError(
            "Another process of this training has ended.",
            "Call the same command again: it goes on from the last saved state.",
        ) from error
    for tensor, total in zip(
        tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True
    ):
        tensor.detach().copy_(total.view_as(tensor))


def copy_from_first(tensors: Sequence[Tensor]) -> None:
    """Put the values of the first process into ``tensors``."""
    for tensor in tensors if world_size() > 1 else ():
        dist.broadcast(tensor.detach(), 0)


def of_first(*values: float) -> tuple[float, ...]:
    """Return the values that the first process gave."""
    if world_size() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64)
    dist.broadcast(shared, 0)
    return tuple(shared.tolist())


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process run the block alone, then the others, who find its files."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and world_size() > 1:
        dist.barrier()


def call_on_first(work: Callable[[], None]) -> None:
    """Call ``work`` in the first process, while the others wait."""
    if rank() == 0:
        work()
    wait_for_all()


def wait_for_all() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        dist.barrier()


def join_launched_group() -> int | None:
    """Join the group that torchrun, SLURM's script or Ray started this process in.

    Returns the number of this process on its machine, which is that of its GPU; None where nothing
    of the kind did. Raises EngineError where the launcher did not say all.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    if not dist.is_initialized():
        try:
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=WAIT)
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"The processes of this training cannot find each other: {error}",
                "Start it with torchrun, scripts/train_slurm.sh or scripts/train_ray.py.",
            ) from error
    return int(os.environ.get("LOCAL_RANK", "0"))


def launched_device(local: int) -> str:
    """Return the name of the device of the process of that number on its machine."""
    if not torch.cuda.is_available():
        return "cpu"
    torch.cuda.set_device(local)
    return f"cuda:{local}"


def run_in_processes(work: Callable[[], int], count: int) -> int:
    """Call ``work`` in ``count`` processes of one thread each; return what the first returns.

    The first is this process. The others end with it, however it ends.
    """
    if count == 1:
        return work()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        context = multiprocessing.get_context("spawn")
        helpers = [
            context.Process(target=_help, args=(work, store, k, count), daemon=True)
            for k in range(1, count)
        ]
        os.environ["OMP_NUM_THREADS"] = "1"  # inherited; threads that wait would spin
        for helper in helpers:
            helper.start()
        try:
            _join_group(store, 0, count)
            result = work()
            dist.barrier()  # lets the others end
            for helper in helpers:
                helper.join(timeout=10)
            return result
        finally:
            for helper in helpers:
                helper.terminate()
            dist.destroy_process_group()


def _help(work: Callable[[], int], store: Path, number: int, count: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides when to stop
    _join_group(store, number, count)
    try:
        work()
    except EngineError:  # the first process says what happened
        sys.exit(1)
    dist.barrier()


def _join_group(store: Path, number: int, count: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=store.as_uri(), rank=number, world_size=count, timeout=WAIT
    )
