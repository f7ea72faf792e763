"""Layer stacks on disk: a new one from decoded frames, or a new state of one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

from torch import Tensor

from layert2v.stack import MANIFEST_NAME, Stack
from layert2v_engine.errors import StackError
from layert2v_engine.image.atomic import write_error
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import ShadowDomain
from layert2v_engine.image.exr import ExrOptions
from layert2v_engine.stack import manifest
from layert2v_engine.stack.files import exclusive_lock, remove_empty_folders
from layert2v_engine.stack.frame_writer import WORKERS, FrameWritten
from layert2v_engine.stack.manifest import Format, Provenance
from layert2v_engine.stack.writer import Colours, Options, StateWriter

__all__ = ["Colours", "Options", "Provenance", "StackEditor", "StackWriter"]


class StackWriter(StateWriter):
    """Writes one layer stack into `folder`; use it as a context manager, so that errors clean up.

    `rgb` is in `source_colorspace`, files in `colorspace` (name, alias or interop id of `config`).
    The other arguments are those of `Colours` and `Options`.
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
        frame_written: FrameWritten | None = None,
        workers: int = WORKERS,
    ) -> None:
        format = Format(
            name=name,
            width=width,
            height=height,
            pixel_aspect=pixel_aspect,
            fps=fps,
            start_frame=start_frame,
            frames=frames,
            colorspace=colorspace,
        )
        super().__init__(
            folder,
            format,
            Colours(source=source_colorspace, shadow_domain=shadow_domain, config=config),
            Options(exr=exr, tags=tags or {}, frame_written=frame_written, workers=workers),
        )
        self._made_folder = self._claim_folder()

    def abort(self) -> None:
        """Take back everything: files, folders that became empty, and the stack's own folder."""
        super().abort()
        if self._made_folder:
            remove_empty_folders(self.folder, self.folder.parent)

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
            _check_writable(self.folder)
            for flat in (self._comp, self._ref):
                self._clear(flat)
        except OSError as problem:
            raise write_error(self.folder, problem) from problem
        return new


class StackEditor(StateWriter):
    """Writes a new state of the stack in `folder`, which starts from state `at` (0 the newest).

    Its layers are those declared, from bottom to top: `keep_layer` for one that stays as it is,
    `add_layer` for one in a new version. Files of the states before are never touched; a `ref` that
    nothing is written of stays. Raises `StackError` where there is no such state or another program
    is changing the stack, and `ColorError`.
    """

    base: Stack

    def __init__(
        self,
        folder: Path,
        *,
        at: int = 0,
        colours: Colours | None = None,
        options: Options | None = None,
    ) -> None:
        with ExitStack() as held:
            base = manifest.start(folder, at)
            _check_writable(folder)
            held.enter_context(exclusive_lock(folder))
            base = manifest.start(folder, at)  # as it is now that nobody else changes it
            format = Format.of(base)
            super().__init__(
                folder,
                format,
                colours or Colours(),
                options or Options(),
                base=base,
                parent=at or base.state,
            )
            self.base = base
            self._held = held.pop_all()

    def keep_layer(self, name: str) -> None:
        """Declare the next layer: one of `base`, as it is there."""
        self._layers[name] = self.base.layer(name)

    def read(self, layer: str, index: int) -> Tensor:
        """Frame `index` of a layer of `base`, half `[H, W, 4]`. Raises `StackError`."""
        return self._files.read(self.base.layer(layer).pattern, index)

    def close(self) -> None:
        """Be done with the folder and let others change it."""
        super().close()
        self._held.close()


def _check_writable(folder: Path) -> None:
    """A folder that is there may still be one that nobody can write to; better said at once."""
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise write_error(folder, problem) from problem
