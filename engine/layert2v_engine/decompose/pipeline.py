"""Footage to a layer stack, stage by stage, each with its results on disk.

Read, find, plate, solve: a run that was killed goes on after the last stage that it finished.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from layert2v.decompose import (
    SCRATCH_FOLDER,
    DecomposeSpec,
    SubjectSpec,
    decompose_to_json,
)
from layert2v.stack import Role, Stack
from layert2v_engine.decompose.arrays import ByteArray, FloatArray, HalfArray, resize
from layert2v_engine.decompose.footage import open_footage, reading_options
from layert2v_engine.decompose.inputs import MatteInput, PlateInput, footage_path, read_hints
from layert2v_engine.decompose.measures import SubjectMeasures
from layert2v_engine.decompose.protocols import SaliencyNetwork
from layert2v_engine.decompose.scratch import Scratch, request_key
from layert2v_engine.decompose.shots import CutFinder, refuse_cuts
from layert2v_engine.decompose.solve import solve_frame
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.decompose.subjects.finder import SubjectFinder
from layert2v_engine.decompose.subjects.hints import SubjectHints
from layert2v_engine.decompose.subjects.seeds import seed_mask
from layert2v_engine.decompose.workspace import Workspace
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.exr_header import ExrOptions
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.stack.files import remove_empty_folders
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.preview import DISPLAY_SPACE
from layert2v_engine.stack.writer import StackWriter

# Fraction of the time per stage, measured at 1920 x 1080; only the progress bar depends on it.
STAGE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"read": 0.08, "find": 0.39, "shadow": 0.02, "plate": 0.1, "solve": 0.27, "write": 0.14}
)


class Decomposition:
    """One request about footage; ``run`` carries it out."""

    def __init__(
        self,
        spec: DecomposeSpec,
        inputs: Mapping[str, Path],
        stages: Stages,
        progress: ProgressReporter,
        origin: Callable[[Provenance], Provenance] | None = None,
    ) -> None:
        """Take what says where the stack comes from, if not from this request."""
        self._spec, self._inputs, self._stages, self._progress = spec, inputs, stages, progress
        self._origin = origin or (lambda found: found)
        progress.stage_weights = STAGE_WEIGHTS
        self._config = ColorConfig.load()
        self._footage = open_footage(spec, footage_path(spec, inputs), self._config)
        self._subjects = spec.subjects or (SubjectSpec(),)
        self._folder = progress.folder
        self._is_new_folder = not self._folder.exists()
        scratch = Scratch(
            self._folder / SCRATCH_FOLDER, request_key(decompose_to_json(spec), inputs)
        )
        self._space = Workspace(
            self._footage.range, scratch, stages, progress, self._footage.colorspace
        )
        self._measures = [SubjectMeasures() for _ in self._subjects]

    def run(self) -> Stack:
        """Write the stack. Raises ``FootageError``, ``Cancelled``, ``StackError``, ``DiskFull``."""
        try:
            return self._run()
        finally:
            self._space.scratch.remove()
            if self._is_new_folder:
                remove_empty_folders(self._folder, self._folder.parent)

    def _run(self) -> Stack:
        with self._open_writer() as writer, closing(self._progress):
            hints = [
                read_hints(subject, self._inputs, self._footage.range, self._space.small)
                for subject in self._subjects
            ]
            own = None
            if self._spec.plate is not None:
                path, space = self._inputs[self._spec.plate.input], self._footage.colorspace
                own = PlateInput(
                    *(self._spec.plate, path, self._footage.range, space, self._config),
                    reading_options(self._spec.footage),
                )
            self._read(hints[0])
            for number in range(len(self._subjects)):
                self._find(number, hints[number])
            self._space.make_plate(len(self._subjects), own)
            self._declare(writer)
            self._solve(writer)
            return writer.finish(
                self._origin(self._provenance()),
                progress=lambda done, total: self._progress.report("write", done, total),
            )

    def _open_writer(self) -> StackWriter:
        footage, size = self._footage, self._space.full
        stem = footage.reader.clip.path.stem.split(".")[0]
        return StackWriter(
            self._folder,
            name=self._spec.name or stem or "footage",
            width=size.width,
            height=size.height,
            pixel_aspect=footage.range.pixel_aspect,
            fps=footage.fps,
            start_frame=footage.range.first,
            frames=footage.range.frames,
            colorspace=footage.colorspace,
            source_colorspace=footage.colorspace,
            exr=ExrOptions(compression=self._spec.compression),
            config=self._config,
            timecode=footage.timecode,
        )

    def _read(self, hints: SubjectHints) -> None:
        """Read all frames; refuse cuts, or ignore them. ``hints``: of the subject seen first."""
        if self._space.scratch.is_finished("read"):
            return
        cuts, frames = CutFinder(), self._space.frames
        to_picture = self._config.display_transform(self._footage.colorspace, DISPLAY_SPACE)
        count = 0
        for index, frame in enumerate(self._footage.pictures()):
            self._progress.report("read", index, frames)
            picture = self._space.put(index, frame, to_picture)
            self._glance(index, picture, hints)
            cuts.add(picture)
            count += 1
        if count < frames:
            raise FootageError(
                f"The footage ends after {count} frames, before it should.",
                "The file may be damaged; play it to its end.",
                reason="FOOTAGE_SHORT",
            )
        if not self._spec.ignore_cuts:
            refuse_cuts(cuts.cuts(), self._footage.range, (self._spec.first, self._spec.last))
        self._space.scratch.finish("read", notes=self._footage.notes)

    def _find(self, number: int, hints: SubjectHints) -> None:
        """Find the masks of a subject at the working size, or take the artist's."""
        stage, space = f"find {number}", self._space
        if space.scratch.is_finished(stage):
            return
        self._progress.report("find", number * space.frames, space.frames * len(self._subjects))
        matte, is_corrected = None, False
        if self._subjects[number].matte:
            path = self._inputs[self._subjects[number].matte]
            reading = reading_options(self._spec.footage)
            matte = MatteInput(path, self._footage.range, "matte", reading=reading)
        if matte is not None and matte.is_complete:
            space.take_matte(number, matte)
        else:
            for index, plane in matte.planes() if matte is not None else ():
                hints = hints.with_mask(index, resize(plane, space.small))
            self._follow(number, hints)
            is_corrected = space.correct_mask(number, hints, lambda _: self._progress.check())
        space.check_cover(number)
        self._show_matte(space.mask(number)[0], space.pictures[0])
        has_matte = matte is not None and matte.is_complete
        notes = matte.notes if matte is not None else ()
        facts = {"has_matte": has_matte, "is_corrected": is_corrected, "notes": notes}
        space.scratch.finish(stage, **facts)

    def _follow(self, number: int, hints: SubjectHints) -> None:
        """Find a subject on every frame."""
        space, is_seen = self._space, False
        past, total = number * space.frames, space.frames * len(self._subjects)

        def on_frames(done: int) -> None:
            self._progress.report("find", past + done, total)

        def on_first(mask: np.ndarray) -> None:
            nonlocal is_seen
            if number == 0 and not (is_seen or hints.frames):  # a hint's frame was shown
                self._show_matte(mask, space.pictures[0])
            is_seen = True
            on_frames(0)

        saliency = _StoppingSaliency(self._stages.saliency, self._progress.check)
        finder = self._stages.tracker or SubjectFinder(saliency, self._stages.detector)
        is_described = self._subjects[number] != SubjectSpec()
        pictures = space.pictures if is_described else space.pictures_without(number)
        finder.find(pictures, hints, space.mask(number), on_frames, on_first)

    def _glance(self, index: int, picture: ByteArray, hints: SubjectHints) -> None:
        """Show what the first subject may be while frames are read: long before it is followed."""
        shown = hints.frames.get(index)
        if shown is not None and index == next(iter(hints.frames)):
            self._show_matte(seed_mask(picture, shown, self._stages.saliency), picture)
        elif index == 0 and not hints.frames and not self._subjects[0].matte:
            self._show_matte(self._stages.saliency.predict(picture), picture)

    def _show_matte(self, mask: FloatArray, picture: ByteArray) -> None:
        left = torch.from_numpy(np.array(picture)).movedim(-1, 0) / 255
        right = torch.from_numpy(np.array(mask))[None].expand(3, -1, -1)
        self._progress.set_preview(torch.cat((left, right), -1))

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
        space, count = self._space, len(self._subjects)
        for number in range(count):
            name, shadow = _layer_names(count, number)
            below = space.source if number == 0 else space.half(f"rest_{number - 1}", 3)
            facts = space.scratch.facts(f"find {number}")
            proposals = space.proposals(
                number,
                below,
                has_matte=bool(facts.get("has_matte")),
                has_own_plate=self._spec.plate is not None,
                subjects=count,
                corrected=space.corrections(number) if facts.get("is_corrected") else None,
            )
            for found in proposals:
                index = found.frame
                self._progress.report("solve", number * space.frames + index, space.frames * count)
                layers = solve_frame(found.source, found.proposal, found.part)
                self._measures[number].add(found, layers)
                writer.write_pixels(shadow, index, torch.from_numpy(layers.shadow))
                writer.write_pixels(name, index, torch.from_numpy(layers.foreground))
                if number == count - 1:
                    writer.write_pixels("bg", index, opaque_pixels(layers.background))
                    writer.write_ref(index, opaque_pixels(space.source[index]))
                else:
                    space.half(f"rest_{number}", 3)[index] = layers.background

    def _provenance(self) -> Provenance:
        measures = {
            _layer_names(len(self._subjects), number)[0]: each.to_json()
            for number, each in enumerate(self._measures)
        }
        words = [subject.words for subject in self._subjects]
        order = [describe_order(words)] if len(words) > 1 else []
        notes = self._notes()
        described = [describe_measures(name, each) for name, each in measures.items()]
        return Provenance(
            action="decompose",
            prompt=", ".join(said for said in words if said),
            warnings=notes,
            note=" ".join([*notes, *order, *described]),
            networks=self._stages.networks,
            spec=decompose_to_json(self._spec),
            measures=measures,
        )

    def _notes(self) -> tuple[str, ...]:
        """Return what was said of the files that were read, also by a run that was killed."""
        finds = [f"find {number}" for number in range(len(self._subjects))]
        facts = [self._space.scratch.facts(stage) for stage in ("read", *finds, "plate")]
        return tuple(dict.fromkeys(note for each in facts for note in each.get("notes", ())))


