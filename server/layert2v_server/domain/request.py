"""Requests as the server keeps them: a new stack, or a change of one.

Knows neither messages nor where files lie.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from layert2v.rerender import RerenderSpec, rerender_from_json, rerender_to_json
from layert2v.spec import GenerateSpec, spec_from_json, spec_to_json
from layert2v.stack import FileRecord

JobSpec = GenerateSpec | RerenderSpec


class JobKind(StrEnum):
    """The kind of a job: a new stack, or a change of one."""

    GENERATE = "GENERATE"
    RERENDER = "RERENDER"


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
    """The images of a plate or a mask."""

    files: tuple[FileRecord, ...]


Source = JobStack | UploadedStack


@dataclass(frozen=True, kw_only=True, slots=True)
class RerenderRequest:
    """A change of the stack ``source``, with the folders that ``spec`` names by their keys."""

    spec: RerenderSpec
    source: Source
    inputs: Mapping[str, Source | ImageSequence] = field(default_factory=dict)


JobRequest = GenerateSpec | RerenderRequest


def job_kind(spec: JobSpec) -> JobKind:
    """Return what a job with this spec does."""
    return JobKind.GENERATE if isinstance(spec, GenerateSpec) else JobKind.RERENDER


def job_spec_to_json(spec: JobSpec) -> dict[str, Any]:
    """Return the spec as JSON values."""
    return spec_to_json(spec) if isinstance(spec, GenerateSpec) else rerender_to_json(spec)


def job_spec_from_json(kind: JobKind, value: Any) -> JobSpec:
    """Read what ``job_spec_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    return spec_from_json(value) if kind is JobKind.GENERATE else rerender_from_json(value)


def request_digest(request: JobRequest) -> str:
    """Return a SHA-256 that tells a request that is repeated from one that differs.

    It is stored with the job, so the field names of the classes above must stay.
    """
    if isinstance(request, GenerateSpec):
        plain = spec_to_json(request)
    else:
        plain = {
            "spec": rerender_to_json(request.spec),
            "source": asdict(request.source),
            "inputs": {key: asdict(source) for key, source in request.inputs.items()},
        }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
