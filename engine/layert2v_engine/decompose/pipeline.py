"""Footage to a layer stack, stage by stage, each with its results on disk.

Read, find, plate, matte and solve: what one writes the next reads in windows, so memory does not
grow with the length of a shot, and a killed run goes on after the last stage that it finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from layert2v.decompose import DecomposeSpec, SubjectSpec, decompose_to_json
from layert2v.stack import Role, Stack
from layert2v_engine.decompose.arrays import BoolArray, Size, dilate, fit_within, resize
from layert2v_engine.decompose.footage import open_footage
from layert2v_engine.decompose.inputs import MatteInput, PlateInput, footage_path, read_hints
from layert2v_engine.decompose.matting import MattingFrames, propose_layers
from layert2v_engine.decompose.measures import SubjectMeasures
from layert2v_engine.decompose.plate import temporal
from layert2v_engine.decompose.scratch import Scratch
from layert2v_engine.decompose.shots import CutFinder, Window, split_windows
from layert2v_engine.decompose.solve import FrameLayers, HalfArray, solve_frame
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.decompose.subjects.finder import SubjectFinder
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig, ColorTransform
from layert2v_engine.image.exr import ExrOptions
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.stack.files import remove_empty_folders
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.preview import DISPLAY_SPACE, to_srgb_bytes
from layert2v_engine.stack.writer import StackWriter

# Fraction of the time per stage, measured at 1080p; only the progress bar depends on it.
STAGE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"read": 0.1, "find": 0.25, "plate": 0.2, "solve": 0.4, "write": 0.05}
)
SCRATCH_FOLDER = ".decompose"
WORKING_SIDE = 640  # of the pictures that subjects and motion are found on
MATTING_WINDOW, MATTING_OVERLAP = 8, 2
_PREVIEW_FRAMES = 3
# The background is hidden around a mask, too: soft edges, and below it the contact shadow.
_HOLE_MARGIN, _HOLE_BELOW = 0.015, 0.03  # of the longer side
_MAX_COVER = 0.9


class Decomposition:
    """One request about footage; ``run`` carries it out."""

    def __init__(
        self,
        spec: DecomposeSpec,
        inputs: Mapping[str, Path],
        stages: Stages,
        progress: ProgressReporter,
        exr: ExrOptions | None = None,
    ) -> None:
        self._spec, self._inputs, self._stages, self._exr = spec, inputs, stages, exr
        self._progress = progress
        progress.stage_weights = STAGE_WEIGHTS
        self._config = ColorConfig.load()
        self._footage = open_footage(spec, footage_path(spec, inputs), self._config)
        self._subjects = spec.subjects or (SubjectSpec(),)
        self._small = fit_within(self._footage.size, WORKING_SIDE)
        self._full = self._footage.size
        self._folder = progress.folder
        self._is_new_folder = not self._folder.exists()
        self._scratch = Scratch(self._folder / SCRATCH_FOLDER, _request_key(spec, inputs))
        self._measures = [SubjectMeasures() for _ in self._subjects]

    def run(self) -> Stack:
        """Write the stack. Raises ``FootageError``, ``Cancelled``, ``StackError``, ``DiskFull``."""
        try:
            return self._run()
        finally:
            self._scratch.remove()
            if self._is_new_folder:
                remove_empty_folders(self._folder, self._folder.parent)

    def _run(self) -> Stack:
        footage = self._footage
        with (
            StackWriter(
                self._folder,
                name=self._spec.name or footage.reader.clip.path.stem.split(".")[0] or "footage",
                width=self._full.width,
                height=self._full.height,
                pixel_aspect=footage.reader.info.pixel_aspect or 1.0,
                fps=footage.fps,
                start_frame=footage.first,
                frames=footage.frames,
                colorspace=footage.colorspace,
                source_colorspace=footage.colorspace,
                exr=self._exr,
                config=self._config,
                timecode=footage.reader.info.timecode or None,
            ) as writer,
            closing(self._progress),
        ):
            hints = [
                read_hints(subject, self._inputs, footage, self._small)
                for subject in self._subjects
            ]
            self._read()
            for number, subject in enumerate(self._subjects):
                self._find(number, subject, hints[number])
            self._make_plate()
            self._declare(writer)
            self._solve(writer)
            return writer.finish(
                self._provenance(),
                progress=lambda done, total: self._progress.report("write", done, total),
            )

    def _source(self) -> HalfArray:
        return self._array("source", 3)

    def _pictures(self) -> np.ndarray:
        shape = (self._footage.frames, self._small.height, self._small.width, 3)
        return self._scratch.array("pictures", shape, np.uint8)

    def _mask(self, number: int) -> np.ndarray:
        shape = (self._footage.frames, self._small.height, self._small.width)
        return self._scratch.array(f"mask_{number}", shape, np.float32)

    def _array(self, name: str, channels: int = 0) -> HalfArray:
        """Return a half array of the full size."""
        shape = (self._footage.frames, self._full.height, self._full.width)
        return self._scratch.array(name, (*shape, channels) if channels else shape, np.float16)

    def _read(self) -> None:
        """Read all frames; refuse cuts."""
        if self._scratch.is_finished("read"):
            return
        source, pictures, cuts = self._source(), self._pictures(), CutFinder()
        to_display = self._config.display_transform(self._footage.colorspace, DISPLAY_SPACE)
        count = 0
        for index, frame in enumerate(self._footage.pictures()):
            self._progress.report("read", index, self._footage.frames, "" if index else "reading")
            source[index] = frame
            small = resize(frame.astype(np.float32), self._small)
            pictures[index] = _to_picture(small, to_display)
            cuts.add(pictures[index])
            count += 1
        if count < self._footage.frames:
            raise FootageError(
                f"The footage ends after {count} frames, before it should.",
                "The file may be damaged; play it to its end.",
                reason="FOOTAGE_SHORT",
            )
        self._refuse_cuts(cuts.cuts())
        self._scratch.finish("read")

    def _refuse_cuts(self, cuts: list[int]) -> None:
        if cuts:
            first, frame = self._footage.first, self._footage.first + cuts[0]
            raise FootageError(
                f"There is a cut between frames {frame - 1} and {frame}.",
                f"Decompose each shot by itself, such as frames {first}-{frame - 1}.",
                reason="CUT_INSIDE",
            )

    def _find(self, number: int, subject: SubjectSpec, hints: Any) -> None:
        """Find the masks of a subject at the working size."""
        stage = f"find {number}"
        if self._scratch.is_finished(stage):
            return
        masks, full_matte = self._mask(number), None
        total = self._footage.frames * len(self._subjects)
        if subject.matte:
            full_matte = MatteInput(
                self._inputs[subject.matte],
                self._footage,
                Size(self._footage.reader.info.width, self._footage.reader.info.height),
                "matte",
            )
        is_complete = full_matte is not None and full_matte.is_complete
        if full_matte is not None:
            mattes = self._array(f"matte_{number}") if is_complete else None
            for index, plane in full_matte.planes():
                if mattes is not None:
                    mattes[index] = plane
                    masks[index] = resize(plane, self._small)
                else:
                    hints = hints.with_mask(index, resize(plane, self._small))
        if not is_complete:

            def on_frames(done: int) -> None:
                past = number * self._footage.frames
                self._progress.report("find", past + done, total)
                if number == 0 and done >= _PREVIEW_FRAMES:
                    self._show_matte(masks[0])

            self._progress.report("find", number * self._footage.frames, total, "finding subjects")
            finder = SubjectFinder(self._stages.saliency, self._stages.detector)
            finder.find(self._pictures(), hints, masks, on_frames)
        self._check_cover(masks)
        self._show_matte(masks[0])
        self._scratch.finish(stage, has_matte=is_complete)

    def _check_cover(self, masks: np.ndarray) -> None:
        cover = [float((mask > 0.5).mean()) for mask in masks]
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

    def _show_matte(self, mask: np.ndarray) -> None:
        picture = torch.from_numpy(np.asarray(self._pictures()[0])).movedim(-1, 0) / 255
        matte = torch.from_numpy(np.asarray(mask))[None].expand(3, -1, -1)
        self._progress.set_preview(torch.cat((picture, matte), -1))

    def _hole(self, window: Window) -> BoolArray:
        """Return where any subject hides the background, ``[T, h, w]``."""
        longest = max(self._small)
        margin, below = (round(each * longest) for each in (_HOLE_MARGIN, _HOLE_BELOW))
        holes = []
        for index in range(window.start, window.end):
            masks = [self._mask(number)[index] for number in range(len(self._subjects))]
            hole = dilate(np.max(masks, 0) > 0.1, max(2, margin))
            shifted = np.roll(hole, below, 0)
            shifted[:below] = False
            holes.append(hole | shifted)
        return np.stack(holes)

    def _make_plate(self) -> None:
        """Make the clean plate without any of the subjects."""
        if self._scratch.is_finished("plate"):
            return
        plate, frames = self._array("plate", 3), self._footage.frames
        plate[:] = 0
        invented = self._invention()
        if self._spec.plate is not None:
            path = self._inputs[self._spec.plate.input]
            own = PlateInput(self._spec.plate, path, self._footage, self._config)
            for index, picture in own.pictures():
                self._progress.report("plate", index, frames)
                plate[index] = picture
            self._scratch.finish("plate")
            return
        for window in split_windows(frames, temporal.WINDOW, temporal.OVERLAP):
            part = slice(window.start, window.end)
            given = temporal.WindowFrames(
                self._source()[part], self._pictures()[part], self._hole(window)
            )
            weights = window.weights(temporal.OVERLAP, frames)
            self._progress.report("plate", window.start, frames, "making the clean plate")
            for offset, made in enumerate(temporal.temporal_plates(given, self._stages.filler)):
                index = window.start + offset
                plate[index] += (weights[offset] * made.picture).astype(np.float16)
                invented[index] |= made.invented
                self._progress.report("plate", index, frames)
        self._scratch.finish("plate")

    def _invention(self) -> np.ndarray:
        shape = (self._footage.frames, self._small.height, self._small.width)
        return self._scratch.array("invented", shape, np.bool_)

    def _declare(self, writer: StackWriter) -> None:
        tags = self._footage.reader.tags
        writer.add_layer("bg", Role.background, source="imported", tags=tags)
        count = len(self._subjects)
        for number in reversed(range(count)):  # the nearest subject is the topmost layer
            name, shadow = _layer_names(count, number)
            words = self._subjects[number].words
            writer.add_layer(
                shadow, Role.shadow, prompt=words, caster=name, source="imported", tags=tags
            )
            writer.add_layer(name, Role.foreground, prompt=words, source="imported", tags=tags)

    def _solve(self, writer: StackWriter) -> None:
        """Peel the subjects off, the nearest first, and write every layer."""
        frames, count = self._footage.frames, len(self._subjects)
        source = self._source()
        rest = self._array("rest", 3) if count > 1 else source
        for number in range(count):
            name, shadow = _layer_names(count, number)
            below = source if number == 0 else rest
            for index, layers in self._peel(number, below):
                self._progress.report("solve", number * frames + index, frames * count)
                writer.write_pixels(shadow, index, torch.from_numpy(layers.shadow))
                writer.write_pixels(name, index, torch.from_numpy(layers.foreground))
                if number == count - 1:
                    writer.write_pixels("bg", index, _opaque(layers.background))
                    writer.write_ref(index, _opaque(np.asarray(source[index])))
                else:
                    rest[index] = layers.background

    def _peel(self, number: int, source: HalfArray) -> Iterator[tuple[int, FrameLayers]]:
        """Yield the layers of one subject, frame by frame."""
        frames = self._footage.frames
        has_matte = bool(self._scratch.facts(f"find {number}").get("has_matte"))
        done = 0
        for window in split_windows(frames, MATTING_WINDOW, MATTING_OVERLAP):
            part = slice(window.start, window.end)
            given = MattingFrames(
                source=source[part],
                plate=self._array("plate", 3)[part],
                mask=np.asarray(self._mask(number)[part]),
                invented=np.asarray(self._invention()[part]),
                matte=self._array(f"matte_{number}")[part] if has_matte else None,
            )
            for offset, proposal in enumerate(propose_layers(given, self._stages.splitter)):
                index = window.start + offset
                if index < done:
                    continue
                frame = np.asarray(source[index])
                layers = solve_frame(frame, proposal)
                self._measures[number].add(frame, proposal, layers, given.invented[offset])
                yield index, layers
                done = index + 1

    def _provenance(self) -> Provenance:
        measures = {
            _layer_names(len(self._subjects), number)[0]: each.to_json()
            for number, each in enumerate(self._measures)
        }
        notes = [*self._footage.notes, *(_describe(name, each) for name, each in measures.items())]
        request = decompose_to_json(self._spec)
        return Provenance(
            action="decompose",
            prompt=", ".join(subject.words for subject in self._subjects if subject.words),
            warnings=tuple(self._footage.notes),
            note=" ".join(notes),
            spec={**request, "measures": measures},
        )


def _layer_names(count: int, number: int) -> tuple[str, str]:
    """Return the names of foreground and shadow of a subject, 0 the nearest."""
    return f"fg_{count - number:02d}", f"shadow_{count - number:02d}"


def _describe(name: str, measures: Mapping[str, float]) -> str:
    return (
        f"{name}: plate {measures['plate_psnr_db']:g} dB from the footage outside of effects, "
        f"{measures['invented_share']:.1%} of the picture invented, light "
        f"{measures['light_share']:.2%}."
    )


def _opaque(picture: HalfArray) -> torch.Tensor:
    alpha = np.ones((*picture.shape[:2], 1), np.float16)
    return torch.from_numpy(np.concatenate([picture, alpha], -1))


def _to_picture(linear: np.ndarray, to_display: ColorTransform) -> np.ndarray:
    return to_srgb_bytes(torch.from_numpy(linear), to_display)


def _request_key(spec: DecomposeSpec, inputs: Mapping[str, Path]) -> str:
    """Return what two runs must share for one to go on with what the other left."""
    files = [
        (key, path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for key, root in sorted(inputs.items())
        for path in (sorted(root.iterdir()) if root.is_dir() else [root])
        if path.is_file()
    ]
    text = json.dumps([decompose_to_json(spec), files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
