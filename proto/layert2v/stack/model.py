"""The data of a layer stack, and the paths that its files have.

Knows neither JSON nor disks. Paths are relative to the stack folder, with forward slashes, and
cannot leave it. Use it through ``layert2v.stack``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from layert2v.limits import MAX_PATH_CHARS, MAX_PATH_SEGMENT_CHARS

FRAME_NUMBER = re.compile(r"#+")  # its place in a pattern
COMMERCIAL_USES = ("yes", "no", "ask")

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.#-]*")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows

_S = TypeVar("_S", bound="Layer | FlattenedSequence")


class Role(str, Enum):
    """The role of a layer; a shadow belongs to the foreground that casts it."""

    background = "background"
    foreground = "foreground"
    shadow = "shadow"


@dataclass(frozen=True)
class FileRecord:
    """One file of the stack: its relative path, its size and the SHA-256 of its bytes in hex."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Layer:
    """One RGBA sequence: premultiplied, scene-linear, half float, one file per frame in order.

    ``pattern`` is the path with ``####`` for the frame number. ``caster`` names the foreground of
    a shadow and is None for other roles. ``source`` is ``generated``, ``imported`` or ``plate``.
    """

    name: str
    role: Role
    version: int
    pattern: str
    prompt: str
    seed: int
    caster: str | None
    files: tuple[FileRecord, ...]
    source: str = "generated"


@dataclass(frozen=True)
class FlattenedSequence:
    """``comp``, the linear over of the layers, or ``ref``, the model's own full video."""

    name: str
    version: int
    pattern: str
    files: tuple[FileRecord, ...]


@dataclass(frozen=True)
class NetworkRecord:
    """A network that took part in a change of a stack, and on which terms.

    ``licence`` is an SPDX identifier, or what its owner calls it. ``commercial`` says whether it
    allows commercial use: one of ``COMMERCIAL_USES``. ``origin`` tells in words where its owner
    publishes it. ``sha256`` is of the weights, in hex, "" where nobody computed it.
    """

    name: str
    licence: str
    commercial: str
    origin: str
    sha256: str = ""


@dataclass(frozen=True)
class HistoryEntry:
    """One change of the stack: when (ISO 8601, UTC), what versions it wrote, from what request.

    Its place in the history, counted from 1, is the number of the state it made; ``parent`` is the
    state it started from, 0 for the first. ``networks`` are those that took part; older manifests
    do not say. ``measures`` say how well it went, by layer and by measure; empty where nothing is
    measured.
    """

    action: str
    created: str
    versions: Mapping[str, int]
    spec: Mapping[str, Any]
    note: str = ""
    parent: int = 0
    networks: tuple[NetworkRecord, ...] = ()
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class StackFormat:
    """The format that all sequences of a stack share. ``colorspace`` is an OCIO interop id.

    ``frames`` counts frames from ``start_frame``; sizes are pixels.
    """

    name: str
    width: int
    height: int
    pixel_aspect: float
    fps: float
    start_frame: int
    frames: int
    colorspace: str


@dataclass(frozen=True)
class Stack(StackFormat):
    """A layer stack, with the format of its sequences. ``layers`` run from bottom to top.

    ``prompt_interpretation`` says how the prompt was read, ``warnings`` where it may not have been.
    ``latents`` is what a re-render starts from, one file per version of a layer or of ref; some or
    all may be absent.
    """

    layers: tuple[Layer, ...]
    flats: tuple[FlattenedSequence, ...]
    prompt: str
    negative_prompt: str
    seed: int
    model: str
    model_digest: str
    prompt_interpretation: str
    warnings: tuple[str, ...]
    latents: tuple[FileRecord, ...]
    previews: tuple[FileRecord, ...]
    history: tuple[HistoryEntry, ...]
    created: str
    generator: str

    def layer(self, name: str) -> Layer:
        """Return the layer called ``name``. Raises ``KeyError``."""
        return _find_named(self.layers, name)

    def flat(self, name: str) -> FlattenedSequence:
        """Return the flattened sequence called ``name``. Raises ``KeyError``."""
        return _find_named(self.flats, name)

    @property
    def state(self) -> int:
        """The number of this state."""
        return len(self.history)

    @property
    def networks(self) -> tuple[NetworkRecord, ...]:
        """All networks that took part in its history, each once; older states may not say."""
        records = (record for entry in self.history for record in entry.networks)
        return tuple(dict.fromkeys(records))

    def sequences(self) -> tuple[Layer | FlattenedSequence, ...]:
        """Return layers, then flats."""
        return (*self.layers, *self.flats)

    def latents_of(self, name: str) -> FileRecord | None:
        """Return the latents of a layer or flat in the version it has here. Raises ``KeyError``."""
        path = latents_path(name, _find_named(self.sequences(), name).version)
        return next((file for file in self.latents if file.path == path), None)

    def files(self) -> tuple[FileRecord, ...]:
        """Return every file that the manifest names, in its order; manifests are not among them."""
        frames = (file for sequence in self.sequences() for file in sequence.files)
        return (*frames, *self.latents, *self.previews)


def layer_folder(name: str, version: int) -> str:
    """Return the folder of one version of a layer, such as ``bg/v001``."""
    return f"{name}/v{version:03d}"


def layer_pattern(name: str, version: int) -> str:
    """Return the file pattern of one version of a layer, such as ``bg/v001/bg_v001.####.exr``."""
    return f"{layer_folder(name, version)}/{name}_v{version:03d}.####.exr"


def latents_path(name: str, version: int) -> str:
    """Return the path of one version's latents, such as ``latents/bg_v001.safetensors``."""
    return f"latents/{name}_v{version:03d}.safetensors"


def state_path(state: int) -> str:
    """Return the path of one state's manifest, such as ``history/v001.json``."""
    return f"history/v{state:03d}.json"


def frame_path(pattern: str, frame: int) -> str:
    """Return the path of one frame: the run of ``#`` becomes the number, padded to its width."""
    return FRAME_NUMBER.sub(lambda run: f"{frame:0{len(run[0])}d}", pattern, count=1)


def next_version(stack: Stack, name: str) -> int:
    """Return the version that the next sequence of a layer, of comp or of ref gets.

    One more than any state has, also a state that nobody works on any more: its files are kept.
    """
    past = [entry.versions.get(name, 0) for entry in stack.history]
    now = [each.version for each in stack.sequences() if each.name == name]
    return 1 + max((*past, *now), default=0)


def is_safe_path(path: str) -> bool:
    """Return whether ``path`` is relative, plain, short, and stays inside its folder everywhere."""
    parts = path.split("/")
    return len(path) <= MAX_PATH_CHARS and all(
        len(part) <= MAX_PATH_SEGMENT_CHARS
        and _SEGMENT.fullmatch(part)
        and not part.endswith(".")
        and not _DEVICE.fullmatch(part)
        for part in parts
    )


def _find_named(sequences: tuple[_S, ...], name: str) -> _S:
    for sequence in sequences:
        if sequence.name == name:
            return sequence
    raise KeyError(name)
