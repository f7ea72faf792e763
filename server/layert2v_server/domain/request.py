"""Requests as the server keeps them: a new stack of a prompt or of footage, or a change of one.

Knows neither messages nor where files lie.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from layert2v.decompose import (
    DecomposeSpec,
    RefineSpec,
    decompose_from_json,
    decompose_to_json,
    refine_from_json,
    refine_to_json,
)
from layert2v.rerender import RerenderSpec, rerender_from_json, rerender_to_json
from layert2v.spec import COMPRESSIONS, GenerateSpec, spec_from_json, spec_to_json
from layert2v.stack import FileRecord

JobSpec = GenerateSpec | RerenderSpec | DecomposeSpec | RefineSpec


class JobKind(StrEnum):
    """The kind of a job: a new stack, or a change of one."""

    GENERATE = "GENERATE"
    RERENDER = "RERENDER"
    DECOMPOSE = "DECOMPOSE"
    REFINE = "REFINE"

    @property
    def has_inputs(self) -> bool:
        """Whether files come along, which wait in the source folder of the job."""
        return self is not JobKind.GENERATE

    @property
    def changes_stack(self) -> bool:
        """Whether a stack is among them, of which the job makes a new state."""
        return self in (JobKind.RERENDER, JobKind.REFINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStack:
    """The stack that a job of the caller made."""

    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadedStack:
    """A stack by the text of its manifest, and of the manifest of an older state if one is meant.

    ``kept`` are the manifests of the states that should stay with it.
    """

    manifest: str
    state: str = ""
    kept: tuple[FileRecord, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSequence:
    """The images of a plate or a mask, or of footage, which may be one movie."""

    files: tuple[FileRecord, ...]


Source = JobStack | UploadedStack


@dataclass(frozen=True, kw_only=True, slots=True)
class RerenderRequest:
    """A change of the stack ``source``, with the folders that ``spec`` names by their keys."""

    spec: RerenderSpec
    source: Source
    inputs: Mapping[str, Source | ImageSequence] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecomposeRequest:
    """A stack of footage, with the folders that ``spec`` names by their keys."""

    spec: DecomposeSpec
    inputs: Mapping[str, Source | ImageSequence] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineRequest:
    """A new matte for a layer of the stack ``source``, with the folders that ``spec`` names."""

    spec: RefineSpec
    source: Source
    inputs: Mapping[str, Source | ImageSequence] = field(default_factory=dict)


JobRequest = GenerateSpec | RerenderRequest | DecomposeRequest | RefineRequest

_READERS: Mapping[JobKind, Callable[[Any], JobSpec]] = {
    JobKind.GENERATE: spec_from_json,
    JobKind.RERENDER: rerender_from_json,
    JobKind.DECOMPOSE: decompose_from_json,
    JobKind.REFINE: refine_from_json,
}


def job_kind(spec: JobSpec) -> JobKind:
    """Return what a job with this spec does."""
    match spec:
        case GenerateSpec():
            return JobKind.GENERATE
        case RerenderSpec():
            return JobKind.RERENDER
        case DecomposeSpec():
            return JobKind.DECOMPOSE
        case RefineSpec():
            return JobKind.REFINE


def job_spec_to_json(spec: JobSpec) -> dict[str, Any]:
    """Return the spec as JSON values."""
    match spec:
        case GenerateSpec():
            return spec_to_json(spec)
        case RerenderSpec():
            return rerender_to_json(spec)
        case DecomposeSpec():
            return decompose_to_json(spec)
        case RefineSpec():
            return refine_to_json(spec)


def job_spec_from_json(kind: JobKind, value: Any) -> JobSpec:
    """Read what ``job_spec_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    return _READERS[kind](value)


# Fields that requests of 0.1 did not have.
_LATER_DEFAULTS: dict[str, Any] = {
    "nearest": False,
    "compression": COMPRESSIONS[0],
    "placements": [],
}


def _drop_later_defaults(plain: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in plain.items()
        if key not in _LATER_DEFAULTS or value != _LATER_DEFAULTS[key]
    }


def request_digest(request: JobRequest) -> str:
    """Return a SHA-256 that tells a request that is repeated from one that differs.

    It is stored with the job, so the field names of the classes above must stay, and a field that
    came later counts only where it says something.
    """
    if isinstance(request, GenerateSpec):
        plain = _drop_later_defaults(spec_to_json(request))
    else:
        plain = {
            "spec": _drop_later_defaults(job_spec_to_json(request.spec)),
            "inputs": {key: asdict(source) for key, source in request.inputs.items()},
        }
        if not isinstance(request, DecomposeRequest):
            plain["source"] = asdict(request.source)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
