"""A new layer stack, from decoded frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from layert2v.stack import MANIFEST_NAME, StackFormat
from layert2v_engine.errors import StackError
from layert2v_engine.image.atomic import write_error
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import ShadowDomain
from layert2v_engine.image.exr_header import ExrOptions
from layert2v_engine.stack.files import check_writable, remove_empty_folders
from layert2v_engine.stack.frame_writer import WORKERS, FrameCallback
from layert2v_engine.stack.state_writer import ColorOptions, StateWriter, WriterOptions


class StackWriter(StateWriter):
    """Writes a new layer stack into ``folder``; as a context manager it cleans up after errors.

    ``rgb`` is in ``source_colorspace``, files in ``colorspace`` (name, alias or interop id of
    ``config``). The other arguments are those of ``ColorOptions`` and ``WriterOptions``. Raises
    ``StackError`` where a finished stack is already there, and ``ColorError``.
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
        timecode: str | None = None,
        on_frame_written: FrameCallback | None = None,
        workers: int = WORKERS,
    ) -> None:
        format = StackFormat(
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
            ColorOptions(source=source_colorspace, shadow_domain=shadow_domain, config=config),
            WriterOptions(
                exr=exr,
                tags=tags or {},
                timecode=timecode,
                on_frame_written=on_frame_written,
                workers=workers,
            ),
        )
        self._is_new_folder = self._claim_folder()

    def abort(self) -> None:
        """Take back everything: files, folders that became empty, and the stack's own folder."""
        super().abort()
        if self._is_new_folder:
            remove_empty_folders(self.folder, self.folder.parent)

    def _claim_folder(self) -> bool:
        """Make sure that a stack can be written here; tell whether the folder is new."""
        try:
            if (self.folder / MANIFEST_NAME).exists():
                raise StackError(
                    f"There is already a layer stack in {self.folder}.",
                    "Choose another folder; nothing is overwritten.",
                    reason="STACK_EXISTS",
                )
            is_new = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            check_writable(self.folder)
            for flat in (self._comp, self._ref):
                self._clear(flat)
        except OSError as error:
            raise write_error(self.folder, error) from error
        return is_new
