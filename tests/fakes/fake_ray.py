"""Ray without processes: nodes, actors and calls that a test finishes, loses and counts.

A call runs when somebody waits for it. It stands in for the module ``ray``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """An actor or a node is gone."""


class RayTaskError(RayError):
    """What a call raised."""


@dataclass(eq=False)
class Reply:
    """A call to an actor; ``method`` and ``arguments`` are those of the caller."""

    actor: Actor
    method: str
    arguments: tuple[Any, ...]
    result: Any = None
    error: Exception | None = None
    ended: bool = False


@dataclass(eq=False)
class Actor:
    """An actor that may still wait for a node."""

    factory: Callable[[], Any]
    cpus: float
    gpus: float
    node: str = ""
    gone: bool = False
    instance: Any = None


@dataclass
class FakeRay:
    """The module. ``sizes`` are CPUs and GPUs by node; ``before`` sees a call, and may fail it."""

    sizes: dict[str, tuple[float, float]]
    before: Callable[[Reply], None] = lambda reply: None
    prefer: Callable[[Reply], Any] = lambda reply: 0  # the smallest ends first
    dead: set[str] = field(default_factory=set)
    actors: list[Actor] = field(default_factory=list)
    calls: list[Reply] = field(default_factory=list)
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    )
    _running: Reply | None = None

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "Alive": name not in self.dead, "Resources": {"CPU": c, "GPU": g}}
            for name, (c, g) in self.sizes.items()
        ]

    def get_runtime_context(self) -> Any:
        running = self._running
        return SimpleNamespace(get_node_id=lambda: running.actor.node if running else "")

    def remote(self, kind: type) -> Any:
        def options(*, num_cpus: float, num_gpus: float, **_: Any) -> Any:
            return SimpleNamespace(
                remote=lambda *args: self._make(lambda: kind(*args), num_cpus, num_gpus)
            )

        return SimpleNamespace(options=options)

    def wait(self, replies: Sequence[Reply], timeout: float) -> tuple[list[Reply], list[Reply]]:
        self._place()
        ready = [each for each in replies if each.actor.node or each.actor.gone]
        if not ready:
            return [], list(replies)
        chosen = min(ready, key=self.prefer)
        self._finish(chosen)
        return [chosen], [each for each in replies if each is not chosen]

    def get(self, reply: Reply) -> Any:
        if reply.error is not None:
            raise reply.error
        return reply.result

    def kill(self, handle: Any) -> None:
        self._end(handle.actor)

    def lose_node(self, name: str) -> None:
        """Lose a node and the actors on it."""
        self.dead.add(name)
        for actor in self.actors:
            if actor.node == name:
                self._end(actor)

    def pending(self) -> list[Reply]:
        """Return the calls that have not ended."""
        return [each for each in self.calls if not each.ended]

    def _end(self, actor: Actor) -> None:
        actor.gone, actor.instance = True, None  # with its process what it held is free

    def _make(self, factory: Callable[[], Any], cpus: float, gpus: float) -> Any:
        actor = Actor(factory, cpus, gpus)
        self.actors.append(actor)
        return _Handle(self, actor)

    def _place(self) -> None:
        for actor in self.actors:
            if actor.node or actor.gone:
                continue
            for name in self.sizes.keys() - self.dead:
                cpus, gpus = self._free(name)
                if actor.cpus <= cpus and actor.gpus <= gpus:
                    actor.node = name
                    break

    def _free(self, name: str) -> tuple[float, float]:
        here = [each for each in self.actors if each.node == name and not each.gone]
        cpus, gpus = self.sizes[name]
        return cpus - sum(each.cpus for each in here), gpus - sum(each.gpus for each in here)

    def _finish(self, reply: Reply) -> None:
        actor, self._running = reply.actor, reply
        try:
            if not actor.gone:
                self.before(reply)
            if actor.gone:
                raise RayError("the actor died")
            actor.instance = actor.instance or actor.factory()
            reply.result = getattr(actor.instance, reply.method)(*reply.arguments)
        except RayError as error:
            self._end(actor)
            reply.error = error
        reply.ended, self._running = True, None


@dataclass
class _Handle:
    ray: FakeRay
    actor: Actor

    def __getattr__(self, method: str) -> Any:
        def call(*arguments: Any) -> Reply:
            reply = Reply(self.actor, method, arguments)
            self.ray.calls.append(reply)
            return reply

        return SimpleNamespace(remote=call)
