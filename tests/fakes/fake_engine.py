"""An engine without a model: real files, adjustable speed, and the faults that a test asks for.

A test controls it by the negative prompt, which holds the JSON of a ``Behaviour``. It runs in a
real worker process, given as ``--engine fakes.fake_engine:FakeEngine``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from fakes import fake_decompose
from fakes.fake_rerender import FakeRerender, count_steps
from layert2v import stack as manifest
from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.presets import Preset
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec, ModelInfo, spec_to_json
from layert2v.stack import FileRecord, FlattenedSequence, HistoryEntry, Layer, Role, Stack

ENGINE = "fakes.fake_engine:FakeEngine"

MODEL = ModelInfo(
    name="mini",
    title="Fake Mini",
    digest="0" * 64,
    width_range=(32, 256),
    height_range=(32, 256),
    size_step=16,
    frames_range=(1, 17),
    frames_step=4,
    max_foregrounds=2,
    default_width=64,
    default_height=64,
    default_frames=5,
    default_fps=12.0,
    default_steps=4,
    default_guidance=3.0,
    steps_range=(1, 1000),
    guidance_range=(0.0, 20.0),
    vocabulary={"subject": ("fox", "owl"), "place": ("forest",)},
    presets=(Preset("preview", frames=1, steps=2), Preset("final", 128, 96, 9, 8, 5.0)),
)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Speed and fault of a job; for the names of faults see ``_inject_fault``."""

    step_s: float = 0.0
    frame_s: float = 0.0
    frame_bytes: int = 1000
    fault: str = ""

    def to_prompt(self) -> str:
        """Return the behaviour as text for the negative prompt."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, kw_only=True)
class FakeProgress:
    """Progress with the attributes of an engine's."""

    stage: str
    done: int
    total: int
    fraction: float
    message: str = ""
    eta_s: float | None = None
    preview: Path | None = None


