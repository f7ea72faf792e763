"""The decomposition of the fake engine: what a server can see of one, without any pixels.

A test controls it by the words of the first subject, which hold the JSON of a ``Behaviour``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from layert2v import stack as manifest
from layert2v.decompose import (
    REFINE_ACTION,
    SCRATCH_FOLDER,
    DecomposeSpec,
    RefineSpec,
    decompose_to_json,
    refine_to_json,
)
from layert2v.image_sequence import frame_number, sort_naturally
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import HistoryEntry, Stack

STAGES = ("read", "find", "plate", "split")


def generate_spec(spec: DecomposeSpec, footage: Path) -> GenerateSpec:
    """Return the request for a stack with the frames of ``footage``, a folder or a movie."""
    frames = sort_naturally(footage.iterdir()) if footage.is_dir() else (footage,)
    words = spec.subjects[0].words if spec.subjects else ""
    return GenerateSpec(
        prompt="footage",
        negative_prompt=words if words.startswith("{") else "",
        width=64,
        height=64,
        frames=len(frames),
        fps=24.0,
        seed=0,
        start_frame=frame_number(frames) or 1001,
    )


def run_stages(folder: Path, run: Callable[[str], None]) -> list[str]:
    """Run the stages that no earlier attempt had finished, and return them."""
    scratch = folder / SCRATCH_FOLDER
    scratch.mkdir(parents=True, exist_ok=True)
    left = [stage for stage in STAGES if not (scratch / stage).exists()]
    for stage in left:
        run(stage)
        (scratch / stage).touch()
    return left


def with_history(stack: Stack, spec: DecomposeSpec, stages: list[str]) -> Stack:
    """Return the stack as made of footage; its note tells which stages the last attempt ran."""
    entry = HistoryEntry(
        "decompose", stack.created, {"bg": 1}, decompose_to_json(spec), " ".join(stages)
    )
    return replace(stack, name=spec.name or "shot", history=(entry,), negative_prompt="")


def rerender_spec(spec: RefineSpec) -> RerenderSpec:
    """Return the re-render that writes the files which a refinement would."""
    return RerenderSpec("regenerate", (spec.layer,), seed=0, at=spec.at)


def with_refinement(
    folder: Path, stack: Stack, spec: RefineSpec, inputs: Mapping[str, Path]
) -> Stack:
    """Return the stack as refined, with the number of mattes in its note, and write it."""
    count = len([*inputs[spec.matte].iterdir()]) if spec.matte else 0
    entry = replace(
        stack.history[-1], action=REFINE_ACTION, spec=refine_to_json(spec), note=f"{count} mattes"
    )
    refined = replace(stack, history=(*stack.history[:-1], entry))
    for path in (folder / "stack.json", folder / manifest.state_path(stack.state)):
        path.unlink(missing_ok=True)
    manifest.write(refined, folder)
    return refined
