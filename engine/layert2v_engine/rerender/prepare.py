"""A request to change a stack, checked and made ready: what can be refused is refused here.

Opens what comes with the request. Layers that are kept are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from layert2v.errors import ManifestError
from layert2v.rerender import (
    AffectedLayers,
    RerenderSpec,
    donor_files,
    resolve_rerender,
    shadow_of,
    source_files,
    uses_model,
    validate_donor,
    validate_rerender,
)
from layert2v.spec import FieldViolation, ModelInfo
from layert2v.stack import FileRecord, NetworkRecord, Role, Stack, StackFormat, read_state
from layert2v_engine.errors import InvalidSpec, StackError
from layert2v_engine.rerender.plan import LayerAction, LayerPlan, plan_layers
from layert2v_engine.stack import manifest
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.pixel_sources import DonorSource, MaskSource, PixelSource, PlateSource


@dataclass(frozen=True, kw_only=True)
class RerenderPlan:
    """A request that can be carried out.

    spec: the request with every default filled in. base: the state it starts from. layers: those of
    the new state, from bottom to top. uses_model: whether a model takes part. sources, masks: by
    layer, opened. donor: the other stack's folder and the stack. first: the state that was
    generated from a sentence, None where it is not in the folder. networks: those that made what
    is new, also what comes from the donor.
    """

    spec: RerenderSpec
    base: Stack
    layers: tuple[LayerPlan, ...]
    uses_model: bool
    sources: Mapping[str, PixelSource] = field(default_factory=dict)
    masks: Mapping[str, MaskSource] = field(default_factory=dict)
    donor: tuple[Path, Stack] | None = None
    first: Stack | None = None
    networks: tuple[NetworkRecord, ...] = ()


def prepare_rerender(
    spec: RerenderSpec,
    editor: StackEditor,
    affected: AffectedLayers,
    inputs: Mapping[str, Path],
    model: ModelInfo | None,
    seed: int,
) -> RerenderPlan:
    """Return how to carry out ``spec`` on the stack that ``editor`` holds.

    ``affected`` is what it affects there, ``inputs`` are folders by key, ``seed`` is used where the
    request has none. Raises InvalidSpec, StackError, FootageError or ColorError.
    """
    base = editor.base
    wrong = validate_rerender(spec, base, affected, model) or _missing_inputs(spec, inputs)
    donor = None
    if spec.donor is not None and not wrong:
        donor = (inputs[spec.donor.input], manifest.read(inputs[spec.donor.input]))
        wrong = validate_donor(spec, base, donor[1])
    if wrong:
        raise InvalidSpec(wrong)
    _check_files(editor.folder, source_files(base, affected))
    if spec.donor is not None and donor is not None:
        _check_files(donor[0], donor_files(spec.donor, donor[1]))
    if model is not None and not model.makes_shadows:
        affected = _without_new_shadows(affected, base)
    layers = plan_layers(spec, base, affected, donor[1] if donor else None)
    return RerenderPlan(
        spec=resolve_rerender(spec, base, affected, model, seed),
        base=base,
        layers=layers,
        uses_model=uses_model(base, affected, model),
        sources={
            layer.name: _open_source(spec, layer, base, inputs, donor)
            for layer in layers
            if layer.action is LayerAction.import_
        },
        masks={name: MaskSource(inputs[key], base, name) for name, key in spec.masks.items()},
        donor=donor,
        first=_read_first(editor.folder),
        networks=donor[1].networks if donor else (),
    )


def _read_first(folder: Path) -> Stack | None:
    try:
        return read_state(folder, 1)
    except ManifestError:  # a folder that holds a part of a stack
        return None


def _without_new_shadows(affected: AffectedLayers, base: Stack) -> AffectedLayers:
    """Return what is affected where a new foreground comes without a shadow."""
    there = {layer.name for layer in base.layers}
    dependent = tuple(name for name in affected.dependent if name in there)
    dropped = {*affected.dependent} - {*dependent}
    generated = tuple(name for name in affected.generated if name not in dropped)
    return replace(affected, generated=generated, dependent=dependent)


def _check_files(folder: Path, files: Iterable[FileRecord]) -> None:
    """Raise StackError if a file is missing; latents may be, since pixels are encoded then."""
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
        for key in spec.input_keys
        if key not in inputs
    ]


def _open_source(
    spec: RerenderSpec,
    layer: LayerPlan,
    format: StackFormat,
    inputs: Mapping[str, Path],
    donor: tuple[Path, Stack] | None,
) -> PixelSource:
    if spec.plate is not None:
        return PlateSource(
            inputs[spec.plate.input],
            format,
            layer.role,
            colorspace=spec.plate.colorspace,
            alpha=spec.plate.alpha,
            fit=spec.plate.fit == "fit",
        )
    if spec.donor is None or donor is None:
        raise ValueError(f"there is no source for {layer.name}")
    folder, stack = donor
    name = spec.donor.layer
    if layer.role is Role.shadow:
        name = shadow_of(name, stack) or name
    return DonorSource(folder, stack, stack.layer(name), format)
