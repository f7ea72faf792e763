"""Strict reading of manifests: JSON to a stack, or the reason why it is none.

Knows documents, not disks. Use it through ``layert2v.stack``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from layert2v.errors import ManifestError
from layert2v.json_reader import JsonObject, parse
from layert2v.limits import (
    MAX_FRAME,
    MAX_FRAMES,
    MAX_LAYERS,
    MAX_NAME_CHARS,
    MAX_SIDE,
    MAX_STATES,
)
from layert2v.stack.model import (
    COMMERCIAL_USES,
    FRAME_NUMBER,
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    NetworkRecord,
    Role,
    Stack,
    frame_path,
    is_safe_path,
)

SCHEMA = "layert2v.stack"
SCHEMA_VERSION = 2

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SOURCES = ("generated", "imported", "plate")
_FLATS = ("comp", "ref")


def loads(text: str) -> Stack:
    """Read a manifest strictly. Raises ``ManifestError``.

    A manifest of a newer schema is refused with reason ``SCHEMA_TOO_NEW`` before its fields are
    looked at, so that the message is about the version and not about an unknown field.
    """
    fields = JsonObject(parse(text, ManifestError), "", ManifestError)
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
        raise fields.value_error("schema_version", "1 or more")
    stack = _read_stack(fields, version)
    fields.refuse_unknown()
    _check_layers(stack)
    _check_history(stack)
    return stack


def _read_stack(fields: JsonObject, version: int) -> Stack:
    return Stack(
        name=_read_short(fields, "name"),
        width=_read_positive(fields, "width", MAX_SIDE),
        height=_read_positive(fields, "height", MAX_SIDE),
        pixel_aspect=_read_above_zero(fields, "pixel_aspect"),
        fps=_read_above_zero(fields, "fps"),
        start_frame=_read_count(fields, "start_frame"),
        frames=_read_positive(fields, "frames", MAX_FRAMES),
        colorspace=_read_short(fields, "colorspace"),
        layers=fields.objects("layers", _read_layer),
        flats=fields.objects("flats", _read_flat),
        prompt=fields.text("prompt"),
        negative_prompt=fields.text("negative_prompt"),
        seed=_read_count(fields, "seed"),
        model=_read_short(fields, "model"),
        model_digest=_read_short(fields, "model_digest"),
        prompt_interpretation=fields.text("understood"),
        warnings=fields.texts("warnings"),
        latents=_read_latents(fields, version),
        previews=fields.objects("previews", _read_file),
        history=_read_history(fields, version),
        created=_read_short(fields, "created"),
        generator=_read_short(fields, "generator"),
    )


def _read_layer(fields: JsonObject) -> Layer:
    role = fields.text("role")
    if role not in {known.value for known in Role}:
        raise fields.value_error("role", "background, foreground or shadow")
    return Layer(
        name=_read_name(fields, "name"),
        role=Role(role),
        version=_read_positive(fields, "version"),
        pattern=_read_pattern(fields, "pattern"),
        prompt=fields.text("prompt"),
        seed=_read_count(fields, "seed"),
        caster=fields.optional_text("caster"),
        files=fields.objects("files", _read_file),
        source=_read_choice(fields, "source", _SOURCES),
    )


def _read_flat(fields: JsonObject) -> FlattenedSequence:
    return FlattenedSequence(
        name=_read_choice(fields, "name", _FLATS),
        version=_read_positive(fields, "version"),
        pattern=_read_pattern(fields, "pattern"),
        files=fields.objects("files", _read_file),
    )


def _read_file(fields: JsonObject) -> FileRecord:
    path = fields.text("path")
    if not is_safe_path(path):
        raise fields.value_error(
            "path", "a relative path inside the stack folder, with forward slashes"
        )
    digest = fields.text("sha256")
    if not _SHA256.fullmatch(digest):
        raise fields.value_error("sha256", "64 lower-case hexadecimal digits")
    return FileRecord(path=path, size_bytes=_read_count(fields, "size_bytes"), sha256=digest)


def _read_latents(fields: JsonObject, version: int) -> tuple[FileRecord, ...]:
    if version > 1:
        return fields.objects("latents", _read_file)
    fields.optional_object("latents", _read_file)
    return ()  # one file for all layers, which no later version could share


def _read_history(fields: JsonObject, version: int) -> tuple[HistoryEntry, ...]:
    if version > 1:
        return fields.objects("history", lambda one: _read_entry(one, one.integer("parent")))
    entries = fields.objects("history", lambda one: _read_entry(one, 0))
    return tuple(replace(entry, parent=previous) for previous, entry in enumerate(entries))


def _read_entry(fields: JsonObject, parent: int) -> HistoryEntry:
    return HistoryEntry(
        action=_read_short(fields, "action"),
        created=_read_short(fields, "created"),
        versions=fields.integer_map("versions"),
        spec=fields.mapping("spec"),
        note=fields.text("note"),
        parent=parent,
        networks=fields.objects("networks", _read_network) if fields.has("networks") else (),
        measures=fields.mapping("measures") if fields.has("measures") else {},
    )


def _read_network(fields: JsonObject) -> NetworkRecord:
    digest = fields.text("sha256")
    if digest and not _SHA256.fullmatch(digest):
        raise fields.value_error("sha256", "64 lower-case hexadecimal digits, or empty")
    return NetworkRecord(
        name=_read_short(fields, "name"),
        licence=_read_short(fields, "licence"),
        commercial=_read_choice(fields, "commercial", COMMERCIAL_USES),
        origin=_read_short(fields, "origin"),
        sha256=digest,
    )


def _check_layers(stack: Stack) -> None:
    sequences = stack.sequences()
    if len(sequences) > MAX_LAYERS:
        raise ManifestError("LAYERS_TOO_MANY", f"A stack has at most {MAX_LAYERS} layers.")
    if stack.start_frame + stack.frames - 1 > MAX_FRAME:
        raise ManifestError("FRAMES_WRONG", f"The last frame number is at most {MAX_FRAME}.")
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
        if not _lists_every_frame(stack, sequence):
            first = frame_path(sequence.pattern, stack.start_frame)
            last = frame_path(sequence.pattern, stack.start_frame + stack.frames - 1)
            raise ManifestError(
                "FRAMES_WRONG", f"{sequence.name} must list one file per frame, {first} to {last}."
            )


def _lists_every_frame(stack: Stack, sequence: Layer | FlattenedSequence) -> bool:
    # ``frames`` is only a number that somebody wrote: first the files that are there are counted.
    return len(sequence.files) == stack.frames and all(
        file.path == frame_path(sequence.pattern, frame)
        for frame, file in enumerate(sequence.files, stack.start_frame)
    )


def _check_history(stack: Stack) -> None:
    if not stack.history:
        raise ManifestError("HISTORY_WRONG", "The history must say how the stack was made.")
    if len(stack.history) > MAX_STATES:
        raise ManifestError("HISTORY_WRONG", f"A stack has at most {MAX_STATES} states.")
    for previous, entry in enumerate(stack.history):
        if not 0 <= entry.parent <= previous:
            raise ManifestError(
                "HISTORY_WRONG", f"history[{previous}].parent must be a state before its own."
            )


def _read_name(fields: JsonObject, key: str) -> str:
    value = fields.text(key)
    if not _NAME.fullmatch(value) or value in _FLATS:
        raise fields.value_error(key, "lower-case letters, digits and underscores, not comp or ref")
    return value


def _read_pattern(fields: JsonObject, key: str) -> str:
    value = fields.text(key)
    if not is_safe_path(value) or len(FRAME_NUMBER.findall(value)) != 1:
        raise fields.value_error(key, "a relative path with one run of # for the frame number")
    return value


def _read_choice(fields: JsonObject, key: str, choices: tuple[str, ...]) -> str:
    value = fields.text(key)
    if value not in choices:
        raise fields.value_error(key, "one of " + ", ".join(choices))
    return value


def _read_short(fields: JsonObject, key: str) -> str:
    value = fields.text(key)
    if len(value) > MAX_NAME_CHARS:
        raise fields.value_error(key, f"at most {MAX_NAME_CHARS} characters")
    return value


def _read_positive(fields: JsonObject, key: str, maximum: int | None = None) -> int:
    value = fields.integer(key)
    if value < 1:
        raise fields.value_error(key, "1 or more")
    if maximum is not None and value > maximum:
        raise fields.value_error(key, f"{maximum} or less")
    return value


def _read_count(fields: JsonObject, key: str) -> int:
    value = fields.integer(key)
    if value < 0:
        raise fields.value_error(key, "0 or more")
    return value


def _read_above_zero(fields: JsonObject, key: str) -> float:
    value = fields.number(key)
    if value <= 0:
        raise fields.value_error(key, "greater than 0")
    return value
