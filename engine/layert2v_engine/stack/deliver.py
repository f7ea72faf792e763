"""Decoded frames in, a finished layer stack on disk out.

Frames arrive one at a time, display-referred and straight; each is linearised, premultiplied and
rounded to half on its own device and written by a small pool of threads. `comp` is computed at the
end from the files themselves, so that it is the linear over of exactly what was delivered, whatever
the compression did. The manifest comes last: a folder without one is not a stack. Knows no model.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from layert2v.stack import (
    MANIFEST_NAME,
    FileRecord,
    Role,
    Stack,
    frame_path,
    latents_path,
    layer_folder,
    state_path,
)
from layert2v_engine.errors import StackError
from layert2v_engine.stack import exr, manifest, preview
from layert2v_engine.stack.color import ColorConfig
from layert2v_engine.stack.compositing import (
    ShadowDomain,
    flatten,
    premultiply,
    shadow_to_linear,
    to_half,
)
from layert2v_engine.stack.exr import ExrOptions, Tags
from layert2v_engine.stack.files import record, write_error
from layert2v_engine.stack.manifest import VERSION, Format, Provenance, Sequence

__all__ = ["Provenance", "StackWriter"]

# Encoding and hashing leave Python's lock alone, so that a second core can take them while the
# caller decodes. Frames waiting beyond that hold the caller back: slow disks cost time, not memory.
WORKERS = 2
WAITING_FRAMES = 4

_LAYER_NAME = re.compile(r"[a-z][a-z0-9_]*")


class StackWriter:
    """Writes one layer stack into `folder`; use it as a context manager, so that errors clean up.

    `rgb` is in `source_colorspace`, files in `colorspace` (name, alias or interop id of `config`).
    `shadow_domain` says what a shadow's opacity was made for: `linear`, or a `display`-encoded
    picture. `frame_written(name, index, path)` is called on the caller's thread, in order, some
    frames after `write_frame`. `tags` go into every file under `layert2v/`.
    Raises `StackError` where a finished stack is already there, and `ColorError`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        width: int,
        height: int,
        fps: float,
        start_frame: int,
        frames: int,
        colorspace: str,
        source_colorspace: str = "srgb_rec709_scene",
        shadow_domain: ShadowDomain = "linear",
        pixel_aspect: float = 1.0,
        exr: ExrOptions | None = None,
        config: ColorConfig | None = None,
        tags: Mapping[str, str] | None = None,
        frame_written: Callable[[str, int, Path], None] | None = None,
        workers: int = WORKERS,
    ) -> None:
        config = config or ColorConfig.load()
        working = config.find_linear(colorspace)
        self.folder = folder
        self.format = Format(
            name=name,
            width=width,
            height=height,
            pixel_aspect=pixel_aspect,
            fps=fps,
            start_frame=start_frame,
            frames=frames,
            colorspace=working.interop_id,
        )
        self._linearise = config.transform(source_colorspace, working.name)
        self._to_display = config.transform(working.name, preview.DISPLAY_SPACE)
        self._shadow_domain = shadow_domain
        self._options = exr or ExrOptions()
        conversion = f"{source_colorspace} to {working.name} ({config.label})"
        self._tags = {"input_transform": conversion, **(tags or {})}
        self._frame_written = frame_written
        self._layers: dict[str, Sequence] = {}
        self._comp, self._ref = Sequence(name="comp"), Sequence(name="ref")
        self._waiting: deque[tuple[Sequence, int, Future[FileRecord]]] = deque()
        self._made_folder = self._claim_folder()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="exr")
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
        `finish` to record."""
        return self.folder / latents_path(name, VERSION)

    def add_layer(
        self,
        name: str,
        role: Role,
        *,
        prompt: str = "",
        seed: int = 0,
        caster: str | None = None,
        source: str = "generated",
    ) -> None:
        """Declare the next layer, from bottom to top.

        Raises `StackError` with reason `LAYER_NAME` for a name that some host cannot use.
        """
        if not _LAYER_NAME.fullmatch(name) or name in exr.RESERVED_NAMES or name in self._layers:
            raise StackError(
                f"{name} cannot be the name of a layer here.",
                "Use each name once: lower-case letters, digits and underscores, such as fg_01.",
                reason="LAYER_NAME",
            )
        self._layers[name] = Sequence(
            name=name, role=role, prompt=prompt, seed=seed, caster=caster, source=source
        )
        self._clear_leftovers(self._layers[name])

    def write_frame(
        self, layer: str, index: int, rgb: Tensor | None, alpha: Tensor | None = None
    ) -> None:
        """Take frame `index` (from 0) of a layer: straight `rgb` `[3, H, W]`, `alpha` `[H, W]`.

        Without `rgb` the layer is black, without `alpha` opaque; a shadow's `alpha` is its opacity.
        Values are floats, 0..1 nominal: alpha is clamped to 0..1, colour is not. Frames may come in
        any order. Raises `DiskFull` or `StackError`, perhaps for an earlier frame.
        """
        sequence = self._layers[layer]
        if sequence.role is Role.shadow and alpha is not None and self._shadow_domain == "display":
            alpha = shadow_to_linear(alpha.float())
        self._accept(sequence, index, self._pixels(rgb, alpha))

    def write_ref(self, index: int, rgb: Tensor) -> None:
        """Take frame `index` of the full video `[3, H, W]`, kept as `ref` for reference."""
        self._accept(self._ref, index, self._pixels(rgb, None))

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
        frames = self.format.frames
        report = progress or (lambda done, total: None)
        self._drain(0)
        self._check_complete()
        self._comp.prompt, self._comp.seed = provenance.prompt, provenance.seed
        for index in range(frames):
            report(index, frames + 1)
            self._submit(self._comp, index, self._write_comp, index)
        self._drain(0)
        self._pool.shutdown()
        report(frames, frames + 1)
        flats = [flat for flat in (self._comp, self._ref) if flat.files]
        saved = [self.latents_path(name) for name in (*self._layers, self._ref.name)]
        latents = tuple(record(path, self.folder) for path in saved if path.exists())
        stack = manifest.compose(self.format, self._layers.values(), flats, provenance, latents)
        made = preview.write_previews(self.folder, stack, self._to_display)
        stack = replace(stack, previews=tuple(record(path, self.folder) for path in made))
        manifest.write(stack, self.folder)
        self._open = False
        return stack

    def abort(self) -> None:
        """Take back everything: files, folders that became empty, and the stack's own folder."""
        self._open = False
        self._pool.shutdown(wait=True, cancel_futures=True)
        sequences = (*self._layers.values(), self._comp, self._ref)
        for sequence in sequences:
            self._clear_leftovers(sequence)
            self.latents_path(sequence.name).unlink(missing_ok=True)
        (self.folder / state_path(1)).unlink(missing_ok=True)
        preview.remove_previews(self.folder)
        folders = [layer_folder(sequence.name, VERSION) for sequence in sequences]
        others = (str(Path(latents_path("", VERSION)).parent), str(Path(state_path(1)).parent))
        for folder in (*folders, *others, preview.FOLDER):
            _remove_empty(self.folder / folder, self.folder)
        if self._made_folder:
            _remove_empty(self.folder, self.folder.parent)

    def _claim_folder(self) -> bool:
        """Make sure that a stack can be written here; returns whether the folder is new."""
        try:
            if (self.folder / MANIFEST_NAME).exists():
                raise StackError(
                    f"There is already a layer stack in {self.folder}.",
                    "Choose another folder; nothing is overwritten.",
                    reason="STACK_EXISTS",
                )
            new = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                pass  # a folder that is there may still be one that nobody can write to
            for flat in (self._comp, self._ref):
                self._clear_leftovers(flat)
        except OSError as problem:
            raise write_error(self.folder, problem) from problem
        return new

    def _clear_leftovers(self, sequence: Sequence) -> None:
        """Remove frames of this name; those of a writer that was killed would pass for new ones."""
        folder = self.folder / layer_folder(sequence.name, VERSION)
        stem = Path(sequence.pattern).name.partition("#")[0]
        for pattern in (f"{stem}*.exr", f".{stem}*.part"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)

    def _pixels(self, rgb: Tensor | None, alpha: Tensor | None) -> Tensor:
        """Half, premultiplied, scene-linear `[H, W, 4]` on the CPU."""
        size = (self.format.height, self.format.width)
        given = rgb if rgb is not None else alpha
        device = None if given is None else given.device
        coverage = torch.ones(size, device=device) if alpha is None else alpha.float()
        color = torch.zeros(3, *size, device=device) if rgb is None else rgb
        if color.shape != (3, *size) or coverage.shape != size:
            shapes = f"{tuple(color.shape)} and {tuple(coverage.shape)}"
            raise ValueError(f"want colour and alpha of {size}, not {shapes}")
        linear = color if rgb is None else self._linearise(color)
        straight = torch.cat((linear, coverage.clamp(0.0, 1.0)[None])).movedim(0, -1)
        return to_half(premultiply(straight)).cpu()

    def _accept(self, sequence: Sequence, index: int, pixels: Tensor) -> None:
        if not 0 <= index < self.format.frames or index in sequence.accepted:
            raise ValueError(f"{sequence.name} does not expect frame {index}")
        sequence.accepted.add(index)
        self._submit(sequence, index, self._write_pixels, sequence, index, pixels)

    def _submit(
        self, sequence: Sequence, index: int, work: Callable[..., FileRecord], *args: Any
    ) -> None:
        self._waiting.append((sequence, index, self._pool.submit(work, *args)))
        self._drain(WAITING_FRAMES)

    def _drain(self, limit: int) -> None:
        """Take finished frames off the queue, and wait until no more than `limit` are left."""
        while self._waiting and (len(self._waiting) > limit or self._waiting[0][2].done()):
            sequence, index, future = self._waiting.popleft()
            sequence.files[index] = future.result()
            if self._frame_written is not None:
                self._frame_written(sequence.name, index, self._path(sequence, index))

    def _write_pixels(self, sequence: Sequence, index: int, pixels: Tensor) -> FileRecord:
        path = self._path(sequence, index)
        role = sequence.role.value if sequence.role else sequence.name
        own = {
            "layer": sequence.name,
            "role": role,
            "seed": str(sequence.seed),
            "source": sequence.source,
        }
        tags = Tags(
            colorspace=self.format.colorspace,
            fps=self.format.fps,
            frame=self.format.start_frame + index,
            pixel_aspect=self.format.pixel_aspect,
            comments=sequence.prompt,
            private={**self._tags, **own},
        )
        # A lossy comp would no longer be the over of its layers.
        lossy_comp = sequence is self._comp and not self._options.lossless
        exr.write(path, pixels, tags, ExrOptions() if lossy_comp else self._options)
        return record(path, self.folder)

    def _write_comp(self, index: int) -> FileRecord:
        layers = (exr.read(self._path(layer, index)) for layer in self._layers.values())
        return self._write_pixels(self._comp, index, flatten(layers))

    def _path(self, sequence: Sequence, index: int) -> Path:
        return self.folder / frame_path(sequence.pattern, self.format.start_frame + index)

    def _check_complete(self) -> None:
        wanted = [*self._layers.values(), *([self._ref] if self._ref.files else [])]
        short = [each.name for each in wanted if len(each.files) != self.format.frames]
        if short or not self._layers:
            what = ", ".join(short) or "every layer"
            raise StackError(
                f"The stack is not complete: frames of {what} are missing.",
                reason="FRAMES_MISSING",
            )


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove `folder` and its parents below `root` as long as nothing is in them."""
    while folder != root:
        if folder.is_dir():
            if any(folder.iterdir()):
                return
            folder.rmdir()
        folder = folder.parent
