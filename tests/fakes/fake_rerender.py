"""The re-render of the engine without a model: new versions of hash bytes, real manifests.

A test controls it by the prompt of a generated layer, which holds the JSON of a ``Behaviour``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from PIL import Image

from layert2v import stack as manifest
from layert2v.rerender import (
    RerenderSpec,
    affected_layers,
    rerender_to_json,
    shadow_of,
    uses_model,
)
from layert2v.spec import ModelInfo
from layert2v.stack import FileRecord, FlattenedSequence, HistoryEntry, Layer, Role, Stack

CREATED = "2026-01-02T00:00:00Z"


class FakeRerender:
    """A re-render of the stack in ``folder``, in place; ``ref`` is new if there are ``steps``.

    ``report(done, total)`` may raise to stop.
    """

    def __init__(
        self,
        spec: RerenderSpec,
        folder: Path,
        inputs: Mapping[str, Path],
        report: Callable[[int, int], None],
        frame_s: float,
        steps: int,
    ) -> None:
        self.spec, self.folder, self.inputs, self.steps = spec, folder, inputs, steps
        self.report, self.frame_s = report, frame_s
        self.start = manifest.read_start(folder, spec.at)
        self.generated = affected_layers(spec, self.start).generated
        self.versions: dict[str, int] = {}

    def run(self) -> Stack:
        """Write new versions and the manifest last, and return the stack."""
        layers = [self._layer(layer) for layer in self._reorder()]
        ref = [self.start.flat("ref")]
        if self.steps:
            ref = [self._flat("ref")]
        stack = replace(self.start, layers=tuple(layers), flats=(self._flat("comp"), *ref))
        entry = HistoryEntry(
            self.spec.action, CREATED, self.versions, rerender_to_json(self.spec), "", self.spec.at
        )
        stack = replace(stack, history=(*self.start.history, entry), previews=(self._sheet(),))
        manifest.write(stack, self.folder)
        return stack

    def _sheet(self) -> FileRecord:
        path = f"preview/v{self.start.state + 1:03d}/contact.png"
        target = self.folder / path
        target.parent.mkdir(parents=True)
        Image.new("RGB", (64, 64), (20, 90, 200)).save(target)
        data = target.read_bytes()
        return FileRecord(path, len(data), hashlib.sha256(data).hexdigest())

    def _reorder(self) -> list[Layer]:
        layers = list(self.start.layers)
        if self.spec.action == "remove":
            gone = {*self.spec.layers, *(shadow_of(n, self.start) for n in self.spec.layers)}
            return [layer for layer in layers if layer.name not in gone]
        if self.spec.action == "add":
            (name,) = self.spec.layers
            shadow = name.replace("fg_", "shadow_")
            if shadow in self.generated:
                layers.append(self._blank(shadow, Role.shadow, name))
            layers.append(self._blank(name, Role.foreground, None))
        return layers

    def _blank(self, name: str, role: Role, caster: str | None) -> Layer:
        return replace(self.start.layers[0], name=name, role=role, caster=caster, version=0)

    def _layer(self, layer: Layer) -> Layer:
        own = self.spec.layers if self.spec.action in ("regenerate", "replace", "add") else ()
        if layer.name not in (*own, *self.generated):
            return layer
        prompt = self.spec.prompts.get(layer.name, layer.prompt)
        source = "plate" if self.spec.plate is not None and layer.name in own else "generated"
        return replace(layer, prompt=prompt, source=source, **self._make(layer.name))

    def _flat(self, name: str) -> FlattenedSequence:
        return FlattenedSequence(name=name, **self._make(name))

    def _make(self, name: str) -> dict[str, object]:
        version = self.versions[name] = manifest.next_version(self.start, name)
        pattern = manifest.layer_pattern(name, version)
        frames = range(self.start.start_frame, self.start.start_frame + self.start.frames)
        files = tuple(self._frame(name, manifest.frame_path(pattern, frame)) for frame in frames)
        return {"version": version, "pattern": pattern, "files": files}

    def _frame(self, name: str, path: str) -> FileRecord:
        self.report(len(self.versions), 2 + len(self.start.layers))
        time.sleep(self.frame_s)
        data = hashlib.shake_128(self._seed(name) + path.encode()).digest(1000)
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        assert not target.exists(), "nothing is overwritten"
        target.write_bytes(data)
        return FileRecord(path, len(data), hashlib.sha256(data).hexdigest())

    def _seed(self, name: str) -> bytes:
        """Return the seed, or for a layer with pixels from an input the bytes of that."""
        source = self.spec.plate or self.spec.donor
        if name not in self.spec.layers or source is None:
            return str(self.spec.seed).encode()
        folder = self.inputs[source.input]
        if self.spec.donor is None:
            return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
        files = manifest.read(folder).layer(self.spec.donor.layer).files
        return b"".join((folder / file.path).read_bytes() for file in files)


def count_steps(spec: RerenderSpec, folder: Path, model: ModelInfo) -> int:
    """Return the number of steps before the first frame: 0 where no model is needed."""
    start = manifest.read_start(folder, spec.at)
    return spec.steps if uses_model(start, affected_layers(spec, start), model) else 0
