"""One run in several processes, each with a device of its own and all weights.

Either each takes one of the two passes of guidance, or all take a share of the tokens of every
stream and exchange what attention needs: whole heads (Ulysses, arXiv 2309.14509) or keys and values
in turn (ring attention, arXiv 2310.01889). Text, and everything else that a token does alone, stays
where it is. All processes end with the same latents. diffusers' own context parallelism needs a GPU
and would split the sequence without regard to streams.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from layert2v_engine.errors import BadConfig

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # [B, N, H, d] and twice [B, M, H, d]


class Parallelism(StrEnum):
    """What processes share: the passes of guidance, or the tokens, and how these attend."""

    guidance = "guidance"
    ulysses = "ulysses"
    ring = "ring"


def check_parallelism(kind: Parallelism, heads: int) -> None:
    """Raise BadConfig where the processes there are cannot share a run that way."""
    size = dist.get_world_size() if dist.is_initialized() else 1
    if size == 1:
        raise BadConfig(
            f"--parallel {kind} shares a run among processes, and there is one.",
            "Start the command with torchrun: docs/train_wan.md.",
        )
    if kind is Parallelism.guidance and size != 2:
        raise BadConfig(
            f"Guidance has two passes, and there are {size} processes.",
            "Start two, or share the tokens: --parallel ulysses or ring.",
        )
    if kind is Parallelism.ulysses and heads % size:
        raise BadConfig(
            f"{size} processes cannot share {heads} heads of attention equally.",
            "Start as many as divide that, or take --parallel ring.",
        )


def value_of_first(value: Any) -> Any:
    """Return what the first process gave, of what JSON can say; the value itself if it is alone."""
    if not dist.is_initialized():
        return value
    text = json.dumps(value).encode()
    size = torch.tensor([len(text)])
    dist.broadcast(size, 0)
    data = torch.tensor(list(text) if dist.get_rank() == 0 else [0] * int(size), dtype=torch.uint8)
    dist.broadcast(data, 0)
    return json.loads(bytes(data.tolist()))


def share_passes(passes: tuple[Callable[[], Tensor], Callable[[], Tensor]]) -> tuple[Tensor, ...]:
    """Return what both passes give, of which each of two processes runs one."""
    own = passes[dist.get_rank()]().contiguous()
    both = [torch.empty_like(own) for _ in passes]
    dist.all_gather(both, own)
    return tuple(both)


class TokenShare:
    """The share of the tokens of each stream that this process has, as many as every other."""

    def __init__(self, kind: Parallelism) -> None:
        self._attend = {
            Parallelism.ulysses: _attend_by_heads,
            Parallelism.ring: _attend_in_ring,
        }[kind]
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def split(self, x: Tensor) -> Tensor:
        """Return the share of tokens [B, S, n, ...]. Raises BadConfig for n that cannot be."""
        if x.shape[2] % self.size:
            raise BadConfig(
                f"{self.size} processes cannot share {x.shape[2]} tokens a stream equally.",
                "Ask for another size or length, or start fewer processes.",
            )
        return x.chunk(self.size, 2)[self.rank]

    def join(self, x: Tensor) -> Tensor:
        """Return all tokens [B, S, n, ...] of a share [B, S, n / size, ...]."""
        parts = [torch.empty_like(x) for _ in range(self.size)]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, attend: Attention) -> Tensor:
        """Return attention of this share's queries to the keys and values of all shares."""
        return self._attend(query, key, value, attend)


def _attend_by_heads(query: Tensor, key: Tensor, value: Tensor, attend: Attention) -> Tensor:
    """Attend with some heads of all tokens, which the processes exchange before and after."""
    query, key, value = (_exchange(each, 2, 1) for each in (query, key, value))
    return _exchange(attend(query, key, value), 1, 2)


def _exchange(x: Tensor, scattered: int, gathered: int) -> Tensor:
    """Give each process its part of one axis, and get all parts of another one."""
    sent = torch.stack(x.chunk(dist.get_world_size(), scattered))
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent)
    return torch.cat(received.unbind(0), gathered)


def _attend_in_ring(query: Tensor, key: Tensor, value: Tensor, _attend: Attention) -> Tensor:
    """Attend to the shares of all processes, which go round while they are attended to."""
    rank, size = dist.get_rank(), dist.get_world_size()
    pair = torch.stack((key, value))
    out = query.new_zeros(query.shape, dtype=torch.float32)
    sums = out.new_full((*query.shape[:3], 1), -torch.inf)
    for step in range(size):
        following, requests = torch.empty_like(pair), []
        if step + 1 < size:
            send = dist.P2POp(dist.isend, pair, (rank + 1) % size)
            receive = dist.P2POp(dist.irecv, following, (rank - 1) % size)
            requests = dist.batch_isend_irecv([send, receive])
        part, part_sums = _attend_with_sums(query, *pair)
        total = torch.logaddexp(sums, part_sums)
        out = out * (sums - total).exp() + part * (part_sums - total).exp()
        sums = total
        for request in requests:
            request.wait()
        pair = following
    return out.to(query.dtype)


def _attend_with_sums(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return attention [B, N, H, d] and logarithms of the sums of its weights [B, N, H, 1].

    Both in float32.
    """
    tensors = (each.transpose(1, 2) for each in (query, key, value))
    if query.device.type == "cpu":
        out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*tensors)[:2]
    else:
        out, sums = torch.ops.aten._scaled_dot_product_flash_attention(*tensors)[:2]
    return out.transpose(1, 2).float(), sums.transpose(1, 2)[..., None].float()
