"""The arrays of one decomposition on disk, and the stages that turn one into the next.

Memory does not grow with the length of a shot: every stage reads and writes windows of frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from layert2v_engine.decompose.arrays import BoolArray, dilate, fit_within, resize
from layert2v_engine.decompose.footage import FrameRange
from layert2v_engine.decompose.inputs import MatteInput, PlateInput
from layert2v_engine.decompose.matting import MattingFrames, propose_layers
from layert2v_engine.decompose.plate import temporal
from layert2v_engine.decompose.protocols import PlateRemover, RemovalFrames
from layert2v_engine.decompose.scratch import Scratch
from layert2v_engine.decompose.shots import Window, split_windows
from layert2v_engine.decompose.solve import HalfArray, Proposal
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorTransform
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.stack.preview import to_srgb_bytes

WORKING_SIDE = 640  # of the pictures that subjects and motion are found on
MATTING_WINDOW, MATTING_OVERLAP = 8, 2
# The background is hidden around a mask, too: soft edges, and below it the contact shadow.
_HOLE_MARGIN, _HOLE_BELOW = 0.015, 0.03  # of the longer side
_MAX_COVER = 0.9
_COVERED = 0.1  # of a rough mask: what a network is told to take out


class FrameProposal(NamedTuple):
    """What the solver needs of ``frame`` (from 0), and where its plate is invented."""

    frame: int
    proposal: Proposal
    invented: BoolArray


class Workspace:
    """Arrays of ``numbers.frames`` frames in ``scratch``."""

    def __init__(
        self,
        numbers: FrameRange,
        scratch: Scratch,
        stages: Stages,
        progress: ProgressReporter,
        colorspace: str = "",
    ) -> None:
        """Take the color space of the footage, which only a network that removes needs."""
        self.colorspace = colorspace
        self.numbers, self.scratch = numbers, scratch
        self.frames, self.full = numbers.frames, numbers.size
        self.small = fit_within(self.full, WORKING_SIDE)
        self._stages, self._progress = stages, progress

    def half(self, name: str, channels: int = 0) -> HalfArray:
        """Return the half array of this name at full size."""
        shape = (self.frames, self.full.height, self.full.width)
        return self.scratch.array(name, (*shape, channels) if channels else shape, np.float16)

    @property
    def source(self) -> HalfArray:
        """The footage ``[T, H, W, 3]``, scene-linear."""
        return self.half("source", 3)

    @property
    def pictures(self) -> np.ndarray:
        """The footage at the working size ``[T, h, w, 3]``, sRGB bytes."""
        shape = (self.frames, self.small.height, self.small.width, 3)
        return self.scratch.array("pictures", shape, np.uint8)

    def mask(self, number: int) -> np.ndarray:
        """Return the rough mask ``[T, h, w]`` of a subject, float in 0..1."""
        shape = (self.frames, self.small.height, self.small.width)
        return self.scratch.array(f"mask_{number}", shape, np.float32)

    @property
    def invention(self) -> np.ndarray:
        """Where the plate was never seen, ``[T, h, w]``."""
        shape = (self.frames, self.small.height, self.small.width)
        return self.scratch.array("invented", shape, np.bool_)

    def put(self, index: int, frame: HalfArray, to_picture: ColorTransform) -> np.ndarray:
        """Take a frame ``[H, W, 3]`` of footage; return it at the working size."""
        self.source[index] = frame
        self.pictures[index] = _to_picture(resize(frame.astype(np.float32), self.small), to_picture)
        return np.asarray(self.pictures[index])

    def take_matte(self, number: int, matte: MatteInput) -> None:
        """Take the artist's matte of every frame."""
        mattes, masks = self.half(f"matte_{number}"), self.mask(number)
        for index, plane in matte.planes():
            mattes[index], masks[index] = plane, resize(plane, self.small)

    def check_cover(self, number: int) -> None:
        """Raise ``FootageError`` for a subject that is nowhere, or everywhere."""
        cover = [float((mask > 0.5).mean()) for mask in self.mask(number)]
        if max(cover) < 1e-4:
            raise FootageError(
                "The matte is empty on every frame.",
                "Give one that is white where the subject is.",
                reason="SUBJECT_NOT_FOUND",
            )
        if float(np.mean(cover)) > _MAX_COVER:
            raise FootageError(
                "The subject fills the frame, so no background is left to separate.",
                "Show a smaller subject with --box, or choose other frames.",
                reason="SUBJECT_FILLS_FRAME",
            )

    def make_plate(self, subjects: int, own: PlateInput | None) -> None:
        """Make the clean plate without any of the subjects, or take the artist's."""
        if self.scratch.is_finished("plate"):
            return
        plate, invented = self.half("plate", 3), self.invention
        plate[:], invented[:] = 0, False
        self._progress.report("plate", 0, self.frames, "making the clean plate")
        if own is not None:
            for index, picture in own.pictures():
                self._progress.report("plate", index, self.frames)
                plate[index] = picture
            self.scratch.finish("plate")
            return
        if self._stages.remover is not None:
            self._remove(self._stages.remover, subjects)
            self.scratch.finish("plate")
            return
        for window in split_windows(self.frames, temporal.WINDOW, temporal.OVERLAP):
            part = slice(window.start, window.end)
            hole = self._hole(window, subjects)
            given = temporal.WindowFrames(self.source[part], self.pictures[part], hole)
            weights = window.weights(temporal.OVERLAP, self.frames)
            for offset, made in enumerate(temporal.temporal_plates(given, self._stages.filler)):
                index = window.start + offset
                plate[index] += (weights[offset] * made.picture).astype(np.float16)
                invented[index] |= made.invented
                self._progress.report("plate", index, self.frames)
        self.scratch.finish("plate")

    def proposals(
        self, number: int, source: HalfArray, *, has_matte: bool
    ) -> Iterator[FrameProposal]:
        """Yield what the solver needs to take a subject off ``source`` ``[T, H, W, 3]``."""
        done = 0
        for window in split_windows(self.frames, MATTING_WINDOW, MATTING_OVERLAP):
            part = slice(window.start, window.end)
            given = MattingFrames(
                source=source[part],
                plate=self.half("plate", 3)[part],
                mask=np.asarray(self.mask(number)[part]),
                invented=np.asarray(self.invention[part]),
                matte=self.half(f"matte_{number}")[part] if has_matte else None,
                first=window.start,
            )
            for offset, proposal in enumerate(propose_layers(given, self._stages.splitter)):
                index = window.start + offset
                if index >= done:
                    yield FrameProposal(index, proposal, given.invented[offset])
                    done = index + 1

    def _remove(self, remover: PlateRemover, subjects: int) -> None:
        """Make the plate by a network that takes all subjects out of the shot."""

        def covered(index: int) -> BoolArray:
            masks = [np.asarray(self.mask(number)[index]) for number in range(subjects)]
            return np.asarray(np.max(masks, 0) > _COVERED)

        frames = RemovalFrames(
            count=self.frames,
            size=self.full,
            colorspace=self.colorspace,
            frame=lambda index: np.asarray(self.source[index]).astype(np.float32),
            hole=covered,
        )

        def on_progress(share: float) -> None:
            self._progress.report("plate", round(share * self.frames), self.frames)

        plate, invented = self.half("plate", 3), self.invention
        for index, picture in remover.plates(frames, on_progress):
            plate[index], invented[index] = picture, covered(index)

    def _hole(self, window: Window, subjects: int) -> BoolArray:
        """Return where any subject hides the background, ``[T, h, w]``."""
        longest = max(self.small)
        margin, below = (round(each * longest) for each in (_HOLE_MARGIN, _HOLE_BELOW))
        holes = []
        for index in range(window.start, window.end):
            masks = [self.mask(number)[index] for number in range(subjects)]
            hole = dilate(np.max(masks, 0) > 0.1, max(2, margin))
            shifted = np.roll(hole, below, 0)
            shifted[:below] = False
            holes.append(hole | shifted)
        return np.stack(holes)


def _to_picture(linear: np.ndarray, to_display: ColorTransform) -> np.ndarray:
    return to_srgb_bytes(torch.from_numpy(linear), to_display)
