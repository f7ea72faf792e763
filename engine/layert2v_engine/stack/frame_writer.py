"""The EXR files of a stack, written by a small pool of threads in the order of their frames.

Knows the format of a stack and the sequences being written; not where their pixels come from, and
no manifest.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
from torch import Tensor

from layert2v.stack import FileRecord, StackFormat, frame_path
from layert2v_engine.image import exr
from layert2v_engine.image.atomic import PARTIAL_SUFFIX
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.image.footage.timing import add_frames
from layert2v_engine.stack.manifest import PendingSequence

# Encoding and hashing leave Python's lock alone, so that a second core can take them while the
# caller decodes. Frames waiting beyond that hold the caller back: slow disks cost time, not memory.
WORKERS = max(2, min(8, os.cpu_count() or 1))
PENDING_FRAMES = WORKERS + 2

FrameCallback = Callable[[str, int, Path], None]


class FrameWriter:
    """Writes and reads frames of sequences below ``folder``.

    ``tags`` go into every file under ``layert2v/``, and the ``timecode`` of the first frame,
    counted on: "" for none, None for that of the frame numbers.
    ``on_frame_written(name, index, path)`` is called on the caller's
    thread, in order, some frames after ``write``.
    """

    def __init__(
        self,
        folder: Path,
        format: StackFormat,
        options: ExrOptions,
        tags: Mapping[str, str],
        *,
        timecode: str | None = None,
        on_frame_written: FrameCallback | None = None,
        workers: int = WORKERS,
    ) -> None:
        self._folder, self._format = folder, format
        self._options, self.tags, self._timecode = options, tags, timecode
        self._on_frame_written = on_frame_written
        self._pending: deque[tuple[PendingSequence, int, Future[FileRecord]]] = deque()
        # Each thread compresses its own file. OpenEXR's own threads are one pool for the process,
        # for which all writers wait: two of them were no faster than one.
        oiio.attribute("exr_threads", -1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="exr")

    def write(self, sequence: PendingSequence, index: int, pixels: Tensor) -> None:
        """Take half ``[H, W, 4]`` on the CPU as frame ``index`` (from 0).

        Each comes once, in any order. Raises ``DiskFull`` or ``StackError``, perhaps for an earlier
        frame.
        """
        if not 0 <= index < self._format.frames or index in sequence.accepted:
            raise ValueError(f"{sequence.name} does not expect frame {index}")
        sequence.accepted.add(index)
        self.submit(sequence, index, self.encode, sequence, index, pixels)

    def submit(
        self, sequence: PendingSequence, index: int, work: Callable[..., FileRecord], *args: Any
    ) -> None:
        """Let a thread do ``work(*args)``, which writes frame ``index`` and returns its record."""
        self._pending.append((sequence, index, self._pool.submit(work, *args)))
        self.drain(PENDING_FRAMES)

    def drain(self, limit: int = 0) -> None:
        """Take finished frames off the queue; wait until no more than ``limit`` are left."""
        while self._pending and (len(self._pending) > limit or self._pending[0][2].done()):
            sequence, index, future = self._pending.popleft()
            sequence.files[index] = future.result()
            if self._on_frame_written is not None:
                self._on_frame_written(sequence.name, index, self.path(sequence.pattern, index))

    def stop(self) -> None:
        """Wait for the threads; what has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def path(self, pattern: str, index: int) -> Path:
        """Return the file of frame ``index`` (from 0) of a sequence."""
        return self._folder / frame_path(pattern, self._format.start_frame + index)

    def read(self, pattern: str, index: int) -> Tensor:
        """Read frame ``index`` (from 0) of a complete sequence, half ``[H, W, 4]``.

        Raises ``StackError``.
        """
        return exr.read(self.path(pattern, index))

    def clear(self, sequence: PendingSequence) -> None:
        """Remove frames of this name and version.

        Those of a writer that was killed would pass for new ones.
        """
        path = self._folder / sequence.pattern
        stem = path.name.partition("#")[0]
        for pattern in (f"{stem}*.exr", f".{stem}*{PARTIAL_SUFFIX}"):
            for old in path.parent.glob(pattern):
                old.unlink(missing_ok=True)

    def _frame_timecode(self, index: int) -> str | None:
        if self._timecode is None:
            return None
        return add_frames(self._timecode, index, self._format.fps)

    def encode(self, sequence: PendingSequence, index: int, pixels: Tensor) -> FileRecord:
        """Write one frame, half ``[H, W, 4]``, on this thread; return its record."""
        path = self.path(sequence.pattern, index)
        role = sequence.role.value if sequence.role else sequence.name
        sequence_tags = {
            "layer": sequence.name,
            "role": role,
            "seed": str(sequence.seed),
            "source": sequence.source,
        }
        tags = Tags(
            colorspace=self._format.colorspace,
            fps=self._format.fps,
            frame=self._format.start_frame + index,
            pixel_aspect=self._format.pixel_aspect,
            comments=sequence.prompt,
            timecode=self._frame_timecode(index),
            custom={**self.tags, **sequence.tags, **sequence_tags},
        )
        # A lossy comp would no longer be the over of its layers.
        lossy_comp = sequence.name == "comp" and not self._options.lossless
        written = exr.write(path, pixels, tags, ExrOptions() if lossy_comp else self._options)
        return FileRecord(path=path.relative_to(self._folder).as_posix(), **written._asdict())
