"""A request for a change of a stack, checked and made ready: what can be refused is refused here.

`prepare` opens what comes with the request; `rearrange` carries out what no model takes part in.
Layers that are kept are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from layert2v.rerender import (
    RerenderSpec,
    donor_files,
    draws,
    input_keys,
    rerender_to_json,
    resolve_rerender,
    shadow_of,
    source_files,
    validate_donor,
    validate_rerender,
)
from layert2v.spec import FieldViolation, ModelInfo
from layert2v.stack import FileRecord, Role, Stack, StackFormat
from layert2v_engine.errors import InvalidSpec, StackError
from layert2v_engine.progress import WRITE_STAGE_WEIGHTS, ProgressReporter
from layert2v_engine.prompting.planner import PromptPlan
from layert2v_engine.rerender.plan import Fate, Part, arrange
from layert2v_engine.stack import manifest
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.pixel_sources import DonorSource, MaskSource, PixelSource, PlateSource


@dataclass(frozen=True, kw_only=True)
class Change:
    """A request that can be carried out: resolved, with the fate of every layer and what it brings.

    draws: whether a model takes part. sources, masks: by layer. donor: the other stack and its
    folder.
    """

    spec: RerenderSpec
    base: Stack
    parts: tuple[Part, ...]
    draws: bool
    sources: Mapping[str, PixelSource] = field(default_factory=dict)
    masks: Mapping[str, MaskSource] = field(default_factory=dict)
    donor: tuple[Path, Stack] | None = None


def prepare(
    spec: RerenderSpec,
    folder: Path,
    base: Stack,
    inputs: Mapping[str, Path],
    model: ModelInfo | None,
    seed: int,
) -> Change:
    """The change that `spec` asks for of `base`, what `manifest.read_base` read from `folder`.

    Raises InvalidSpec, StackError, FootageError or ColorError.
    """
    wrong = validate_rerender(spec, base, model) or _missing_inputs(spec, inputs)
    donor = None
    if spec.donor is not None and not wrong:
        donor = (inputs[spec.donor.input], manifest.read(inputs[spec.donor.input]))
        wrong = validate_donor(spec, base, donor[1])
    if wrong:
        raise InvalidSpec(wrong)
    _check_whole(folder, source_files(spec, base))
    if spec.donor is not None and donor is not None:
        _check_whole(donor[0], donor_files(spec.donor, donor[1]))
    parts = arrange(spec, base, donor[1] if donor else None)
    return Change(
        spec=resolve_rerender(spec, base, model, seed),
        base=base,
        parts=parts,
        draws=draws(spec, base, model),
        sources={
            part.name: _source(spec, part, base, inputs, donor)
            for part in parts
            if part.fate is Fate.brought
        },
        masks={name: MaskSource(inputs[key], base, name) for name, key in spec.masks.items()},
        donor=donor,
    )


def rearrange(change: Change, editor: StackEditor, progress: ProgressReporter) -> Stack:
    """Carry out a change without a model. `ref` stays: it is a model's own picture."""
    progress.stage_weights = WRITE_STAGE_WEIGHTS
    notes = [source.note for source in change.sources.values()]
    notes += ["ref stays as it was"] if any(f.name == "ref" for f in change.base.flats) else []
    for part in change.parts:
        declare(editor, change, part, part.prompt, part.seed)
    for index in range(editor.format.frames):
        for name, source in change.sources.items():
            editor.write_pixels(name, index, source.frame(index))
        progress.report("decode", index + 1, editor.format.frames)
    return editor.finish(provenance(change, notes), progress=partial(progress.report, "write"))


def declare(editor: StackEditor, change: Change, part: Part, prompt: str, seed: int) -> None:
    """Declare a layer of the new state; files of one that was brought say how."""
    if part.fate is Fate.kept:
        editor.keep_layer(part.name)
        return
    source = change.sources.get(part.name)
    editor.add_layer(
        part.name,
        part.role,
        prompt=prompt,
        seed=seed,
        caster=part.caster,
        source=part.source,
        tags={"input_transform": source.note} if source is not None else None,
    )


def provenance(
    change: Change,
    notes: list[str],
    model: ModelInfo | None = None,
    plan: PromptPlan | None = None,
) -> Provenance:
    """Where the new state comes from; `model` and `plan` where one was drawn with."""
    return Provenance(
        action=change.spec.action,
        spec=rerender_to_json(change.spec),
        note="; ".join(note for note in notes if note),
        model=model.name if model else "",
        model_digest=model.digest if model else "",
        prompt_interpretation=plan.interpretation if plan else "",
        warnings=plan.warnings if plan else (),
    )


def _check_whole(folder: Path, files: Iterable[FileRecord]) -> None:
    """Latents may be missing: pixels are encoded then."""
    for file in files:
        if not (folder / file.path).is_file() and not file.path.startswith("latents/"):
            raise StackError(
                f"The stack is not whole: {folder / file.path} is missing.",
                "Copy it again, or start from another state.",
                reason="FILES_MISSING",
            )


def _missing_inputs(spec: RerenderSpec, inputs: Mapping[str, Path]) -> list[FieldViolation]:
    return [
        FieldViolation("inputs", f"The files of {key!r} did not come with the request.")
        for key in input_keys(spec)
        if key not in inputs
    ]


def _source(
    spec: RerenderSpec,
    part: Part,
    format: StackFormat,
    inputs: Mapping[str, Path],
    donor: tuple[Path, Stack] | None,
) -> PixelSource:
    if spec.plate is not None:
        return PlateSource(
            inputs[spec.plate.input],
            format,
            part.role,
            colorspace=spec.plate.colorspace,
            alpha=spec.plate.alpha,
            fit=spec.plate.fit == "fit",
        )
    if spec.donor is None or donor is None:
        raise ValueError(f"nothing is brought for {part.name}")
    folder, stack = donor
    name = spec.donor.layer
    if part.role is Role.shadow:
        name = shadow_of(name, stack) or name
    return DonorSource(folder, stack, stack.layer(name), format)
