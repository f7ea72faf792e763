"""The arrays of one decomposition on disk, and the stages that turn one into the next.

Memory does not grow with the length of a shot: every stage reads and writes windows of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    Frames,
    HalfArray,
    blur,
    dilate,
    fit_within,
    resize,
)
from layert2v_engine.decompose.effects import MIN_SHADOW, keep_attached_shadow
from layert2v_engine.decompose.footage import FrameRange
from layert2v_engine.decompose.inputs import MatteInput, PlateInput
from layert2v_engine.decompose.matting import FrameProposal, MattingShot, propose_layers
from layert2v_engine.decompose.plate import temporal
from layert2v_engine.decompose.protocols import PlateRemover, RemovalFrames
from layert2v_engine.decompose.scratch import FrameFile, Scratch
from layert2v_engine.decompose.several import RemainingPictures, check_distinct
from layert2v_engine.decompose.shots import Window, split_windows
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.decompose.subjects.finder import correct_masks
from layert2v_engine.decompose.subjects.hints import SubjectHints
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorTransform
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.stack.preview import to_srgb_bytes

WORKING_SIDE = 640  # of the pictures that subjects and motion are found on
# The background is hidden around a mask, too: soft edges, and below it the contact shadow.
_HOLE_MARGIN, _HOLE_BELOW = 0.015, 0.03  # of the longer side
_MAX_COVER = 0.9
_BESIDE = 72  # frames before and after a window that may show what it hides
_SHOWS_MORE = 0.02  # of what is hidden: what makes them worth looking at
_REACH = 0.012  # of the longer side: around what points change, the edge is found anew
_SURELY_SHADED = 0.15  # a shadow that counts apart from its subject
_SHADED_MARGIN = 0.007  # of the longer side: shadows fade out
_COVERED = 0.1  # of a rough mask: what a network is told to take out


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

    def half(self, name: str, channels: int = 0) -> FrameFile:
        """Return the half frames of this name at full size."""
        shape = (self.frames, self.full.height, self.full.width)
        return self.scratch.frames(name, (*shape, channels) if channels else shape, np.float16)

    @property
    def source(self) -> FrameFile:
        """The footage ``[T, H, W, 3]``, scene-linear."""
        return self.half("source", 3)

    @property
    def pictures(self) -> FrameFile:
        """The footage at the working size ``[T, h, w, 3]``, sRGB bytes."""
        shape = (self.frames, self.small.height, self.small.width, 3)
        return self.scratch.frames("pictures", shape, np.uint8)

    def mask(self, number: int) -> FrameFile:
        """Return the rough mask ``[T, h, w]`` of a subject, float in 0..1."""
        shape = (self.frames, self.small.height, self.small.width)
        return self.scratch.frames(f"mask_{number}", shape, np.float32)

    def shadow(self, number: int) -> FrameFile:
        """Return the shadow ``[T, h, w]`` that a subject seems to cast, float in 0..1."""
        shape = (self.frames, self.small.height, self.small.width)
        return self.scratch.frames(f"shadow_{number}", shape, np.float32)

    def pictures_without(self, subjects: int) -> Frames:
        """Return the footage at the working size without the first ``subjects``, painted over."""
        if not subjects:
            return self.pictures
        return RemainingPictures(self.pictures, [self.mask(k) for k in range(subjects)])

    @property
    def invention(self) -> FrameFile:
        """Where the plate was never seen, ``[T, h, w]``."""
        shape = (self.frames, self.small.height, self.small.width)
        return self.scratch.frames("invented", shape, np.bool_)

    def put(self, index: int, frame: HalfArray, to_picture: ColorTransform) -> ByteArray:
        """Take a frame ``[H, W, 3]`` of footage; return it at the working size."""
        picture = to_srgb_bytes(
            torch.from_numpy(resize(frame.astype(np.float32), self.small)), to_picture
        )
        self.source[index], self.pictures[index] = frame, picture
        return picture

    def take_matte(self, number: int, matte: MatteInput) -> None:
        """Take the artist's matte of every frame."""
        mattes, masks, is_empty = self.half(f"matte_{number}"), self.mask(number), True
        for index, plane in matte.planes():
            mattes[index], masks[index] = plane, resize(plane, self.small)
            is_empty = is_empty and not plane.any()
        if is_empty:
            raise FootageError(
                "The matte is empty on every frame.",
                "Give one that is white where the subject is.",
                reason="SUBJECT_NOT_FOUND",
            )

    def corrections(self, number: int) -> FrameFile:
        """Return where points have changed a subject's mask ``[T, h, w]``, 1 in there."""
        shape = (self.frames, self.small.height, self.small.width)
        return self.scratch.frames(f"corrected_{number}", shape, np.float32)

    def correct_mask(
        self, number: int, hints: SubjectHints, on_frames: Callable[[int], None]
    ) -> bool:
        """Correct the mask of a subject as points say; tell whether that changed anything."""
        corrected, reach = self.corrections(number), max(2, round(_REACH * max(self.small)))
        correct_masks(self.pictures, self.mask(number), hints, corrected, on_frames)
        is_any = False
        for index, turned in enumerate(corrected):
            if turned.any():
                is_any = True
                near = dilate(turned > 0, reach).astype(np.float32)
                corrected[index] = blur(near, reach / 3)
        return is_any

    def check_cover(self, number: int) -> None:
        """Raise ``FootageError`` for a subject that is everywhere, or there already."""
        cover = [float((mask > 0.5).mean()) for mask in self.mask(number)]
        if float(np.mean(cover)) > _MAX_COVER:
            raise FootageError(
                "The subject fills the frame, so no background is left to separate.",
                "Show a smaller subject with --box, or choose other frames.",
                reason="SUBJECT_FILLS_FRAME",
            )
        if number:
            check_distinct([self.mask(k) for k in range(number + 1)])

    def _find_shadows(self, subjects: int) -> None:
        """Find what subjects seem to cast, which a plate that is made of frames may still hold.

        Networks that remove subjects take it with them by themselves.
        """
        for number in range(subjects):
            masks, shadows = self.mask(number), self.shadow(number)
            past = number * self.frames
            for index in range(self.frames):
                self._progress.report("shadow", past + index, self.frames * subjects)
                source = resize(self.source[index].astype(np.float32), self.small)
                mask = np.asarray(masks[index])
                found = self._stages.splitter.find_shadow(source[None], mask[None])[0]
                sure = (mask > 0.1) | (found > _SURELY_SHADED)
                shadows[index] = keep_attached_shadow(found, dilate(sure, 2))

    def make_plate(self, subjects: int, own: PlateInput | None) -> None:
        """Make the clean plate without any of the subjects, or take the artist's."""
        if self.scratch.is_finished("plate"):
            return
        plate = self.half("plate", 3)
        notes: tuple[str, ...] = ()
        if own is not None:
            for index, picture in own.pictures():
                self._progress.report("plate", index, self.frames)
                plate[index], self.invention[index] = picture, False
            notes = tuple(own.notes)
        elif self._stages.remover is not None:
            self._remove(self._stages.remover, plate, subjects)
            notes = (self._stages.remover.note,)
        else:
            self._find_shadows(subjects)
            self._fill_plate(plate, subjects)
        self.scratch.finish("plate", notes=notes)

    def _fill_plate(self, plate: FrameFile, subjects: int) -> None:
        """Make the plate: one where the camera stands, else windows, blended where they overlap."""
        self._progress.report("plate", 0, self.frames)
        windows = list(split_windows(self.frames, temporal.WINDOW, temporal.OVERLAP))
        if len(windows) > 1 and self._is_standing(windows, subjects):
            chosen = self._choose_frames(temporal.spread_frames(self.frames), subjects)
            view = temporal.standing_plate(chosen, self._stages.filler, self._progress.check)
            for index in range(self.frames):
                plate[index], self.invention[index] = view(self._hole(index, subjects))
                self._progress.report("plate", index, self.frames)
            return
        done = 0
        for window in windows:
            given = self._choose_window(window, subjects)
            weights = window.weights(temporal.OVERLAP, self.frames)
            plates = temporal.temporal_plates(given, self._stages.filler, self._progress.check)
            for offset, made in enumerate(plates):
                index, picture, invented = window.start + offset, made.picture, made.invented
                if index < done:  # the window before has made it, too
                    before = plate[index].astype(np.float32)
                    picture = before + weights[offset] * (picture - before)
                    invented = invented | self.invention[index]
                plate[index], self.invention[index] = picture, invented
                self._progress.report("plate", index, self.frames)
            done = window.end

    def _is_standing(self, windows: Sequence[Window], subjects: int) -> bool:
        """Tell whether the camera stands in every window and from the first to the last."""
        spread = temporal.spread_frames(self.frames)
        for indices in (*(range(each.start, each.end) for each in windows), spread):
            self._progress.check()
            chosen = self._choose_frames(indices, subjects)
            if not temporal.is_standing(chosen.pictures, chosen.holes):
                return False
        return True

    def _choose_window(self, window: Window, subjects: int) -> temporal.ChosenFrames:
        """Return a window's frames, with those around it if they show more of what it hides."""
        inside = range(window.start, window.end)
        first, end = max(0, window.start - _BESIDE), min(self.frames, window.end + _BESIDE)
        alone = self._choose_frames(inside, subjects)
        if len(inside) == end - first:
            return alone
        hidden = temporal.measure_hidden(alone)
        if hidden < _SHOWS_MORE:
            return alone
        self._progress.check()
        around = self._choose_frames(range(first, end), subjects, inside)
        return around if hidden - temporal.measure_hidden(around) >= _SHOWS_MORE else alone

    def _choose_frames(
        self, indices: Sequence[int], subjects: int, window: Sequence[int] | None = None
    ) -> temporal.ChosenFrames:
        """Return frames, those of ``window`` (all by default) as the ones to make a plate of."""
        pictures = np.stack([self.pictures[k] for k in indices])
        holes = np.stack([self._hole(k, subjects) for k in indices])
        start = 0 if window is None else indices.index(window[0])
        places = range(start, start + len(indices if window is None else window))
        return temporal.ChosenFrames(self.source, indices, pictures, holes, places)

    def proposals(
        self,
        number: int,
        source: FrameFile,
        *,
        has_matte: bool,
        has_own_plate: bool,
        subjects: int = 1,
        corrected: Frames | None = None,
    ) -> Iterator[FrameProposal]:
        """Yield what the solver needs to take a subject off ``source`` ``[T, H, W, 3]``.

        That still shows those of ``subjects`` that come after it. ``corrected`` is where points
        have changed its mask.
        """
        shot = MattingShot(
            source=source,
            plate=self.half("plate", 3),
            mask=self.mask(number),
            invented=self.invention,
            shadow=self.shadow(number),
            matte=self.half(f"matte_{number}") if has_matte else None,
            corrected=corrected,
            others=[self.mask(other) for other in range(number + 1, subjects)],
            has_own_plate=has_own_plate,
        )
        return propose_layers(shot, self._stages.splitter)

    def _remove(self, remover: PlateRemover, plate: FrameFile, subjects: int) -> None:
        """Make the plate by a network that takes all subjects out of the shot."""

        def find_cover(index: int) -> BoolArray:
            masks = [self.mask(number)[index] for number in range(subjects)]
            return np.asarray(np.max(masks, 0) > _COVERED)

        frames = RemovalFrames(
            length=self.frames,
            size=self.full,
            colorspace=self.colorspace,
            frame=lambda index: self.source[index].astype(np.float32),
            hole=find_cover,
        )

        def on_progress(share: float) -> None:
            self._progress.report("plate", round(share * self.frames), self.frames)

        for index, picture in remover.plates(frames, on_progress):
            plate[index], self.invention[index] = picture, find_cover(index)

    def _hole(self, index: int, subjects: int) -> BoolArray:
        """Return where any subject hides the background of a frame, ``[h, w]``."""
        longest = max(self.small)
        margin, below = (round(each * longest) for each in (_HOLE_MARGIN, _HOLE_BELOW))
        masks = [self.mask(number)[index] for number in range(subjects)]
        hole = dilate(np.max(masks, 0) > 0.1, max(2, margin))
        shifted = np.roll(hole, below, 0)
        shifted[:below] = False
        return np.asarray(hole | shifted | self._find_shaded(index, subjects))

    def _find_shaded(self, index: int, subjects: int) -> BoolArray:
        """Return where any subject seems to cast a shadow on a frame, and a little more."""
        shadows = [self.shadow(number)[index] for number in range(subjects)]
        margin = max(2, round(_SHADED_MARGIN * max(self.small)))
        return dilate(np.max(shadows, 0) > MIN_SHADOW, margin)
