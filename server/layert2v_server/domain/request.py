"""What callers ask for, in the server's words: a new stack, or a change of one.

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

Spec = GenerateSpec | RerenderSpec


class Kind(StrEnum):
    """What a job does."""

    GENERATE = "GENERATE"
    RERENDER = "RERENDER"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnJob:
    """The stack that a job of the caller made."""

    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """A stack by the text of its manifest, and of the manifest of an older state if wanted; `kept`
    are the manifests of the states that should stay with it."""

    manifest: str
    state: str = ""
    kept: tuple[FileRecord, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Files of a folder."""

    files: tuple[FileRecord, ...]


Source = OwnJob | Brought


@dataclass(frozen=True, kw_only=True, slots=True)
class RerenderWish:
    """A change of the stack `source`, with the folders that `spec` names by their keys."""

    spec: RerenderSpec
    source: Source
    inputs: Mapping[str, Source | Pictures] = field(default_factory=dict)


Wish = GenerateSpec | RerenderWish


def kind_of(spec: Spec) -> Kind:
    """What a job with this spec does."""
    return Kind.GENERATE if isinstance(spec, GenerateSpec) else Kind.RERENDER


def spec_to_plain(spec: Spec) -> dict[str, Any]:
    """The spec as JSON values."""
    return spec_to_json(spec) if isinstance(spec, GenerateSpec) else rerender_to_json(spec)


def spec_from_plain(kind: Kind, value: Any) -> Spec:
    """Read what `spec_to_plain` wrote."""
    return spec_from_json(value) if kind is Kind.GENERATE else rerender_from_json(value)


def digest(wish: Wish) -> str:
    """The same for the same wish; tells a request that is repeated from one that differs."""
    if isinstance(wish, GenerateSpec):
        plain = spec_to_json(wish)
    else:
        plain = {
            "spec": rerender_to_json(wish.spec),
            "source": asdict(wish.source),
            "inputs": {key: asdict(source) for key, source in wish.inputs.items()},
        }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
