"""A small stack that keeps all rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from layert2v.stack import (
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    Role,
    Stack,
    frame_path,
    layer_pattern,
)


def sequence(name: str) -> dict[str, Any]:
    pattern = layer_pattern(name, 1)
    files = tuple(FileRecord(frame_path(pattern, k), 8, "ab" * 32) for k in (1001, 1002))
    return {"name": name, "version": 1, "pattern": pattern, "files": files}


def layer(name: str, role: Role, caster: str | None = None) -> Layer:
    return Layer(**sequence(name), role=role, prompt="a fox", seed=7, caster=caster)


def example_stack() -> Stack:
    """Two frames of a fox in snow, with everything a manifest can hold."""
    return Stack(
        name="fox",
        width=96,
        height=64,
        pixel_aspect=1.0,
        fps=12.0,
        start_frame=1001,
        frames=2,
        colorspace="lin_rec709_scene",
        layers=(
            layer("bg", Role.background),
            layer("shadow_01", Role.shadow, "fg_01"),
            layer("fg_01", Role.foreground),
        ),
        flats=(FlattenedSequence(**sequence("comp")), FlattenedSequence(**sequence("ref"))),
        prompt="a red fox in snow",
        negative_prompt="",
        seed=7,
        model="mini",
        model_digest="0" * 64,
        prompt_interpretation="fox, snow",
        warnings=("'red' is far from what the model knows",),
        latents=(FileRecord("latents/bg_v001.safetensors", 4, "cd" * 32),),
        previews=(FileRecord("preview/contact.png", 4, "cd" * 32),),
        history=(HistoryEntry("generate", "2026-01-02T03:04:05Z", {"bg": 1}, {"seed": 7}),),
        created="2026-01-02T03:04:05Z",
        generator="layert2v 0.1.0",
    )


def next_state(stack: Stack, action: str, parent: int, **versions: int) -> Stack:
    """Return the stack with one more entry in its history."""
    entry = HistoryEntry(action, "2026-01-02T03:04:05Z", versions, {}, parent=parent)
    return replace(stack, history=(*stack.history, entry))
