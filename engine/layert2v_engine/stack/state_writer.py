"""One state of a layer stack while it is written: decoded frames in, files and manifest out.

Frames arrive one at a time, display-referred and straight; each is linearised, premultiplied and
rounded to half on its own device and written by a small pool of threads. ``comp`` is computed at
the end from the files themselves, so that it is the linear over of exactly what is delivered,
whatever the compression did. The manifest comes last: a folder without one is not a stack. Knows no
model.
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
    StackFormat,
    latents_path,
    layer_folder,
    next_version,
)
from layert2v_engine.errors import StackError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import (
    ShadowDomain,
    flatten,
    shadow_to_linear,
    to_half_rgba,
)
from layert2v_engine.image.exr_header import RESERVED_NAMES, ExrOptions
from layert2v_engine.stack import manifest, preview
from layert2v_engine.stack.files import file_record, remove_empty_folders
from layert2v_engine.stack.frame_writer import WORKERS, FrameCallback, FrameWriter
from layert2v_engine.stack.manifest import PendingSequence, Provenance, StackContents

_LAYER_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorOptions:
    """How pixels that come in are encoded.

    ``source`` is the color space of ``rgb``. ``shadow_domain`` tells what the opacity of a shadow
    was made for, ``linear`` light or a ``display``-encoded picture. Names are those of ``config``,
    the pinned one if None.
    """

    source: str = "srgb_rec709_scene"
    shadow_domain: ShadowDomain = "linear"
    config: ColorConfig | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterOptions:
    """How files are written: compression, and ``tags`` for every file under ``layert2v/``.

    ``timecode`` is that of the first frame in the footage that the stack came from, "" where that
    has none; None counts it from the frame numbers.

    ``on_frame_written(name, index, path)`` is called on the caller's thread, in order, some frames
    after a frame came. ``workers`` is the number of threads that write.
    """

    exr: ExrOptions | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    timecode: str | None = None
    on_frame_written: FrameCallback | None = None
    workers: int = WORKERS


class StateWriter:
    """Writes one state of a stack into ``folder``; as a context manager it cleans up after errors.

    Layers are declared from bottom to top. ``base`` has the layers of the state ``parent`` that
    this one starts from, and all history; a stack's first state has none. Raises ``ColorError``.
    """

    def __init__(
        self,
        folder: Path,
        format: StackFormat,
        color_options: ColorOptions,
        options: WriterOptions,
        *,
        base: Stack | None = None,
        parent: int = 0,
    ) -> None:
        config = color_options.config or ColorConfig.load()
        working = config.find_linear(format.colorspace)
        self.folder = folder
        self.format = replace(format, colorspace=working.interop_id)
        self._colorspace = format.colorspace  # as it was given, which a host's config may need
        self._base, self._parent = base, parent
        self._tags = options.tags
        self._layers: dict[str, PendingSequence | Layer] = {}
        self._comp, self._ref = self._new_sequence("comp"), self._new_sequence("ref")
        self._files = FrameWriter(
            folder,
            self.format,
            options.exr or ExrOptions(),
            options.tags,
            timecode=options.timecode,
            on_frame_written=options.on_frame_written,
            workers=options.workers,
        )
        self.set_color_options(color_options)
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

    def set_color_options(self, options: ColorOptions) -> None:
        """Set how pixels that come in are encoded, before the first. Raises ``ColorError``."""
        config = options.config or ColorConfig.load()
        working = config.find_linear(self._colorspace)
        self._to_linear = config.transform(options.source, working.name)
        self._to_display = config.display_transform(working.name, preview.DISPLAY_SPACE)
        self._shadow_domain = options.shadow_domain
        conversion = f"{options.source} to {working.name} ({config.label})"
        self._files.tags = {"input_transform": conversion, **self._tags}

    def latents_path(self, name: str) -> Path:
        """Return where the caller may save the latents of a layer or of ``ref``.

        A re-render starts from them; ``finish`` records those that are there.
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
        """Declare the next layer, whose frames will be written.

        ``tags`` are added to those of all files. Raises ``StackError`` with reason ``LAYER_NAME``
        for a name that some host cannot use.
        """
        if not _LAYER_NAME.fullmatch(name) or name in RESERVED_NAMES or name in self._layers:
            raise StackError(
                f"{name} cannot be the name of a layer here.",
                "Use each name once: lower-case letters, digits and underscores, such as fg_01.",
                reason="LAYER_NAME",
            )
        sequence = self._new_sequence(name)
        sequence.role, sequence.prompt, sequence.seed = role, prompt, seed
        sequence.caster, sequence.source, sequence.tags = caster, source, tags or {}
        self._layers[name] = sequence
        self._clear(sequence)

    def write_frame(
        self, layer: str, index: int, rgb: Tensor | None, alpha: Tensor | None = None
    ) -> None:
        """Take frame ``index`` (from 0) of a layer: straight ``rgb`` and ``alpha``.

        ``rgb`` ``[3, H, W]`` is in the source color space; without it the layer is black. Without
        ``alpha`` ``[H, W]`` it is opaque. The ``alpha`` of a shadow is its opacity. Values are
        floats, 0..1 nominal: alpha is clamped to 0..1, color is not. Frames may come in any order.
        Raises ``DiskFull`` or ``StackError``, perhaps for an earlier frame.
        """
        self._files.write(self._pending_layer(layer), index, self.pixels(layer, rgb, alpha))

    def write_pixels(self, layer: str, index: int, pixels: Tensor) -> None:
        """Take frame ``index`` (from 0) as delivered: half ``[H, W, 4]``, as ``pixels`` returns."""
        self._files.write(self._pending_layer(layer), index, pixels)

    def write_ref(self, index: int, pixels: Tensor) -> None:
        """Take frame ``index`` (from 0) of the full video, kept as ``ref`` for reference.

        ``pixels`` are ``[3, H, W]`` in the source color space, or half ``[H, W, 4]`` to deliver as
        is.
        """
        is_delivered = pixels.dtype == torch.float16 and pixels.shape[-1] == 4
        self._files.write(
            self._ref, index, pixels if is_delivered else self.pixels("", pixels, None)
        )

    def pixels(self, layer: str, rgb: Tensor | None, alpha: Tensor | None) -> Tensor:
        """Return a frame as delivered: half, premultiplied, scene-linear ``[H, W, 4]`` on the CPU.

        ``rgb`` ``[3, H, W]`` and ``alpha`` ``[H, W]`` are those of ``write_frame``. Raises
        ``ValueError`` for another size.
        """
        size = (self.format.height, self.format.width)
        present = rgb if rgb is not None else alpha
        device = None if present is None else present.device
        coverage = torch.ones(size, device=device) if alpha is None else alpha.float()
        color = torch.zeros(3, *size, device=device) if rgb is None else rgb
        if color.shape != (3, *size) or coverage.shape != size:
            shapes = f"{tuple(color.shape)} and {tuple(coverage.shape)}"
            raise ValueError(f"want color and alpha of {size}, not {shapes}")
        declared = self._layers.get(layer)
        if declared and declared.role is Role.shadow and self._shadow_domain == "display":
            coverage = shadow_to_linear(coverage)
        to_linear = None if rgb is None else self._to_linear
        return to_half_rgba(color, coverage.clamp(0.0, 1.0), to_linear).cpu()

    def finish(
        self,
        provenance: Provenance | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stack:
        """Write comp, previews and, last, the manifest; return it.

        ``progress(done, total)`` may raise to stop. Raises ``StackError`` with reason
        ``FRAMES_MISSING`` when a layer is not complete.
        """
        provenance = provenance or Provenance()
        report = progress or (lambda done, total: None)
        self._files.drain()
        self._check_complete()
        if self._needs_comp():
            request = self._base or provenance
            self._comp.prompt, self._comp.seed = request.prompt, request.seed
            self._write_comp(report)
        self._files.stop()
        report(self.format.frames, self.format.frames + 1)
        stack = self._manifest(provenance)
        previews = preview.write_previews(self.folder, stack, self._to_display)
        stack = replace(stack, previews=tuple(file_record(path, self.folder) for path in previews))
        manifest.write(stack, self.folder)
        self.close()
        return stack

    def abort(self) -> None:
        """Take back everything that was written: files, and folders that became empty."""
        self._files.stop()
        state = 1 if self._base is None else self._base.state + 1
        folders = ["latents", "history", preview.preview_folder(state)]
        for sequence in (*self._new_layers(), self._comp, self._ref):
            self._clear(sequence)
            folders.append(layer_folder(sequence.name, sequence.version))
        preview.remove_previews(self.folder, state)
        for folder in folders:
            remove_empty_folders(self.folder / folder, self.folder)
        self.close()

    def close(self) -> None:
        """Stop using the folder, whatever is in it."""
        self._open = False

    def _new_sequence(self, name: str) -> PendingSequence:
        """Return the next version of the sequence of this name, to be written."""
        version = 1 if self._base is None else next_version(self._base, name)
        return PendingSequence(name=name, version=version)

    def _new_layers(self) -> list[PendingSequence]:
        return [each for each in self._layers.values() if isinstance(each, PendingSequence)]

    def _needs_comp(self) -> bool:
        """Tell whether there is no comp yet of these layers in this order."""
        if self._base is None:
            return True
        layers, base_layers = (
            [(layer.name, layer.version) for layer in layers]
            for layers in (self._layers.values(), self._base.layers)
        )
        return layers != base_layers

    def _contents(self) -> StackContents:
        written = [each for each in (*self._new_layers(), self._comp, self._ref) if each.files]
        saved = (self.folder / latents_path(each.name, each.version) for each in written)
        latents = [file_record(path, self.folder) for path in saved if path.exists()]
        flats = {flat.name: flat.to_flat() for flat in (self._comp, self._ref) if flat.files}
        if self._base is not None:
            flats = {flat.name: flat for flat in self._base.flats} | flats
            unchanged = {*self._layers, *flats} - {each.name for each in written}
            base_latents = (self._base.latents_of(name) for name in sorted(unchanged))
            latents += [kept for kept in base_latents if kept is not None]
        return StackContents(
            layers=tuple(
                each.to_layer() if isinstance(each, PendingSequence) else each
                for each in self._layers.values()
            ),
            flats=tuple(flats[name] for name in ("comp", "ref") if name in flats),
            latents=tuple(latents),
            new_sequences=tuple(each.name for each in written),
        )

    def _manifest(self, provenance: Provenance) -> Stack:
        """Return the manifest of this state, still without previews."""
        if self._base is None:
            return manifest.first_state(self.format, self._contents(), provenance)
        return manifest.next_state(self._base, self._parent, self._contents(), provenance)

    def _pending_layer(self, layer: str) -> PendingSequence:
        sequence = self._layers[layer]
        if not isinstance(sequence, PendingSequence):
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

    def _clear(self, sequence: PendingSequence) -> None:
        self._files.clear(sequence)
        saved = self.folder / latents_path(sequence.name, sequence.version)
        saved.unlink(missing_ok=True)

    def _check_complete(self) -> None:
        required = self._new_layers() + ([self._ref] if self._ref.files else [])
        incomplete = [each.name for each in required if len(each.files) != self.format.frames]
        if incomplete or not self._layers:
            names = ", ".join(incomplete) or "every layer"
            raise StackError(
                f"The stack is not complete: frames of {names} are missing.",
                reason="FRAMES_MISSING",
            )
