"""The manifest of a layer stack: ``stack.json`` as frozen data, read strictly, written atomically.

Knows names, ranges, hashes and history; does not open a picture. Paths in a manifest are always
relative to the stack folder, with forward slashes, and cannot leave it.

A stack has states, numbered from 1: one entry of its history each. ``stack.json`` is the newest;
every state's whole manifest is also kept as ``history/v001.json``, ``history/v002.json``, ...
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from layert2v.errors import ManifestError
from layert2v.strict import Fields, parse

SCHEMA = "layert2v.stack"
SCHEMA_VERSION = 2
MANIFEST_NAME = "stack.json"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.#-]*")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows
_HASHES = re.compile(r"#+")
_SOURCES = ("generated", "imported", "plate")
_FLATS = ("comp", "ref")
_WAY_OUT = f"Make the stack again, or restore its {MANIFEST_NAME}."

_S = TypeVar("_S", bound="Layer | Flat")


class Role(str, Enum):
    """What a layer is; a shadow belongs to the foreground that casts it."""

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
class Flat:
    """``comp``, the linear over of the layers, or ``ref``, the model's own full video."""

    name: str
    version: int
    pattern: str
    files: tuple[FileRecord, ...]


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that was done: when (ISO 8601, UTC), what versions it made, from what request.

    Its place in the history, counted from 1, is the number of the state it made; ``parent`` is the
    state it started from, 0 for the first.
    """

    action: str
    created: str
    versions: Mapping[str, int]
    spec: Mapping[str, Any]
    note: str = ""
    parent: int = 0


@dataclass(frozen=True)
class Stack:
    """A layer stack. ``layers`` run from bottom to top; ``colorspace`` is an OCIO interop id.

    ``frames`` counts frames from ``start_frame``; sizes are pixels. ``understood`` says how the
    prompt was read, ``warnings`` where it may not have been. ``latents`` is what a re-render
    starts from, one file per version of a layer or of ref; some or all may be absent.
    """

    name: str
    width: int
    height: int
    pixel_aspect: float
    fps: float
    start_frame: int
    frames: int
    colorspace: str
    layers: tuple[Layer, ...]
    flats: tuple[Flat, ...]
    prompt: str
    negative_prompt: str
    seed: int
    model: str
    model_digest: str
    understood: str
    warnings: tuple[str, ...]
    latents: tuple[FileRecord, ...]
    previews: tuple[FileRecord, ...]
    history: tuple[HistoryEntry, ...]
    created: str
    generator: str

    def layer(self, name: str) -> Layer:
        """The layer called ``name``. Raises ``KeyError``."""
        return _named(self.layers, name)

    def flat(self, name: str) -> Flat:
        """The flattened sequence called ``name``. Raises ``KeyError``."""
        return _named(self.flats, name)

    @property
    def state(self) -> int:
        """The number of this state."""
        return len(self.history)

    def sequences(self) -> tuple[Layer | Flat, ...]:
        """Layers, then flats."""
        return (*self.layers, *self.flats)

    def latents_of(self, name: str) -> FileRecord | None:
        """The latents of a layer or flat in the version it has here. Raises ``KeyError``."""
        path = latents_path(name, _named(self.sequences(), name).version)
        return next((file for file in self.latents if file.path == path), None)

    def files(self) -> tuple[FileRecord, ...]:
        """Every file the manifest names, in manifest order, the manifests themselves left out."""
        pictures = (file for sequence in self.sequences() for file in sequence.files)
        return (*pictures, *self.latents, *self.previews)


def layer_folder(name: str, version: int) -> str:
    """The folder of one version of a layer, such as ``bg/v001``."""
    return f"{name}/v{version:03d}"


def layer_pattern(name: str, version: int) -> str:
    """The file pattern of one version of a layer, such as ``bg/v001/bg_v001.####.exr``."""
    return f"{layer_folder(name, version)}/{name}_v{version:03d}.####.exr"


def latents_path(name: str, version: int) -> str:
    """The latents of one version of a layer, such as ``latents/bg_v001.safetensors``."""
    return f"latents/{name}_v{version:03d}.safetensors"


def state_path(state: int) -> str:
    """Where the manifest of one state is kept, such as ``history/v001.json``."""
    return f"history/v{state:03d}.json"


def next_version(stack: Stack, name: str) -> int:
    """The version that a new make of a layer, of comp or of ref gets.

    One more than any state has, also a state that nobody works on any more: its files are kept.
    """
    made = [entry.versions.get(name, 0) for entry in stack.history]
    now = [each.version for each in stack.sequences() if each.name == name]
    return 1 + max((*made, *now), default=0)


def frame_path(pattern: str, frame: int) -> str:
    """The path of one frame: the run of ``#`` becomes the number, padded to its width."""
    return _HASHES.sub(lambda run: f"{frame:0{len(run[0])}d}", pattern, count=1)


def dumps(stack: Stack) -> str:
    """The manifest as text. Raises ``ManifestError`` where the stack breaks its own rules."""
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(stack)}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=True) + "\n"
    loads(text)  # the reader is the one definition of a right manifest
    return text


