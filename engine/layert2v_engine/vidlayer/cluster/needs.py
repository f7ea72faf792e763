"""What a stage takes of a machine, and how many actors of each fit on the machines there are.

Knows CPUs and GPUs as numbers, not Ray.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.plan import STAGES, BuildPlan

_CORRECT = "Write tables [clip], [annotate], [cut], [inspect], [write] with cpus, gpus and most."


@dataclass(frozen=True, kw_only=True, slots=True)
class StageNeeds:
    """What an actor takes of a node, and how many actors there may be; 0: as many as fit."""

    cpus: float = 1.0
    gpus: float = 0.0
    most: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StageGroup:
    """Stages that follow each other in one actor, since they need the same."""

    stages: tuple[str, ...]
    needs: StageNeeds


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSize:
    """The CPUs and GPUs of a node."""

    cpus: float
    gpus: float


def default_needs(plan: BuildPlan) -> dict[str, StageNeeds]:
    """Return a core for every stage; less for those that wait for the answers of an endpoint."""
    needs = dict.fromkeys(("clip", *STAGES), StageNeeds())
    if plan.annotator is not None:
        needs["annotate"] = StageNeeds(cpus=0.25)
    if plan.inspector is not None:
        needs["inspect"] = StageNeeds(cpus=0.25)
    return needs


def read_needs(path: Path, defaults: Mapping[str, StageNeeds]) -> dict[str, StageNeeds]:
    """Return the needs with those of a TOML file in their place. Raises ``EngineError``."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad_needs(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _bad_needs(path, str(error)) from error
    needs = dict(defaults)
    for stage, table in tables.items():
        if stage not in needs:
            raise _bad_needs(path, f"there is no stage {stage!r}")
        needs[stage] = _read_stage(path, stage, table, needs[stage])
    return needs


def _read_stage(path: Path, stage: str, table: Any, default: StageNeeds) -> StageNeeds:
    known = {field.name for field in fields(StageNeeds)}
    if not isinstance(table, dict) or not table.keys() <= known:
        raise _bad_needs(path, f"[{stage}] has something else than cpus, gpus and most")
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int if name == "most" else int | float):
            raise _bad_needs(path, f"{name} of [{stage}] is no number")
        if value < 0 or (name == "cpus" and value == 0) or value != value or value == float("inf"):
            raise _bad_needs(path, f"{name} of [{stage}] is {value}")
    values = {name: getattr(default, name) for name in known}
    return StageNeeds(**{**values, **table})


def _bad_needs(path: Path, what: str) -> EngineError:
    return EngineError(f"{path} cannot be used: {what}.", _CORRECT, reason="BAD_NEEDS")


def group_stages(names: Sequence[str], needs: Mapping[str, StageNeeds]) -> list[StageGroup]:
    """Return the stages in their order, neighbors with the same needs as one group.

    An actor holds networks and libraries of 0.9 GB, so there are no more than must be.
    """
    groups: list[StageGroup] = []
    for name in names:
        if groups and groups[-1].needs == needs[name]:
            groups[-1] = StageGroup(stages=(*groups[-1].stages, name), needs=needs[name])
        else:
            groups.append(StageGroup(stages=(name,), needs=needs[name]))
    return groups


def plan_actors(groups: Sequence[StageGroup], nodes: Sequence[NodeSize]) -> list[int]:
    """Return how many actors of each group fit on the nodes; 0 where not even the first does.

    Each group gets its first actor before any gets a second, then they take turns.
    """
    free = [[node.cpus, node.gpus] for node in nodes]
    counts = [0] * len(groups)
    # The largest first: what is left of a node is for those that need less.
    order = sorted(range(len(groups)), key=lambda k: (-groups[k].needs.gpus, -groups[k].needs.cpus))
    can_grow = True
    while can_grow:
        can_grow = False
        for index in order:
            needs = groups[index].needs
            if (not needs.most or counts[index] < needs.most) and _take(free, needs):
                counts[index] += 1
                can_grow = True
    return counts


def _take(free: list[list[float]], needs: StageNeeds) -> bool:
    """Take the needs from the first node that has them. Nodes with a GPU are kept for those."""
    order = sorted(free, key=lambda node: node[1] > 0) if not needs.gpus else free
    for node in order:
        if node[0] >= needs.cpus and node[1] >= needs.gpus:
            node[0] -= needs.cpus
            node[1] -= needs.gpus
            return True
    return False
