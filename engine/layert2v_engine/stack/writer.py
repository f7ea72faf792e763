"""One state of a layer stack while it is written: decoded frames in, files and manifest out.

Frames arrive one at a time, display-referred and straight; each is linearised, premultiplied and
rounded to half on its own device and written by a small pool of threads. `comp` is computed at the
end from the files themselves, so that it is the linear over of exactly what is delivered, whatever
the compression did. The manifest comes last: a folder without one is not a stack. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from layert2v.stack import (
    FileRecord,
    Layer,
    Role,
    Stack,
    latents_path,
    layer_folder,
    next_version,
)
from layert2v_engine.errors import StackError
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import (
    ShadowDomain,
    flatten,
    premultiply,
    shadow_to_linear,
    to_half,
)
from layert2v_engine.image.exr import ExrOptions
from layert2v_engine.stack import manifest, preview
from layert2v_engine.stack.files import file_record, remove_empty_folders
from layert2v_engine.stack.frame_writer import WORKERS, FrameFiles, FrameWritten
from layert2v_engine.stack.manifest import Format, Parts, Provenance, Sequence

_LAYER_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Colours:
    """What the pixels that come in are: `source` is the colour space of `rgb`, `shadow_domain` what
    a shadow's opacity was made for, `linear` light or a `display`-encoded picture. Names are those
    of `config`, the pinned one if None.
    """

    source: str = "srgb_rec709_scene"
    shadow_domain: ShadowDomain = "linear"
    config: ColorConfig | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How files are written: compression, `tags` for every file under `layert2v/`, and
    `frame_written(name, index, path)`, called on the caller's thread, in order, some frames after
    a frame came.
    """

    exr: ExrOptions | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    frame_written: FrameWritten | None = None
    workers: int = WORKERS


