"""The builder on a Ray cluster: the same stages as in one process, in actors on all its nodes.

What is done is known on the disk that all nodes see, so a clip of a lost node is simply worked on
again, and a build that was stopped or killed goes on where it was, on the cluster or without it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from layert2v_engine.vidlayer.build import (
    ProgressMeter,
    Report,
    lock_data_set,
    prepare_folder,
)
from layert2v_engine.vidlayer.clips import mark_duplicates, source_record
from layert2v_engine.vidlayer.cluster.budget import RequestBudget
from layert2v_engine.vidlayer.cluster.connection import connect
from layert2v_engine.vidlayer.cluster.needs import (
    NodeSize,
    StageGroup,
    StageNeeds,
    default_needs,
    group_stages,
    plan_actors,
)
from layert2v_engine.vidlayer.cluster.pool import ActorPool, Item, alive_nodes, no_room
from layert2v_engine.vidlayer.plan import STAGES, BuildPlan
from layert2v_engine.vidlayer.sources import Source
from layert2v_engine.vidlayer.state import QUARANTINE, ClipState, clip_states
from layert2v_engine.vidlayer.worker_lock import remove_worker_lock, write_worker_lock
from layert2v_engine.vidlayer.write import write_catalogue

POLL_S = 1.0
LOOK_AT_NODES_S = 10.0
_CRASH = {"reason": "WORKER_CRASHED", "message": "The process that worked on it ended each time."}


def build_on_cluster(
    plan: BuildPlan,
    sources: Sequence[Source],
    report: Report,
    *,
    address: str | None = None,
    needs: Mapping[str, StageNeeds] | None = None,
) -> dict[str, int]:
    """Build a data set as ``build`` does, on the cluster at ``address``, None for one of its own.

    Raises ``EngineError`` as ``build`` does, and where the cluster cannot be used.
    """
    groups = group_stages(("clip", *STAGES), needs or default_needs(plan))
    token, meter = uuid.uuid4().hex, ProgressMeter(report)
    with lock_data_set(plan.root), connect(address) as ray:
        prepare_folder(plan)
        write_worker_lock(plan.root, token)
        with _Crew(ray, plan, groups, token) as crew:
            records = [{**source_record(each), "path": str(each.path)} for each in sources]
            crew.cut_clips(records, meter)
            mark_duplicates(plan.root, plan.thresholds)
            states = [state for state in clip_states(plan.root) if not state.is_out]
            left = [state.clip for state in states if not state.is_done(STAGES[-1])]
            crew.build_layers(left, meter)
        counts = write_catalogue(plan.root)
        remove_worker_lock(plan.root)
        return counts


class _Crew:
    """The actors of a build: they carry items through groups of stages, each one by itself."""

    def __init__(self, ray: Any, plan: BuildPlan, groups: Sequence[StageGroup], token: str) -> None:
        self._ray, self._plan = ray, plan
        budget = RequestBudget.of_plan(plan)
        self._all = [ActorPool(ray, plan, group, token, budget) for group in groups]
        self._pools: list[ActorPool] = []  # those that the present items go through
        self._left = 0  # items that are not through
        self._next_look = 0.0

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._all:
            pool.close()

    def cut_clips(self, records: Sequence[dict[str, str]], meter: ProgressMeter) -> None:
        """Return when every source is cut or in quarantine."""
        self._carry(self._all[:1], records, "clip", meter)

    def build_layers(self, clips: Sequence[str], meter: ProgressMeter) -> None:
        """Return when every clip is written, rejected or in quarantine."""
        first, *others = self._all
        if first.group.stages == ("clip",):
            first.close()
            self._all = others
        self._carry(self._all, [{"clip": clip} for clip in clips], "layers", meter)

    def _carry(
        self,
        pools: Sequence[ActorPool],
        records: Sequence[dict[str, str]],
        stage: str,
        meter: ProgressMeter,
    ) -> None:
        total = self._left = len(records)
        self._pools = [*pools]
        meter.show(stage, 0, total)
        if not records:
            return
        for pool, count in zip(pools, self._plan_sizes(), strict=True):
            if not count:
                raise no_room(pool.group)
            pool.resize(min(count, total))
        pools[0].waiting.extend(Item(record=each) for each in records)
        while self._left:
            for _ in self._step():
                self._left -= 1
                meter.show(stage, total - self._left, total)

    def _step(self) -> list[Item]:
        """Feed the pools, wait for a result, and return the items that are through the last one.

        The last pool comes first, and one with its next pool behind takes no more: what lies
        between two stages is on the disk.
        """
        for pool, following in zip(
            reversed(self._pools), [None, *reversed(self._pools[1:])], strict=True
        ):
            room = len(pool.waiting)
            if following is not None:
                room = 2 * following.size - len(following.waiting) - pool.busy
            pool.feed(room)
        replies = [reply for pool in self._pools for reply in pool.replies()]
        ready, _ = self._ray.wait(replies, timeout=POLL_S) if replies else ([], None)
        finished = [item for reply in ready for item in self._settle(reply)]
        self._look_at_nodes()
        return finished

    def _settle(self, reply: Any) -> Iterator[Item]:
        index = next(k for k, pool in enumerate(self._pools) if reply in pool.replies())
        pool, size = self._pools[index], self._pools[index].size
        item = pool.settle(reply, self._put_out(pool))
        if pool.size < size:  # an actor was lost
            self._next_look = 0.0
        if item is None:
            return
        if index + 1 < len(self._pools):
            self._pools[index + 1].waiting.append(item)
        else:
            yield item

    def _look_at_nodes(self) -> None:
        """Have as many actors as the nodes take that are there by now."""
        for pool in self._pools:
            pool.check_started()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_AT_NODES_S
        for pool, count in zip(self._pools, self._plan_sizes(), strict=True):
            pool.resize(min(count, self._left))

    def _plan_sizes(self) -> list[int]:
        nodes = [
            NodeSize(cpus=resources.get("CPU", 0), gpus=resources.get("GPU", 0))
            for resources in alive_nodes(self._ray).values()
        ]
        return plan_actors([pool.group for pool in self._pools], nodes)

    def _put_out(self, pool: ActorPool) -> Callable[[Item], None]:
        def put_out(item: Item) -> None:
            record = item.record
            if "clip" in record:
                state = ClipState(self._plan.root, record["clip"])
                unfinished = [name for name in pool.group.stages if not state.is_done(name)]
                state.finish(QUARANTINE, {"stage": (unfinished or [""])[0], **_CRASH})
            else:
                source = Source(**{**record, "path": Path(record["path"])})  # type: ignore[arg-type]
                self._plan.make_clip_stage().quarantine(source, **_CRASH)

        return put_out