class _StoppingSaliency:
    """A network that asks before each picture whether to go on: a window takes seconds."""

    def __init__(self, network: SaliencyNetwork, check: Callable[[], None]) -> None:
        self._network, self._check = network, check

    def predict(self, picture: ByteArray) -> FloatArray:
        """Return what the network says; see ``SaliencyNetwork``. Raises ``Cancelled``."""
        self._check()
        return self._network.predict(picture)


def describe_order(words: Sequence[str]) -> str:
    """Return which subject is which layer; ``words`` are those of each, the nearest first."""
    count = len(words)
    names = [_layer_names(count, number)[0] for number in range(count)]
    each = (f"{name} ({said})" if said else name for name, said in zip(names, words, strict=True))
    return f"From near to far: {', '.join(each)}; name the subjects in another order to change it."


def _layer_names(count: int, number: int) -> tuple[str, str]:
    """Return the names of foreground and shadow of a subject, 0 the nearest."""
    return f"fg_{count - number:02d}", f"shadow_{count - number:02d}"


def describe_measures(name: str, measures: Mapping[str, float]) -> str:
    return (
        f"{name}: plate {measures['plate_psnr_db']:g} dB from the footage outside of effects, "
        f"{measures['invented_share']:.1%} of the picture invented, light "
        f"{measures['light_share']:.2%}."
    )


def opaque_pixels(picture: HalfArray) -> torch.Tensor:
    """Return a picture ``[H, W, 3]`` as delivered, with an alpha of 1."""
    alpha = np.ones((*picture.shape[:2], 1), np.float16)
    return torch.from_numpy(np.concatenate([picture, alpha], -1))
