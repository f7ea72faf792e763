"""The builder on a Ray cluster: the same stages as actors, each kind a pool with needs of its own.

Needs Ray (the extra ``ray``), and the data set and the sources on a disk that all nodes see. What
is done is known on that disk, so a clip of a lost node is simply worked on again by another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.build import BuildProgress, lock_data_set, remove_partial_files
from layert2v_engine.vidlayer.clips import mark_duplicates, source_record
from layert2v_engine.vidlayer.plan import STAGES, BuildPlan
from layert2v_engine.vidlayer.sources import Source
from layert2v_engine.vidlayer.state import clip_states
from layert2v_engine.vidlayer.write import write_catalogue


@dataclass(frozen=True, kw_only=True, slots=True)
class StageNeeds:
    """What one actor of a stage takes of a node, and how many there may be; 0: as many as fit."""

    cpus: float = 1.0
    gpus: float = 0.0
    most: int = 0


# Cutting takes nearly all of the time; the others wait for disks and answers. No stage of the
# product uses a GPU: a network of one's own in ``cut`` says so here.
DEFAULT_NEEDS = {
    "clip": StageNeeds(),
    "annotate": StageNeeds(cpus=0.25, most=1),
    "cut": StageNeeds(),
    "inspect": StageNeeds(cpus=0.25, most=2),
    "write": StageNeeds(cpus=0.25, most=2),
}


def build_with_ray(
    plan: BuildPlan,
    sources: Sequence[Source],
    report: Callable[[BuildProgress], None],
    *,
    address: str | None = None,
    needs: Mapping[str, StageNeeds] = DEFAULT_NEEDS,
) -> dict[str, int]:
    """Build a data set as ``build`` does, on the cluster at ``address``, None for one of its own.

    Raises ``EngineError`` where Ray is not installed or does not answer.
    """
    ray = _connect(address)
    with lock_data_set(plan.root):
        remove_partial_files(plan.root)
        records = [source_record(each) for each in sources]
        rows = [{**each, "path": str(each["path"])} for each in records]
        cut = partial(_pool, ray, plan, needs)
        _count(cut(ray.data.from_items(rows), "clip"), "clip", len(rows), report)
        mark_duplicates(plan.root, plan.thresholds)
        clips = [{"clip": state.clip} for state in clip_states(plan.root) if not state.is_out]
        if clips:
            data = ray.data.from_items(clips, override_num_blocks=len(clips))
            for name in STAGES:
                data = cut(data, name)
            _count(data, "layers", len(clips), report)
        return write_catalogue(plan.root)


class StageActor:
    """A stage in a process of Ray's, made there."""

    def __init__(self, plan: BuildPlan, name: str) -> None:
        self._is_first = name == "clip"
        self._stage = plan.make_clip_stage() if self._is_first else plan.make_stage(name)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work on rows of columns; return how many there were, or their clips."""
        if not self._is_first:
            self._stage({"clip": [str(each) for each in batch["clip"]]})
            return batch
        count = len(batch["path"])
        rows = [{key: str(column[i]) for key, column in batch.items()} for i in range(count)]
        self._stage({"source": [{**row, "path": Path(row["path"])} for row in rows]})
        return {"clip": np.array([row["path"] for row in rows])}


def _connect(address: str | None) -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise EngineError(
            f"Ray cannot be used: {error}.",
            "Install the extra `ray`, or build in one process, without --ray.",
            reason="NO_RAY",
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(address=address or "local", include_dashboard=False, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise EngineError(
                f"There is no Ray cluster at {address}: {error}.",
                "Start one with `ray start --head`, or leave the address out.",
                reason="NO_CLUSTER",
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray


def _pool(ray: Any, plan: BuildPlan, needs: Mapping[str, StageNeeds], data: Any, name: str) -> Any:
    """Return the data set of rows after a stage, whose actors start when it is read."""
    need = needs[name]
    fits = math.inf
    for kind, amount in (("CPU", need.cpus), ("GPU", need.gpus)):
        if amount:
            fits = min(fits, ray.cluster_resources().get(kind, 0) / amount)
    if fits < 1:
        raise EngineError(
            f"No node has what stage {name} needs: {need.cpus:g} CPUs and {need.gpus:g} GPUs.",
            "Add a node, or ask for less.",
            reason="NODE_TOO_SMALL",
        )
    most = min(int(fits), need.most or int(fits))
    return data.map_batches(
        StageActor,
        fn_constructor_kwargs={"plan": plan, "name": name},
        batch_size=1,
        num_cpus=need.cpus,
        num_gpus=need.gpus,
        concurrency=(1, most) if most > 1 else 1,
    )


def _count(data: Any, stage: str, total: int, report: Callable[[BuildProgress], None]) -> None:
    report(BuildProgress(stage=stage, done=0, total=total, eta_s=None))
    for done, _ in enumerate(data.iter_batches(batch_size=1), 1):
        report(BuildProgress(stage=stage, done=done, total=total, eta_s=None))
