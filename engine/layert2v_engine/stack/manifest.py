"""What a stack in the making knows about itself, and how that becomes its manifest.

Knows names and records, not pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layert2v.errors import ManifestError
from layert2v.stack import (
    MANIFEST_NAME,
    FileRecord,
    Flat,
    HistoryEntry,
    Layer,
    Role,
    Stack,
    layer_pattern,
)
from layert2v.stack import read as read_manifest
from layert2v.stack import write as write_manifest
from layert2v_engine.errors import StackError
from layert2v_engine.stack.exr import GENERATOR
from layert2v_engine.stack.files import write_error

VERSION = 1


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


@dataclass(kw_only=True, slots=True)
class Sequence:
    """A layer, or a flat (`role` None), while its frames are being written."""

    name: str
    role: Role | None = None
    prompt: str = ""
    seed: int = 0
    caster: str | None = None
    source: str = "generated"
    accepted: set[int] = field(default_factory=set)
    files: dict[int, FileRecord] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """Where the frames are, relative to the stack."""
        return layer_pattern(self.name, VERSION)

    def layer(self) -> Layer:
        """The record of a complete layer."""
        if self.role is None:
            raise ValueError(f"{self.name} is no layer")
        return Layer(
            name=self.name,
            role=self.role,
            version=VERSION,
            pattern=self.pattern,
            prompt=self.prompt,
            seed=self.seed,
            caster=self.caster,
            files=self._ordered(),
            source=self.source,
        )

    def flat(self) -> Flat:
        """The record of a complete flat."""
        return Flat(name=self.name, version=VERSION, pattern=self.pattern, files=self._ordered())

    def _ordered(self) -> tuple[FileRecord, ...]:
        return tuple(self.files[index] for index in sorted(self.files))


def compose(
    format: Format,
    layers: Iterable[Sequence],
    flats: Iterable[Sequence],
    provenance: Provenance,
    latents: tuple[FileRecord, ...],
) -> Stack:
    """The manifest of complete sequences, still without previews."""
    made = tuple(layer.layer() for layer in layers)
    flattened = tuple(flat.flat() for flat in flats)
    versions = {layer.name: VERSION for layer in made} | {flat.name: VERSION for flat in flattened}
    done = HistoryEntry(
        action=provenance.action,
        created=provenance.created,
        versions=versions,
        spec=provenance.spec,
        note=provenance.note,
    )
    return Stack(
        name=format.name,
        width=format.width,
        height=format.height,
        pixel_aspect=format.pixel_aspect,
        fps=format.fps,
        start_frame=format.start_frame,
        frames=format.frames,
        colorspace=format.colorspace,
        layers=made,
        flats=flattened,
        prompt=provenance.prompt,
        negative_prompt=provenance.negative_prompt,
        seed=provenance.seed,
        model=provenance.model,
        model_digest=provenance.model_digest,
        understood=provenance.understood,
        warnings=provenance.warnings,
        latents=latents,
        previews=(),
        history=(done,),
        created=provenance.created,
        generator=GENERATOR,
    )


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
