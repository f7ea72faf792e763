"""The manifest of a stack while its frames are written: formats, sequences, provenance.

Knows names and records, not pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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
    NetworkRecord,
    Role,
    Stack,
    StackFormat,
    layer_pattern,
    read_start,
)
from layert2v.stack import read as read_manifest
from layert2v.stack import write as write_manifest
from layert2v_engine.errors import StackError
from layert2v_engine.image.atomic import write_error
from layert2v_engine.image.exr_header import GENERATOR


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """The origin of a state: ``spec`` is the request as JSON values, ``created`` ISO 8601, UTC.

    ``networks`` are those that took part.
    """

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 0
    model: str = ""
    model_digest: str = ""
    prompt_interpretation: str = ""
    warnings: tuple[str, ...] = ()
    action: str = "generate"
    spec: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    networks: tuple[NetworkRecord, ...] = ()
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(kw_only=True, slots=True)
class PendingSequence:
    """A layer, or a flattened sequence (``role`` None), while its frames are being written.

    ``tags`` go into its files. ``accepted`` are the frames that were handed in, ``files`` the
    records of those that are written, both by index from 0.
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
        """Return the file pattern of the frames, relative to the stack."""
        return layer_pattern(self.name, self.version)

    def to_layer(self) -> Layer:
        """Return the record of a complete layer. Raises ``ValueError`` without a role."""
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
            files=self._ordered_files(),
            source=self.source,
        )

    def to_flat(self) -> FlattenedSequence:
        """Return the record of a complete flattened sequence."""
        return FlattenedSequence(
            name=self.name, version=self.version, pattern=self.pattern, files=self._ordered_files()
        )

    def _ordered_files(self) -> tuple[FileRecord, ...]:
        return tuple(self.files[index] for index in sorted(self.files))


@dataclass(frozen=True, kw_only=True, slots=True)
class StackContents:
    """The contents of a state, all complete; ``new_sequences`` names those that are new in it."""

    layers: tuple[Layer, ...]
    flats: tuple[FlattenedSequence, ...]
    latents: tuple[FileRecord, ...]
    new_sequences: tuple[str, ...]

    def new_versions(self) -> dict[str, int]:
        """Return the versions of the new sequences, by name."""
        sequences: tuple[Layer | FlattenedSequence, ...] = (*self.layers, *self.flats)
        versions = {sequence.name: sequence.version for sequence in sequences}
        return {name: versions[name] for name in self.new_sequences}


def first_state(format: StackFormat, contents: StackContents, provenance: Provenance) -> Stack:
    """Return the manifest of a first state, still without previews."""
    return Stack(
        **asdict(format),
        layers=contents.layers,
        flats=contents.flats,
        prompt=provenance.prompt,
        negative_prompt=provenance.negative_prompt,
        seed=provenance.seed,
        model=provenance.model,
        model_digest=provenance.model_digest,
        prompt_interpretation=provenance.prompt_interpretation,
        warnings=provenance.warnings,
        latents=contents.latents,
        previews=(),
        history=(_history_entry(contents, provenance, 0),),
        created=provenance.created,
        generator=GENERATOR,
    )


def next_state(base: Stack, parent: int, contents: StackContents, provenance: Provenance) -> Stack:
    """Return the manifest of the state after ``base``, still without previews.

    ``parent`` is the number of the state it was made from. The request of the first state stays;
    model and interpretation are those of the last run of a model.
    """
    ran_model = bool(provenance.model)
    return replace(
        base,
        layers=contents.layers,
        flats=contents.flats,
        latents=contents.latents,
        model=provenance.model if ran_model else base.model,
        model_digest=provenance.model_digest if ran_model else base.model_digest,
        prompt_interpretation=provenance.prompt_interpretation
        if ran_model
        else base.prompt_interpretation,
        warnings=provenance.warnings if ran_model else base.warnings,
        previews=(),
        history=(*base.history, _history_entry(contents, provenance, parent)),
        generator=GENERATOR,
    )


def _history_entry(contents: StackContents, provenance: Provenance, parent: int) -> HistoryEntry:
    return HistoryEntry(
        action=provenance.action,
        created=provenance.created,
        versions=contents.new_versions(),
        spec=provenance.spec,
        note=provenance.note,
        parent=parent,
        measures=provenance.measures,
        networks=provenance.networks,
    )


def read_base(folder: Path, state: int = 0) -> Stack:
    """Read what a new state starts from: layers of ``state`` (0: the newest), the whole history.

    Raises ``StackError``.
    """
    try:
        return read_start(folder, state)
    except ManifestError as error:
        raise StackError(error.message, error.hint, reason=error.reason) from error


def read(folder: Path) -> Stack:
    """Read the stack in ``folder``. Raises ``StackError`` with the reason of the manifest error."""
    try:
        return read_manifest(folder)
    except ManifestError as error:
        raise StackError(error.message, error.hint, reason=error.reason) from error


def write(stack: Stack, folder: Path) -> None:
    """Write ``stack.json``, whole or not at all. Raises ``DiskFull`` or ``StackError``."""
    try:
        write_manifest(stack, folder)
    except ManifestError as error:
        raise StackError(error.message, error.hint, reason=error.reason) from error
    except OSError as error:
        raise write_error(folder / MANIFEST_NAME, error) from error
