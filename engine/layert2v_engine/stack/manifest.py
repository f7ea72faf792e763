"""What a stack in the making knows about itself, and how that becomes its manifest.

Knows names and records, not pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layert2v.errors import ManifestError
from layert2v.stack import (
    MANIFEST_NAME,
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    Role,
    Stack,
    layer_pattern,
    read_start,
)
from layert2v.stack import read as read_manifest
from layert2v.stack import write as write_manifest
from layert2v_engine.errors import StackError
from layert2v_engine.image.atomic import write_error
from layert2v_engine.image.exr import GENERATOR


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a stack comes from. `spec` is the request as JSON values, `created` ISO 8601 in UTC."""

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 0
    model: str = ""
    model_digest: str = ""
    understood: str = ""
    warnings: tuple[str, ...] = ()
    action: str = "generate"
    spec: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """What all sequences of a stack share. `colorspace` is an OCIO interop id."""

    name: str
    width: int
    height: int
    pixel_aspect: float
    fps: float
    start_frame: int
    frames: int
    colorspace: str

    @classmethod
    def of(cls, stack: Stack) -> Format:
        """That of a stack that is there."""
        return cls(**{each.name: getattr(stack, each.name) for each in fields(cls)})


@dataclass(kw_only=True, slots=True)
class Sequence:
    """A layer, or a flat (`role` None), while its frames are being written. `tags` go into its
    files.
    """

    name: str
    version: int = 1
    role: Role | None = None
    prompt: str = ""
    seed: int = 0
    caster: str | None = None
    source: str = "generated"
    tags: Mapping[str, str] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    files: dict[int, FileRecord] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """Where the frames are, relative to the stack."""
        return layer_pattern(self.name, self.version)

    def layer(self) -> Layer:
        """The record of a complete layer."""
        if self.role is None:
            raise ValueError(f"{self.name} is no layer")
        return Layer(
            name=self.name,
            role=self.role,
            version=self.version,
            pattern=self.pattern,
            prompt=self.prompt,
            seed=self.seed,
            caster=self.caster,
            files=self._ordered(),
            source=self.source,
        )

    def flat(self) -> FlattenedSequence:
        """The record of a complete flat."""
        return FlattenedSequence(
            name=self.name, version=self.version, pattern=self.pattern, files=self._ordered()
        )

    def _ordered(self) -> tuple[FileRecord, ...]:
        return tuple(self.files[index] for index in sorted(self.files))


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a state consists of, all of it complete; `made` are the names that are new in it."""

    layers: tuple[Layer, ...]
    flats: tuple[FlattenedSequence, ...]
    latents: tuple[FileRecord, ...]
    made: tuple[str, ...]

    def versions(self) -> dict[str, int]:
        """The versions that were made, by name."""
        there: tuple[Layer | FlattenedSequence, ...] = (*self.layers, *self.flats)
        versions = {each.name: each.version for each in there}
        return {name: versions[name] for name in self.made}


def compose(format: Format, parts: Parts, provenance: Provenance) -> Stack:
    """The manifest of a first state, still without previews."""
    return Stack(
        name=format.name,
        width=format.width,
        height=format.height,
        pixel_aspect=format.pixel_aspect,
        fps=format.fps,
        start_frame=format.start_frame,
        frames=format.frames,
        colorspace=format.colorspace,
        layers=parts.layers,
        flats=parts.flats,
        prompt=provenance.prompt,
        negative_prompt=provenance.negative_prompt,
        seed=provenance.seed,
        model=provenance.model,
        model_digest=provenance.model_digest,
        prompt_interpretation=provenance.understood,
        warnings=provenance.warnings,
        latents=parts.latents,
        previews=(),
        history=(_entry(parts, provenance, 0),),
        created=provenance.created,
        generator=GENERATOR,
    )


def advance(base: Stack, parent: int, parts: Parts, provenance: Provenance) -> Stack:
    """The manifest of the state after `base`, made from state `parent`, still without previews.

    What the stack was asked for at first stays; model and understanding are those of the last run.
    """
    drawn = bool(provenance.model)
    return replace(
        base,
        layers=parts.layers,
        flats=parts.flats,
        latents=parts.latents,
        model=provenance.model if drawn else base.model,
        model_digest=provenance.model_digest if drawn else base.model_digest,
        prompt_interpretation=(provenance.understood if drawn else base.prompt_interpretation),
        warnings=provenance.warnings if drawn else base.warnings,
        previews=(),
        history=(*base.history, _entry(parts, provenance, parent)),
        generator=GENERATOR,
    )


def _entry(parts: Parts, provenance: Provenance, parent: int) -> HistoryEntry:
    return HistoryEntry(
        action=provenance.action,
        created=provenance.created,
        versions=parts.versions(),
        spec=provenance.spec,
        note=provenance.note,
        parent=parent,
    )


def start(folder: Path, state: int = 0) -> Stack:
    """What a new state starts from: the layers of `state` (0 the newest) and the whole history.

    Raises `StackError`.
    """
    try:
        return read_start(folder, state)
    except ManifestError as problem:
        raise StackError(problem.message, problem.hint, reason=problem.reason) from problem


def read(folder: Path) -> Stack:
    """The stack in `folder`. Raises `StackError` with the reason of the manifest's own error."""
    try:
        return read_manifest(folder)
    except ManifestError as problem:
        raise StackError(problem.message, problem.hint, reason=problem.reason) from problem


def write(stack: Stack, folder: Path) -> None:
    """Write `stack.json`, whole or not at all. Raises `DiskFull` or `StackError`."""
    try:
        write_manifest(stack, folder)
    except ManifestError as problem:
        raise StackError(problem.message, problem.hint, reason=problem.reason) from problem
    except OSError as problem:
        raise write_error(folder / MANIFEST_NAME, problem) from problem
