"""Actors of one group of stages: each works on one item at a time, and is replaced when it is lost.

An item is a clip or a source. One whose actor ends several times, while its node goes on, is to
blame itself; one whose node was lost is not.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import layert2v
from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.cluster.actor import Answer, StageActor
from layert2v_engine.vidlayer.cluster.budget import RequestBudget
from layert2v_engine.vidlayer.cluster.needs import StageGroup
from layert2v_engine.vidlayer.plan import BuildPlan

MOST_CRASHES = 3
START_TIMEOUT_S = 300.0

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Item:
    """A clip or a source, and how many actors it has ended."""

    record: dict[str, str]
    crashes: int = 0


@dataclass(kw_only=True, slots=True)
class _Actor:
    handle: Any
    reply: Any  # of the call that it is at, None while it has nothing to do
    node: str = ""  # "" until it is loaded
    item: Item | None = None
    loans: dict[str, int] = field(default_factory=dict)


class ActorPool:
    """Actors of ``group``; ``waiting`` are the items that none of them has taken yet."""

    def __init__(
        self,
        ray: Any,
        plan: BuildPlan,
        group: StageGroup,
        token: str,
        budget: RequestBudget,
    ) -> None:
        self.group, self.waiting = group, deque[Item]()
        self._ray, self._plan, self._token, self._budget = ray, plan, token, budget
        self._actors: list[_Actor] = []
        self._wanted = 0
        self._failed_loads = 0  # in a row
        self._idle_since = time.monotonic()  # since when no actor was loaded

    @property
    def size(self) -> int:
        """How many actors there are, loaded or not."""
        return len(self._actors)

    @property
    def busy(self) -> int:
        """How many items are being worked on."""
        return sum(actor.item is not None for actor in self._actors)

    def replies(self) -> list[Any]:
        """Return the calls that actors are at."""
        return [actor.reply for actor in self._actors if actor.reply is not None]

    def resize(self, wanted: int) -> None:
        """Have so many actors, at least one: start some, or end them once they are idle."""
        self._wanted = max(1, wanted)
        while len(self._actors) < self._wanted:
            self._start()
        # First those that found no node yet, then those with nothing to do.
        for actor in sorted(self._actors, key=lambda each: bool(each.node)):
            if len(self._actors) > self._wanted and actor.item is None:
                self._remove(actor)

    def feed(self, most: int) -> None:
        """Give waiting items to idle actors, at most so many."""
        for actor in self._actors:
            if not self.waiting or most <= 0:
                return
            if actor.reply is not None:
                continue
            loans = self._budget.lend(self.group.stages)
            if loans is None:
                return
            actor.item, actor.loans = self.waiting.popleft(), loans
            actor.reply = actor.handle.work.remote(actor.item.record, loans)
            most -= 1

    def settle(self, reply: Any, put_out: Callable[[Item], None]) -> Item | None:
        """Take the result of a call; return an item that is through.

        ``put_out`` quarantines an item. Raises ``EngineError`` for what is no item's fault.
        """
        actor = next(each for each in self._actors if each.reply == reply)
        item, actor.reply, actor.item = actor.item, None, None
        try:
            answer: Answer = self._ray.get(reply)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            return self._lose(actor, item, error, put_out)
        self._budget.settle(actor.loans, answer.get("made", {}) if item else None)
        actor.loans = {}
        if "error" in answer:
            facts = answer["error"]
            raise EngineError(facts["message"], facts["hint"], reason=facts["reason"])
        if item is None:
            _check_version(answer["version"])
            actor.node, self._failed_loads = answer["node"], 0
        elif len(self._actors) > self._wanted:
            self._remove(actor)
        return item

    def check_started(self) -> None:
        """Raise ``EngineError`` where no actor could be started for a long time."""
        if any(actor.node for actor in self._actors):
            self._idle_since = time.monotonic()
        elif time.monotonic() > self._idle_since + START_TIMEOUT_S:
            raise no_room(self.group)

    def close(self) -> None:
        """End all actors."""
        for actor in [*self._actors]:
            self._remove(actor)

    def _start(self) -> None:
        needs = self.group.needs
        options = {
            "num_cpus": needs.cpus,
            "num_gpus": needs.gpus,
            "max_restarts": 0,  # what is lost is started again here, where nodes are counted
            "scheduling_strategy": "SPREAD",
        }
        threads = max(1, int(needs.cpus))
        remote = self._ray.remote(StageActor).options(**options)
        handle = remote.remote(self._plan, self.group.stages, threads)
        self._actors.append(
            _Actor(handle=handle, reply=handle.load.remote(self._token, str(Path.cwd())))
        )

    def _remove(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        self._ray.kill(actor.handle)

    def _lose(
        self, actor: _Actor, item: Item | None, error: Exception, put_out: Callable[[Item], None]
    ) -> Item | None:
        """Return an item that nobody should try again."""
        what = str(error).partition("\n")[0]
        _log.warning("stages=%s an actor was lost: %s", "+".join(self.group.stages), what)
        is_crash = actor.node in alive_nodes(self._ray)
        self._remove(actor)
        if item is None:
            self._failed_loads += 1
            if self._failed_loads == MOST_CRASHES:
                raise _no_start(self.group, str(error))
            return None
        self._budget.settle(actor.loans, None)
        item.crashes += is_crash
        if item.crashes < MOST_CRASHES:
            self.waiting.appendleft(item)
            return None
        put_out(item)
        return item


def alive_nodes(ray: Any) -> dict[str, dict[str, float]]:
    """Return the resources of the nodes that are there, by their ids."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def _check_version(version: str) -> None:
    if version != layert2v.__version__:
        raise EngineError(
            f"A node of the cluster has LayerT2V {version}, this machine {layert2v.__version__}.",
            "Install the same version on all nodes.",
            reason="OTHER_VERSION",
        )


def _no_start(group: StageGroup, error: str) -> EngineError:
    """Return the error for actors that end while they load; what Ray says of it ends with why."""
    what = error.strip().rpartition("\n")[2]
    return EngineError(
        f"The actors of the stages {', '.join(group.stages)} end while they load: {what}",
        "Install the same LayerT2V, with its extras engine and ray, on all nodes.",
        reason="WORKER_CRASHED",
    )


def no_room(group: StageGroup) -> EngineError:
    """Return the error for a group of stages that no node can take."""
    needs = group.needs
    return EngineError(
        f"No node of the cluster has room for the stages {', '.join(group.stages)}, which need "
        f"{needs.cpus:g} CPUs and {needs.gpus:g} GPUs.",
        "Add nodes or ask for less with --ray-needs, then run the same again: what is finished "
        "stays.",
        reason="CLUSTER_TOO_SMALL",
    )
