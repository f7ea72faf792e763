"""A new state of a layer stack that is there: some layers kept, others written."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from layert2v.stack import MANIFEST_NAME, Stack
from layert2v_engine.errors import StackError
from layert2v_engine.image import exr
from layert2v_engine.stack import manifest
from layert2v_engine.stack.files import check_writable, exclusive_lock
from layert2v_engine.stack.state_writer import ColorOptions, StateWriter, WriterOptions


class StackEditor(StateWriter):
    """Writes a new state of the stack in ``folder``, which starts from state ``at`` (0 the newest).

    Its layers are those declared, from bottom to top: ``keep_layer`` for one that stays as it is,
    ``add_layer`` for one in a new version. Files of the states before are never touched; a ``ref``
    that nothing is written of stays. ``set_color_options`` says how generated pixels are encoded.

    The stack is locked and its manifest read before anything else. Raises ``StackError`` where
    there is no such state or another program is changing the stack, and ``ColorError``.
    """

    base: Stack

    def __init__(
        self,
        folder: Path,
        *,
        at: int = 0,
        options: WriterOptions | None = None,
    ) -> None:
        with ExitStack() as locks:
            if (folder / MANIFEST_NAME).exists():  # else reading it says that there is no stack
                check_writable(folder)
                locks.enter_context(exclusive_lock(folder))
            base = manifest.read_base(folder, at)  # once nobody else changes it
            super().__init__(
                folder,
                base,
                ColorOptions(),
                _with_timecode(options or WriterOptions(), folder, base),
                base=base,
                parent=at or base.state,
            )
            self.base = base
            self._locks = locks.pop_all()

    def keep_layer(self, name: str) -> None:
        """Declare the next layer: one of ``base``, as it is there."""
        self._layers[name] = self.base.layer(name)

    def read(self, layer: str, index: int) -> Tensor:
        """Read frame ``index`` (from 0) of a layer of ``base``: half, premultiplied ``[H, W, 4]``.

        Raises ``StackError``.
        """
        return self._files.read(self.base.layer(layer).pattern, index)

    def close(self) -> None:
        """Stop using the folder and let others change it."""
        super().close()
        self._locks.close()


def _with_timecode(options: WriterOptions, folder: Path, base: Stack) -> WriterOptions:
    """Return options with the timecode of the stack, which came from footage or was counted."""
    first = folder / base.flat("comp").files[0].path
    try:
        return replace(options, timecode=exr.read_timecode(first)) if first.exists() else options
    except StackError:  # found and reported where its pixels are needed
        return options
