"""Stacks for the Nuke tests: delivered by the engine's own writer, and changed like a re-render."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio
from numpy.typing import NDArray

from fakes.sample_stacks import RGBA, WIDTH, disc, gradient, read_rgba
from layert2v import stack as manifest
from layert2v.stack import FileRecord, HistoryEntry, Role, Stack, frame_path, layer_pattern
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

Rgba = NDArray[np.float32]
FRAMES = 3


def write_two_foregrounds(folder: Path, **options: Any) -> Stack:
    """bg, shadow_01, fg_01, shadow_02, fg_02: soft edges that overlap, no frame like another."""
    settings: dict[str, Any] = {
        "name": "foxes", "width": WIDTH, "height": 18, "fps": 24.0, "start_frame": 1001,
        "frames": FRAMES, "colorspace": "lin_rec709_scene", **options,
    }  # fmt: skip
    with StackWriter(folder, **settings) as writer:
        writer.add_layer("bg", Role.background, prompt="a forest", seed=1)
        for n in (1, 2):
            writer.add_layer(f"shadow_{n:02d}", Role.shadow, caster=f"fg_{n:02d}", seed=n)
            writer.add_layer(f"fg_{n:02d}", Role.foreground, prompt=f"fox {n}", seed=n)
        for index in range(settings["frames"]):
            writer.write_frame("bg", index, gradient(shift=0.3 * index))
            for n, shift in ((1, 0.2), (2, 0.7)):
                matte = disc(radius=0.3 + 0.05 * n).roll((index, 3 * n), (0, 1))
                writer.write_frame(f"shadow_{n:02d}", index, None, 0.6 * matte.roll((2, 3), (0, 1)))
                writer.write_frame(f"fg_{n:02d}", index, 1 - gradient(shift=shift), matte * 0.9)
            writer.write_ref(index, gradient())
        return writer.finish(Provenance(prompt="two foxes", seed=7, model="mini"))


def rerender_layers(
    folder: Path, *names: str, prompt: str = "", source: str = "generated"
) -> Stack:
    """Write a new state in which these layers are darker, as a re-render leaves it."""
    stack = manifest.read(folder)
    layers = []
    for layer in stack.layers:
        if layer.name in names:
            files = _write_darker(folder, stack, layer.name, layer.pattern, layer.version + 1)
            layer = replace(
                layer, version=layer.version + 1, files=files, prompt=prompt or layer.prompt,
                pattern=layer_pattern(layer.name, layer.version + 1), source=source,
            )  # fmt: skip
        layers.append(layer)
    versions = {name: stack.layer(name).version + 1 for name in names}
    entry = HistoryEntry("regenerate", "2026-01-02T03:04:05Z", versions, {}, "", stack.state)
    changed = replace(stack, layers=tuple(layers), history=(*stack.history, entry))
    manifest.write(changed, folder)
    return changed


def frame_numbers(stack: Stack) -> range:
    return range(stack.start_frame, stack.start_frame + stack.frames)


def read_frame(stack: Stack, folder: Path, name: str, frame: int) -> Rgba:
    """Return a frame of a layer or of the comp, [H, W, 4] in float32."""
    sequence = next(one for one in stack.sequences() if one.name == name)
    return read_rgba(folder / frame_path(sequence.pattern, frame)).astype(np.float32)


def numpy_over(stack: Stack, folder: Path, frame: int) -> Rgba:
    """Return the linear over of the delivered layers in float32."""
    layers = [read_frame(stack, folder, layer.name, frame) for layer in stack.layers]
    result = layers[0]
    for layer in layers[1:]:
        result = layer + result * (1 - layer[..., 3:])
    return result


def oiio_over(stack: Stack, folder: Path, frame: int) -> Rgba:
    """Return the same by OpenImageIO, which shares no code with ours."""
    result: Any = None
    for layer in stack.layers:
        pixels = read_frame(stack, folder, layer.name, frame)
        spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], 4, oiio.FLOAT)
        spec.alpha_channel = 3
        buffer = oiio.ImageBuf(spec)
        buffer.set_pixels(buffer.roi, pixels)
        result = buffer if result is None else oiio.ImageBufAlgo.over(buffer, result)
    return np.asarray(result.get_pixels(oiio.FLOAT))


def _write_darker(
    folder: Path, stack: Stack, name: str, pattern: str, version: int
) -> tuple[FileRecord, ...]:
    records = []
    for frame in frame_numbers(stack):
        pixels = read_rgba(folder / frame_path(pattern, frame))
        pixels[..., :3] *= np.float16(0.5)
        pixels[..., 3] *= np.float16(1 if name == "bg" else 0.75)
        path = frame_path(layer_pattern(name, version), frame)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        planes = {c: np.ascontiguousarray(pixels[..., i]) for i, c in enumerate(RGBA)}
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, planes) as file:
            file.write(str(folder / path))
        data = (folder / path).read_bytes()
        records.append(FileRecord(path, len(data), hashlib.sha256(data).hexdigest()))
    return tuple(records)