class FakeError(Exception):
    """An error with the attributes of an engine's."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.hint = reason, message, hint


class FakeEngine:
    """Writes layers of hash bytes: the same spec gives the same files."""

    def __init__(self, models: Path | None, device: str) -> None:
        sys.stdout.write("a library prints\n")  # must not disturb the worker's messages

    def models(self) -> tuple[ModelInfo, ...]:
        return (MODEL,)

    def generate(
        self,
        spec: GenerateSpec,
        folder: Path,
        *,
        report: Callable[[FakeProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        text = spec.negative_prompt
        behaviour = Behaviour(**json.loads(text)) if text else Behaviour()
        folder.mkdir(parents=True, exist_ok=True)  # first of all, as the engine does
        for step in range(spec.steps):
            _stop_if(cancelled)
            time.sleep(behaviour.step_s)
            report(_progress("denoise", step + 1, spec.steps, 0.0))
        if behaviour.fault == "quote_prompt":
            raise RuntimeError(f"no tokens for {spec.prompt!r}")
        _inject_fault(behaviour.fault)
        writer = _FrameWriter(spec, folder, behaviour, report, cancelled)
        stack = _stack(spec, writer)
        manifest.write(stack, folder)
        return stack

    def rerender(
        self,
        spec: RerenderSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[FakeProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        text = next((prompt for prompt in spec.prompts.values() if prompt.startswith("{")), "")
        behaviour = Behaviour(**json.loads(text)) if text else Behaviour()
        steps = count_steps(spec, folder, MODEL)
        for step in range(steps):
            _stop_if(cancelled)
            time.sleep(behaviour.step_s)
            report(_progress("denoise", step + 1, steps, 0.0))
        _inject_fault(behaviour.fault)

        def report_frame(done: int, total: int) -> None:
            _stop_if(cancelled)
            report(_progress("decode", done, total, 0.5))

        return FakeRerender(spec, folder, inputs, report_frame, behaviour.frame_s, steps).run()

    def decompose(
        self,
        spec: DecomposeSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[FakeProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        folder.mkdir(parents=True, exist_ok=True)
        request = fake_decompose.generate_spec(spec, inputs[spec.footage.input])
        text = request.negative_prompt
        behaviour = Behaviour(**json.loads(text)) if text else Behaviour()

        def run_stage(stage: str) -> None:
            _stop_if(cancelled)
            time.sleep(behaviour.step_s)
            report(_progress(stage, 1, 1, 0.0))

        stages = fake_decompose.run_stages(folder, run_stage)
        if stages:
            _inject_fault(behaviour.fault)
        writer = _FrameWriter(request, folder, behaviour, report, cancelled)
        stack = fake_decompose.with_history(_stack(request, writer), spec, stages)
        manifest.write(stack, folder)
        return stack

    def refine(
        self,
        spec: RefineSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[FakeProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        def report_frame(done: int, total: int) -> None:
            _stop_if(cancelled)
            report(_progress("write", done, total, 0.5))

        change = fake_decompose.rerender_spec(spec)
        stack = FakeRerender(change, folder, inputs, report_frame, 0.0, 0).run()
        return fake_decompose.with_refinement(folder, stack, spec, inputs)


class _FrameWriter:
    """Writes the frames of one sequence after another."""

    def __init__(
        self,
        spec: GenerateSpec,
        folder: Path,
        behaviour: Behaviour,
        report: Callable[[FakeProgress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._spec, self._folder, self._behaviour = spec, folder, behaviour
        self._report, self._cancelled = report, cancelled
        self._done = 0
        self._first_preview: Path | None = None

    def sequence(self, name: str) -> tuple[FileRecord, ...]:
        first = self._spec.start_frame
        return tuple(self._frame(name, first + k) for k in range(self._spec.frames))

    def contact_sheet(self) -> FileRecord:
        return self._record("preview/contact.png", _png(self._folder / "preview", "contact.png"))

    def _frame(self, name: str, frame: int) -> FileRecord:
        _stop_if(self._cancelled)
        time.sleep(self._behaviour.frame_s)
        path = manifest.frame_path(manifest.layer_pattern(name, 1), frame)
        target = self._folder / path
        if not self._folder.is_dir():  # its disk is gone; what is made there now would be lost
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(self._folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        seed = f"{self._spec.seed}/{path}".encode()
        target.write_bytes(hashlib.shake_128(seed).digest(self._behaviour.frame_bytes))
        self._first_preview = self._first_preview or _png(self._folder / "preview", "first.png")
        self._done += 1
        total = 5 * self._spec.frames
        self._report(_progress("decode", self._done, total, 0.5, self._first_preview))
        return self._record(path, target)

    def _record(self, path: str, target: Path) -> FileRecord:
        data = target.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return FileRecord(path=path, size_bytes=len(data), sha256=digest)


def _progress(
    stage: str, done: int, total: int, start: float, preview: Path | None = None
) -> FakeProgress:
    fraction = start + 0.5 * done / total
    return FakeProgress(stage=stage, done=done, total=total, fraction=fraction, preview=preview)


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise FakeError("CANCELLED", "The job was cancelled.")


def _inject_fault(fault: str) -> None:
    if fault == "engine_error":
        raise FakeError("NO_SUCH_WORD", "The model does not know this word.", "Use another word.")
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "unexpected_error":
        raise RuntimeError("a secret detail in /home/somebody")
    if fault == "out_of_memory":
        raise MemoryError
    if fault == "ignore_cancel":
        time.sleep(120)
    if fault == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)


def _png(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (200, 90, 20)).save(folder / name)
    return folder / name


def _stack(spec: GenerateSpec, writer: _FrameWriter) -> Stack:
    created = "2026-01-01T00:00:00Z"
    return Stack(
        name="shot",
        width=spec.width,
        height=spec.height,
        pixel_aspect=1.0,
        fps=spec.fps,
        start_frame=spec.start_frame,
        frames=spec.frames,
        colorspace=spec.colorspace,
        layers=tuple(_layers(spec, writer)),
        flats=tuple(
            FlattenedSequence(name, 1, manifest.layer_pattern(name, 1), writer.sequence(name))
            for name in ("comp", "ref")
        ),
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        seed=spec.seed or 0,
        model=spec.model,
        model_digest=MODEL.digest,
        prompt_interpretation=spec.prompt,
        warnings=(),
        latents=(),
        previews=(writer.contact_sheet(),),
        history=(HistoryEntry("generate", created, {"bg": 1}, spec_to_json(spec)),),
        created=created,
        generator="fake",
    )


def _layers(spec: GenerateSpec, writer: _FrameWriter) -> Iterator[Layer]:
    names = (
        ("bg", Role.background, None),
        ("shadow_01", Role.shadow, "fg_01"),
        ("fg_01", Role.foreground, None),
    )
    for name, role, caster in names:
        pattern = manifest.layer_pattern(name, 1)
        files = writer.sequence(name)
        yield Layer(name, role, 1, pattern, spec.prompt, spec.seed or 0, caster, files)