def loads(text: str) -> Stack:
    """Read a manifest strictly. Raises ``ManifestError``.

    A manifest of a newer schema is refused with reason ``SCHEMA_TOO_NEW`` before its fields are
    looked at, so that the message is about the version and not about an unknown field.
    """
    fields = Fields(parse(text, ManifestError), "", ManifestError)
    if fields.text("schema") != SCHEMA:
        raise ManifestError("NOT_A_STACK", "This JSON file is not a layer stack manifest.")
    version = fields.integer("schema_version")
    if version > SCHEMA_VERSION:
        raise ManifestError(
            "SCHEMA_TOO_NEW",
            f"This stack uses manifest version {version}, but this program reads up to version "
            f"{SCHEMA_VERSION}.",
            "Update LayerT2V to open it.",
        )
    if version < 1:
        raise fields.wrong("schema_version", "1 or more")
    stack = _read_stack(fields, version)
    fields.done()
    _check_layers(stack)
    _check_history(stack)
    return stack


def read(folder: Path) -> Stack:
    """Read ``folder/stack.json``. Raises ``ManifestError``."""
    path = folder / MANIFEST_NAME
    if not path.exists():
        raise ManifestError(
            "MANIFEST_NOT_FOUND",
            f"There is no {MANIFEST_NAME} in {folder}.",
            "Choose the folder of a finished layer stack.",
        )
    return _read(path)


def read_state(folder: Path, state: int = 0) -> Stack:
    """A state of the stack in ``folder`` as it was; 0 is the newest. Raises ``ManifestError``."""
    newest = read(folder)
    if state in (0, newest.state):
        return newest
    path = folder / state_path(state)
    if not (0 < state < newest.state and path.exists()):
        raise ManifestError(
            "STATE_NOT_FOUND",
            f"There is no state v{state:03d} in {folder}; the newest is v{newest.state:03d}.",
            "Choose one that its history names.",
        )
    return _read(path)


def read_start(folder: Path, state: int = 0) -> Stack:
    """What a new state starts from: the layers of ``state`` (0 is the newest) and all history.

    Raises ``ManifestError``.
    """
    return replace(read_state(folder, state), history=read(folder).history)


def write(stack: Stack, folder: Path) -> Path:
    """Write ``folder/stack.json`` and keep it as the manifest of its state; returns its path.

    Both appear whole or not at all, ``stack.json`` last. Raises ``ManifestError`` for a wrong
    stack and ``OSError`` where the folder cannot be written.
    """
    path, kept = folder / MANIFEST_NAME, folder / state_path(stack.state)
    text, known = dumps(stack), kept.exists()
    _keep_former(stack, folder)
    try:
        _appear(kept, text)
        _appear(path, text)
    except BaseException:
        if not known:
            kept.unlink(missing_ok=True)
        with suppress(OSError):  # others are kept there
            kept.parent.rmdir()
        raise
    return path


def _keep_former(stack: Stack, folder: Path) -> None:
    """Keep the state before, where it was written before states were."""
    path = folder / state_path(stack.state - 1)
    if stack.state > 1 and not path.exists() and (folder / MANIFEST_NAME).exists():
        former = read(folder)
        if former.state == stack.state - 1:
            _appear(path, dumps(former))


