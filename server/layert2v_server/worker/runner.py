"""Run one job on an engine, and report its progress and outcome as messages.

Knows an engine only as a protocol, so that worker process and inline executor run jobs alike.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import psutil

from layert2v.decompose import (
    DecomposeSpec,
    RefineSpec,
    decompose_from_json,
    refine_from_json,
)
from layert2v.rerender import RerenderSpec, rerender_from_json
from layert2v.spec import GenerateSpec, ModelInfo, spec_from_json
from layert2v.stack import Stack
from layert2v_server.domain.request import JobKind
from layert2v_server.worker.error_report import describe_error
from layert2v_server.worker.image_check import check_source
from layert2v_server.worker.inputs import footage_paths, input_folders
from layert2v_server.worker.messages import (
    Failed,
    Finished,
    Outcome,
    ProgressReport,
    RunJob,
    Stopped,
)
from layert2v_server.worker.preview import write_preview
from layert2v_server.worker.stack_files import list_stack_files

GIB = 1 << 30
MIN_REPORT_INTERVAL_S = 0.25  # four updates a second are enough for a person

_ABSOLUTE_PATH = re.compile(r"(?<![\w.])(?:/[^\s/'\"]+)*/([^\s/'\"]+)")

_log = logging.getLogger(__name__)


class EngineProgress(Protocol):
    """Progress of an engine; ``fraction`` (0..1) and ``eta_s`` are about the whole job."""

    @property
    def stage(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def fraction(self) -> float: ...
    @property
    def eta_s(self) -> float | None: ...
    @property
    def preview(self) -> Path | None: ...


class Engine(Protocol):
    """An engine, as far as a worker uses it."""

    def models(self) -> tuple[ModelInfo, ...]: ...

    def generate(
        self,
        spec: GenerateSpec,
        folder: Path,
        *,
        report: Callable[[EngineProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack: ...

    def rerender(
        self,
        spec: RerenderSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[EngineProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack: ...

    def decompose(
        self,
        spec: DecomposeSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[EngineProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack: ...

    def refine(
        self,
        spec: RefineSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[EngineProgress], None],
        cancelled: Callable[[], bool],
    ) -> Stack: ...


def run_job(
    engine: Engine,
    command: RunJob,
    send: Callable[[ProgressReport], None],
    cancelled: Callable[[], bool],
) -> Outcome:
    """Run a job and return its outcome; after anything but success its folder is deleted."""
    folder = Path(command.folder)
    try:
        report = _ProgressThrottle(command, send).report
        untrusted: set[str] = set()
        kind = JobKind(command.job_kind)
        if kind.has_inputs:
            untrusted = check_source(
                Path(command.source),
                report,
                cancelled,
                is_streamed=kind is not JobKind.RERENDER,
            )
        stack = _produce_stack(engine, command, folder, report, cancelled)
        files = [asdict(file) for file in list_stack_files(stack, folder)]
        unchecked = sorted(untrusted & {file["sha256"] for file in files})
        contact = [folder / file.path for file in stack.previews if file.path.endswith(".png")]
        preview = bool(contact) and write_preview(contact[0], Path(command.preview))
        return Finished(job=command.job, files=files, untrusted=unchecked, preview=preview)
    except Exception as error:  # whatever the engine raises becomes an outcome
        shutil.rmtree(folder, ignore_errors=True)
        return outcome_of_error(command.job, error, command.spec)


def _produce_stack(
    engine: Engine,
    command: RunJob,
    folder: Path,
    report: Callable[[EngineProgress], None],
    cancelled: Callable[[], bool],
) -> Stack:
    kind, spec = JobKind(command.job_kind), command.spec
    if kind is JobKind.GENERATE:
        return engine.generate(spec_from_json(spec), folder, report=report, cancelled=cancelled)
    source = Path(command.source)
    if kind is JobKind.RERENDER:
        folders = input_folders(source)
        return engine.rerender(
            rerender_from_json(spec), folder, inputs=folders, report=report, cancelled=cancelled
        )
    inputs = footage_paths(source)
    if kind is JobKind.DECOMPOSE:
        return engine.decompose(
            decompose_from_json(spec), folder, inputs=inputs, report=report, cancelled=cancelled
        )
    return engine.refine(
        refine_from_json(spec), folder, inputs=inputs, report=report, cancelled=cancelled
    )


def outcome_of_error(
    job: str, error: Exception, spec: Mapping[str, Any] = MappingProxyType({})
) -> Failed | Stopped:
    """Return the outcome of a job of ``spec`` that ``error`` ended."""
    reason = str(getattr(error, "reason", ""))
    if reason == "CANCELLED":
        return Stopped(job=job)
    if reason == "DISK_FULL" or _is_disk_full(error):
        return Failed(
            job=job,
            reason="DISK_FULL",
            message="The server's disk became full while the layers were written.",
            hint="Delete old jobs or free some space, then submit again.",
            worker_exits=False,
        )
    if reason:
        message = strip_paths(str(getattr(error, "message", error)))
        hint = strip_paths(str(getattr(error, "hint", "")))
        # A process that ran out of memory is not used for another job.
        worker_exits = reason == "OUT_OF_MEMORY"
        return Failed(job=job, reason=reason, message=message, hint=hint, worker_exits=worker_exits)
    _log.error("job=%s unexpected engine error\n%s", job, describe_error(error, spec))
    if isinstance(error, MemoryError):
        used, total = psutil.Process().memory_info().rss, psutil.virtual_memory().total
        reason, message = (
            "OUT_OF_MEMORY",
            (
                "The request did not fit into memory: its worker had "
                f"{used / GIB:.1f} of the machine's {total / GIB:.1f} GiB."
            ),
        )
        hint = "Ask for fewer frames or a smaller size."
    else:
        reason, message = "ENGINE_CRASHED", "The engine stopped with an unexpected error."
        hint = "The server's log has the details."
    return Failed(job=job, reason=reason, message=message, hint=hint, worker_exits=True)


def strip_paths(text: str) -> str:
    """Return the text with each absolute path cut to its last name, for a caller."""
    return _ABSOLUTE_PATH.sub(r"\1", text)


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if os.strerror(errno.ENOSPC) in str(error):  # libraries in Rust and C++ give only the text
            return True
        error = error.__cause__ or error.__context__
    return False


class _ProgressThrottle:
    """Sends the progress of an engine, at most once in ``MIN_REPORT_INTERVAL_S``."""

    def __init__(self, command: RunJob, send: Callable[[ProgressReport], None]) -> None:
        self._command = command
        self._send = send
        self._stage = ""
        self._next_s = 0.0
        self._last_preview: tuple[Path, int] | None = None

    def report(self, progress: EngineProgress) -> None:
        preview = progress.preview is not None and self._write_preview(progress.preview)
        now = time.monotonic()
        if not (preview or progress.stage != self._stage or now >= self._next_s):
            return
        self._stage, self._next_s = progress.stage, now + MIN_REPORT_INTERVAL_S
        self._send(
            ProgressReport(
                job=self._command.job,
                stage=progress.stage,
                done=progress.done,
                total=progress.total,
                message=progress.message,
                fraction=progress.fraction,
                eta_s=progress.eta_s,
                preview=preview,
            )
        )

    def _write_preview(self, image: Path) -> bool:
        """Write the preview unless the image is the one of the last preview."""
        try:
            version = (image, image.stat().st_mtime_ns)
        except OSError:
            return False
        if version == self._last_preview:
            return False
        self._last_preview = version
        return write_preview(image, Path(self._command.preview))
