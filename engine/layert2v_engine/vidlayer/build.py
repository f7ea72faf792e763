"""The builder: sources through all stages to a data set, in one process.

It may be stopped or killed anywhere; started again with the same arguments, it goes on and ends
with the same data set.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from layert2v_engine.errors import EngineError, StackError
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.stack.files import exclusive_lock
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import mark_duplicates, source_record
from layert2v_engine.vidlayer.plan import STAGES, BuildPlan
from layert2v_engine.vidlayer.readers.own import CLIPS
from layert2v_engine.vidlayer.sources import Source
from layert2v_engine.vidlayer.state import WORK, ClipState, clip_states
from layert2v_engine.vidlayer.worker_lock import wait_for_workers
from layert2v_engine.vidlayer.write import WriteStage, write_catalogue

FORMAT = ".format.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildProgress:
    """How far a stage is: ``done`` of ``total`` items; ``eta_s`` None while nothing is known."""

    stage: str
    done: int
    total: int
    eta_s: float | None


Report = Callable[[BuildProgress], None]


def build(plan: BuildPlan, sources: Sequence[Source], report: Report) -> dict[str, int]:
    """Build a data set in one process; return the counts of clips, kept and quarantined ones.

    Raises ``EngineError`` for what is nobody's clip, such as a full disk or a folder that another
    process works on; all finished stages stay.
    """
    with lock_data_set(plan.root):
        prepare_folder(plan)
        _run_stages(plan, sources, ProgressMeter(report))
        return write_catalogue(plan.root)


def _run_stages(plan: BuildPlan, sources: Sequence[Source], meter: ProgressMeter) -> None:
    clip_stage = plan.make_clip_stage()
    for index, source in enumerate(sources):
        meter.show("clip", index, len(sources))
        clip_stage({"source": [source_record(source)]})
    mark_duplicates(plan.root, plan.thresholds)
    # Clip by clip through all stages: the first are complete early, and disk use stays low.
    states = [state for state in clip_states(plan.root) if not state.is_out]
    stages = [plan.make_stage(name) for name in STAGES]
    for index, state in enumerate(states):
        meter.show("layers", index, len(states))
        for stage in stages:
            stage({"clip": [state.clip]})
    meter.show("layers", len(states), len(states))


def inspect_again(root: Path, inspect: PerClipStage, report: Report) -> dict[str, int]:
    """Judge all cut clips anew, keep and drop accordingly; return the counts."""
    with lock_data_set(root):
        states = [each for each in clip_states(root) if each.is_done("cut")]
        meter = ProgressMeter(report)
        write = WriteStage(root)
        for index, state in enumerate(states):
            meter.show("inspect", index, len(states))
            state.forget("inspect")
            inspect({"clip": [state.clip]})
            if state.is_out:
                _drop(root, state)
            write({"clip": [state.clip]})
        meter.show("inspect", len(states), len(states))
        return write_catalogue(root)


@contextmanager
def lock_data_set(root: Path) -> Iterator[None]:
    """Keep other builds away from a data set meanwhile; a killed one leaves nothing behind.

    Raises ``EngineError`` where another process is at work on it.
    """
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        try:
            locks.enter_context(exclusive_lock(root))
        except StackError as error:
            raise EngineError(
                f"Another process is at work on {root}.",
                "Wait for it to end, or build in another folder.",
                reason="DATA_SET_IN_USE",
            ) from error
        wait_for_workers(root)
        yield


def prepare_folder(plan: BuildPlan) -> None:
    """Remove what a killed process was writing, and keep what clips are cut to.

    Raises ``EngineError`` where the data set has clips of another format.
    """
    _remove_partial_files(plan.root)
    path = plan.root / WORK / FORMAT
    wanted = asdict(plan.clip_format) | {"subjects": plan.subjects}
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(wanted), encoding="utf-8")
        return
    known = {"subjects": 1} | json.loads(path.read_text(encoding="utf-8"))  # were not kept once
    other = [key for key in wanted if known.get(key) != wanted[key]]
    if other:
        kept, asked = (
            ", ".join(f"{key.replace('_', '-')} {each.get(key)}" for key in other)
            for each in (known, wanted)
        )
        raise EngineError(
            f"The clips of {plan.root} were cut with {kept}, and now {asked} is asked for.",
            "Give the same options as before, or build in another folder.",
            reason="OTHER_FORMAT",
        )


def _remove_partial_files(root: Path) -> None:
    for path in sorted(root.rglob(".*.part"), reverse=True):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _drop(root: Path, state: ClipState) -> None:
    state.forget("write")
    shutil.rmtree(root / CLIPS / state.clip, ignore_errors=True)


class ProgressMeter:
    """Reports how far a stage is, with the time that is left at its speed so far."""

    def __init__(self, report: Report) -> None:
        self._report, self._stage, self._started = report, "", 0.0

    def show(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` items have passed the stage."""
        if stage != self._stage:
            self._stage, self._started = stage, time.monotonic()
        elapsed = time.monotonic() - self._started
        eta_s = elapsed * (total - done) / done if done else None
        self._report(BuildProgress(stage=stage, done=done, total=total, eta_s=eta_s))