def _appear(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".stack-", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; a stack is shared like its pictures
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Stack:
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        message = f"{path} cannot be read: {why}."
        raise ManifestError("MANIFEST_UNREADABLE", message, _WAY_OUT) from problem
    except ManifestError as problem:
        message = f"{path} cannot be used. {problem.message}"
        raise ManifestError(problem.reason, message, problem.hint or _WAY_OUT) from problem


def _named(sequences: tuple[_S, ...], name: str) -> _S:
    for sequence in sequences:
        if sequence.name == name:
            return sequence
    raise KeyError(name)


def _read_stack(fields: Fields, version: int) -> Stack:
    return Stack(
        name=fields.text("name"),
        width=_positive(fields, "width"),
        height=_positive(fields, "height"),
        pixel_aspect=_above_zero(fields, "pixel_aspect"),
        fps=_above_zero(fields, "fps"),
        start_frame=_count(fields, "start_frame"),
        frames=_positive(fields, "frames"),
        colorspace=fields.text("colorspace"),
        layers=fields.records("layers", _read_layer),
        flats=fields.records("flats", _read_flat),
        prompt=fields.text("prompt"),
        negative_prompt=fields.text("negative_prompt"),
        seed=_count(fields, "seed"),
        model=fields.text("model"),
        model_digest=fields.text("model_digest"),
        understood=fields.text("understood"),
        warnings=fields.texts("warnings"),
        latents=_read_latents(fields, version),
        previews=fields.records("previews", _read_file),
        history=_read_history(fields, version),
        created=fields.text("created"),
        generator=fields.text("generator"),
    )


def _read_layer(fields: Fields) -> Layer:
    role = fields.text("role")
    if role not in {known.value for known in Role}:
        raise fields.wrong("role", "background, foreground or shadow")
    return Layer(
        name=_name(fields, "name"),
        role=Role(role),
        version=_positive(fields, "version"),
        pattern=_pattern(fields, "pattern"),
        prompt=fields.text("prompt"),
        seed=_count(fields, "seed"),
        caster=fields.optional_text("caster"),
        files=fields.records("files", _read_file),
        source=_one_of(fields, "source", _SOURCES),
    )


def _read_flat(fields: Fields) -> Flat:
    return Flat(
        name=_one_of(fields, "name", _FLATS),
        version=_positive(fields, "version"),
        pattern=_pattern(fields, "pattern"),
        files=fields.records("files", _read_file),
    )


def _read_file(fields: Fields) -> FileRecord:
    path = fields.text("path")
    if not is_safe_path(path):
        raise fields.wrong("path", "a relative path inside the stack folder, with forward slashes")
    digest = fields.text("sha256")
    if not _SHA256.fullmatch(digest):
        raise fields.wrong("sha256", "64 lower-case hexadecimal digits")
    return FileRecord(path=path, size_bytes=_count(fields, "size_bytes"), sha256=digest)


def _read_latents(fields: Fields, version: int) -> tuple[FileRecord, ...]:
    if version > 1:
        return fields.records("latents", _read_file)
    fields.optional_record("latents", _read_file)
    return ()  # one file for all layers, which no later version could share


def _read_history(fields: Fields, version: int) -> tuple[HistoryEntry, ...]:
    if version > 1:
        return fields.records("history", lambda one: _read_entry(one, one.integer("parent")))
    entries = fields.records("history", lambda one: _read_entry(one, 0))
    return tuple(replace(entry, parent=former) for former, entry in enumerate(entries))


def _read_entry(fields: Fields, parent: int) -> HistoryEntry:
    return HistoryEntry(
        action=fields.text("action"),
        created=fields.text("created"),
        versions=fields.integers_by_name("versions"),
        spec=fields.mapping("spec"),
        note=fields.text("note"),
        parent=parent,
    )


def is_safe_path(path: str) -> bool:
    """Whether ``path`` is relative, plain and stays inside its folder on every system."""
    parts = path.split("/")
    return all(
        _SEGMENT.fullmatch(part) and not part.endswith(".") and not _DEVICE.fullmatch(part)
        for part in parts
    )


def _check_layers(stack: Stack) -> None:
    sequences = stack.sequences()
    names = [sequence.name for sequence in sequences]
    if len(set(names)) != len(names):
        raise ManifestError("LAYER_TWICE", f"Two layers share a name: {', '.join(names)}.")
    foregrounds = {layer.name for layer in stack.layers if layer.role is Role.foreground}
    for layer in stack.layers:
        if layer.role is Role.shadow and layer.caster not in foregrounds:
            raise ManifestError(
                "CASTER_UNKNOWN", f"The shadow {layer.name} must name its foreground as caster."
            )
        if layer.role is not Role.shadow and layer.caster is not None:
            raise ManifestError("CASTER_UNKNOWN", f"{layer.name} is no shadow and has no caster.")
    for sequence in sequences:
        frames = range(stack.start_frame, stack.start_frame + stack.frames)
        expected = [frame_path(sequence.pattern, frame) for frame in frames]
        if [file.path for file in sequence.files] != expected:
            raise ManifestError(
                "FRAMES_WRONG",
                f"{sequence.name} must list one file per frame, {expected[0]} to {expected[-1]}.",
            )


def _check_history(stack: Stack) -> None:
    if not stack.history:
        raise ManifestError("HISTORY_WRONG", "The history must say how the stack was made.")
    for former, entry in enumerate(stack.history):
        if not 0 <= entry.parent <= former:
            raise ManifestError(
                "HISTORY_WRONG", f"history[{former}].parent must be a state before its own."
            )


def _name(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if not _NAME.fullmatch(value) or value in _FLATS:
        raise fields.wrong(key, "lower-case letters, digits and underscores, not comp or ref")
    return value


def _pattern(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if not is_safe_path(value) or len(_HASHES.findall(value)) != 1:
        raise fields.wrong(key, "a relative path with one run of # for the frame number")
    return value


def _one_of(fields: Fields, key: str, choices: tuple[str, ...]) -> str:
    value = fields.text(key)
    if value not in choices:
        raise fields.wrong(key, "one of " + ", ".join(choices))
    return value


def _positive(fields: Fields, key: str) -> int:
    value = fields.integer(key)
    if value < 1:
        raise fields.wrong(key, "1 or more")
    return value


def _count(fields: Fields, key: str) -> int:
    value = fields.integer(key)
    if value < 0:
        raise fields.wrong(key, "0 or more")
    return value


def _above_zero(fields: Fields, key: str) -> float:
    value = fields.number(key)
    if value <= 0:
        raise fields.wrong(key, "greater than 0")
    return value