class StateWriter:
    """Writes one state into `folder`; use it as a context manager, so that errors clean up.

    Layers are declared from bottom to top. `base` has the layers of the state `parent` that this
    one starts from, and all history; a stack's first state has none. Raises `ColorError`.
    """

    def __init__(
        self,
        folder: Path,
        format: Format,
        colours: Colours,
        options: Options,
        *,
        base: Stack | None = None,
        parent: int = 0,
    ) -> None:
        config = colours.config or ColorConfig.load()
        working = config.find_linear(format.colorspace)
        self.folder = folder
        self.format = replace(format, colorspace=working.interop_id)
        self._base, self._parent = base, parent
        self._linearise = config.transform(colours.source, working.name)
        self._to_display = config.transform(working.name, preview.DISPLAY_SPACE)
        self._shadow_domain = colours.shadow_domain
        self._layers: dict[str, Sequence | Layer] = {}
        self._comp, self._ref = self._sequence("comp"), self._sequence("ref")
        conversion = f"{colours.source} to {working.name} ({config.label})"
        self._files = FrameFiles(
            folder,
            self.format,
            options.exr or ExrOptions(),
            {"input_transform": conversion, **options.tags},
            frame_written=options.frame_written,
            workers=options.workers,
        )
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open:
            self.abort()

    def latents_path(self, name: str) -> Path:
        """Where the caller may save what a re-render of a layer or of `ref` starts from, for
        `finish` to record.
        """
        version = self._ref.version if name == "ref" else self._layers[name].version
        return self.folder / latents_path(name, version)

    def add_layer(
        self,
        name: str,
        role: Role,
        *,
        prompt: str = "",
        seed: int = 0,
        caster: str | None = None,
        source: str = "generated",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Declare the next layer, whose frames will be written; `tags` are added to those of all.

        Raises `StackError` with reason `LAYER_NAME` for a name that some host cannot use.
        """
        if not _LAYER_NAME.fullmatch(name) or name in exr.RESERVED_NAMES or name in self._layers:
            raise StackError(
                f"{name} cannot be the name of a layer here.",
                "Use each name once: lower-case letters, digits and underscores, such as fg_01.",
                reason="LAYER_NAME",
            )
        sequence = self._sequence(name)
        sequence.role, sequence.prompt, sequence.seed = role, prompt, seed
        sequence.caster, sequence.source, sequence.tags = caster, source, tags or {}
        self._layers[name] = sequence
        self._clear(sequence)

    def write_frame(
        self, layer: str, index: int, rgb: Tensor | None, alpha: Tensor | None = None
    ) -> None:
        """Take frame `index` (from 0) of a layer: straight `rgb` `[3, H, W]`, `alpha` `[H, W]`.

        Without `rgb` the layer is black, without `alpha` opaque; a shadow's `alpha` is its opacity.
        Values are floats, 0..1 nominal: alpha is clamped to 0..1, colour is not. Frames may come in
        any order. Raises `DiskFull` or `StackError`, perhaps for an earlier frame.
        """
        self._files.write(self._written(layer), index, self.pixels(layer, rgb, alpha))

    def write_pixels(self, layer: str, index: int, pixels: Tensor) -> None:
        """Take frame `index` as it is to be delivered: half `[H, W, 4]`, as `pixels` makes them."""
        self._files.write(self._written(layer), index, pixels)

    def write_ref(self, index: int, pixels: Tensor) -> None:
        """Take frame `index` of the full video: `[3, H, W]`, or half `[H, W, 4]` to deliver as it
        is. It is kept as `ref`, for reference.
        """
        ready = pixels.dtype == torch.float16 and pixels.shape[-1] == 4
        self._files.write(self._ref, index, pixels if ready else self.pixels("", pixels, None))

    def pixels(self, layer: str, rgb: Tensor | None, alpha: Tensor | None) -> Tensor:
        """What is delivered of a frame: half, premultiplied, linear `[H, W, 4]` on the CPU."""
        size = (self.format.height, self.format.width)
        given = rgb if rgb is not None else alpha
        device = None if given is None else given.device
        coverage = torch.ones(size, device=device) if alpha is None else alpha.float()
        color = torch.zeros(3, *size, device=device) if rgb is None else rgb
        if color.shape != (3, *size) or coverage.shape != size:
            shapes = f"{tuple(color.shape)} and {tuple(coverage.shape)}"
            raise ValueError(f"want colour and alpha of {size}, not {shapes}")
        declared = self._layers.get(layer)
        if declared and declared.role is Role.shadow and self._shadow_domain == "display":
            coverage = shadow_to_linear(coverage)
        linear = color if rgb is None else self._linearise(color)
        straight = torch.cat((linear, coverage.clamp(0.0, 1.0)[None])).movedim(0, -1)
        return to_half(premultiply(straight)).cpu()

    def finish(
        self,
        provenance: Provenance | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stack:
        """Write comp, previews and, last, the manifest. `progress(done, total)` may raise to stop.

        Raises `StackError` with reason `FRAMES_MISSING` when a layer is not complete.
        """
        provenance = provenance or Provenance()
        report = progress or (lambda done, total: None)
        self._files.drain()
        self._check_complete()
        if self._comp_differs():
            asked = self._base or provenance
            self._comp.prompt, self._comp.seed = asked.prompt, asked.seed
            self._write_comp(report)
        self._files.stop()
        report(self.format.frames, self.format.frames + 1)
        stack = self._stack(provenance)
        made = preview.write_previews(self.folder, stack, self._to_display)
        stack = replace(stack, previews=tuple(file_record(path, self.folder) for path in made))
        manifest.write(stack, self.folder)
        self.close()
        return stack

    def abort(self) -> None:
        """Take back everything that was written: files, and folders that became empty."""
        self._files.stop()
        state = 1 if self._base is None else self._base.state + 1
        folders = ["latents", "history", preview.folder_of(state)]
        for sequence in (*self._new_layers(), self._comp, self._ref):
            self._clear(sequence)
            folders.append(layer_folder(sequence.name, sequence.version))
        preview.remove_previews(self.folder, state)
        for folder in folders:
            remove_empty_folders(self.folder / folder, self.folder)
        self.close()

    def close(self) -> None:
        """Be done with the folder, whatever is in it."""
        self._open = False

    def _sequence(self, name: str) -> Sequence:
        """What is to be written under this name: its next version."""
        version = 1 if self._base is None else next_version(self._base, name)
        return Sequence(name=name, version=version)

    def _new_layers(self) -> list[Sequence]:
        return [each for each in self._layers.values() if isinstance(each, Sequence)]

    def _comp_differs(self) -> bool:
        """Whether there is no comp yet of these layers in this order."""
        if self._base is None:
            return True
        now, before = (
            [(layer.name, layer.version) for layer in layers]
            for layers in (self._layers.values(), self._base.layers)
        )
        return now != before

    def _parts(self) -> Parts:
        made = [each for each in (*self._new_layers(), self._comp, self._ref) if each.files]
        saved = (self.folder / latents_path(each.name, each.version) for each in made)
        latents = [file_record(path, self.folder) for path in saved if path.exists()]
        flats = {flat.name: flat.flat() for flat in (self._comp, self._ref) if flat.files}
        if self._base is not None:
            flats = {flat.name: flat for flat in self._base.flats} | flats
            names = {*self._layers, *flats} - {each.name for each in made}
            before = (self._base.latents_of(name) for name in sorted(names))
            latents += [kept for kept in before if kept is not None]
        return Parts(
            layers=tuple(
                each.layer() if isinstance(each, Sequence) else each
                for each in self._layers.values()
            ),
            flats=tuple(flats[name] for name in ("comp", "ref") if name in flats),
            latents=tuple(latents),
            made=tuple(each.name for each in made),
        )

    def _stack(self, provenance: Provenance) -> Stack:
        """The manifest of this state, still without previews."""
        if self._base is None:
            return manifest.compose(self.format, self._parts(), provenance)
        return manifest.advance(self._base, self._parent, self._parts(), provenance)

    def _written(self, layer: str) -> Sequence:
        sequence = self._layers[layer]
        if not isinstance(sequence, Sequence):
            raise ValueError(f"{layer} is kept as it is")
        return sequence

    def _write_comp(self, report: Callable[[int, int], None]) -> None:
        self._clear(self._comp)
        for index in range(self.format.frames):
            report(index, self.format.frames + 1)
            self._files.submit(self._comp, index, self._compose_frame, index)
        self._files.drain()

    def _compose_frame(self, index: int) -> FileRecord:
        layers = (self._files.read(layer.pattern, index) for layer in self._layers.values())
        return self._files.encode(self._comp, index, flatten(layers))

    def _clear(self, sequence: Sequence) -> None:
        self._files.clear(sequence)
        saved = self.folder / latents_path(sequence.name, sequence.version)
        saved.unlink(missing_ok=True)

    def _check_complete(self) -> None:
        wanted = self._new_layers() + ([self._ref] if self._ref.files else [])
        short = [each.name for each in wanted if len(each.files) != self.format.frames]
        if short or not self._layers:
            what = ", ".join(short) or "every layer"
            raise StackError(
                f"The stack is not complete: frames of {what} are missing.",
                reason="FRAMES_MISSING",
            )
