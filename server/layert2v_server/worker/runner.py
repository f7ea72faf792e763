"""Run one job on an engine and turn whatever comes of it into messages.

Knows an engine only by its shape, so that worker process and inline executor run jobs alike.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from layert2v.rerender.validation import RerenderSpec, rerender_from_json
from layert2v.spec import GenerateSpec, ModelInfo, spec_from_json
from layert2v.stack import MANIFEST_NAME, FileRecord, Stack, loads
from layert2v_server.domain.request import Kind
from layert2v_server.worker.image_check import check_pictures
from layert2v_server.worker.messages import (
    UNTRUSTED_LIST,
    Ending,
    Failed,
    Finished,
    Progressed,
    Run,
    Stopped,
)
from layert2v_server.worker.preview import offer_preview

MIN_REPORT_INTERVAL_S = 0.25  # four updates a second are as many as a person can follow

_ABSOLUTE_PATH = re.compile(r"(?<![\w.])(?:/[^\s/'\"]+)*/([^\s/'\"]+)")

_log = logging.getLogger(__name__)


class EngineProgress(Protocol):
    """What an engine tells while it works; `fraction` and `eta_s` are about the whole job."""

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
    """What a worker needs of an engine."""

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


def run_job(
    engine: Engine,
    run: Run,
    send: Callable[[Progressed], None],
    cancelled: Callable[[], bool],
) -> Ending:
    """Make the stack that `run` asks for; after anything but success nothing of it is left."""
    folder = Path(run.folder)
    try:
        stack = _make(engine, run, folder, _Reporter(run, send).report, cancelled)
        files = [asdict(file) for file in stack_files(stack, folder)]
        contact = [folder / file.path for file in stack.previews if file.path.endswith(".png")]
        preview = bool(contact) and offer_preview(contact[0], Path(run.preview))
        return Finished(job=run.job, files=files, preview=preview)
    except Exception as error:  # the border to the engine: nothing of its errors may pass
        shutil.rmtree(folder, ignore_errors=True)
        return ending_for(run.job, error)


def _make(
    engine: Engine,
    run: Run,
    folder: Path,
    report: Callable[[EngineProgress], None],
    cancelled: Callable[[], bool],
) -> Stack:
    if run.work == Kind.GENERATE:
        return engine.generate(spec_from_json(run.spec), folder, report=report, cancelled=cancelled)
    source = Path(run.source)
    untrusted = json.loads((source / UNTRUSTED_LIST).read_text(encoding="utf-8"))
    check_pictures([source / place for place in untrusted], cancelled)
    folders = source.glob("inputs/*")
    return engine.rerender(
        rerender_from_json(run.spec),
        folder,
        inputs={path.name: path for path in folders},
        report=report,
        cancelled=cancelled,
    )


def stack_files(stack: Stack, folder: Path) -> Iterator[FileRecord]:
    """Every file of the stack with its hash: of the newest state in manifest order, what earlier
    ones have beside it, then the manifests of all states, its own last."""
    kept = sorted(folder.glob("history/v*.json"))
    others = (loads(path.read_text(encoding="utf-8")) for path in reversed(kept))
    files = {file.path: file for file in stack.files()}
    for file in (file for other in others for file in other.files()):
        if file.path not in files and (folder / file.path).is_file():
            files[file.path] = file
    yield from files.values()
    for path in (*kept, folder / MANIFEST_NAME):
        data = path.read_bytes()
        yield FileRecord(
            path=path.relative_to(folder).as_posix(),
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )


def ending_for(job: str, error: Exception) -> Failed | Stopped:
    """The last message of a job that `error` ended."""
    reason = str(getattr(error, "reason", ""))
    if reason == "CANCELLED":
        return Stopped(job=job)
    if reason == "DISK_FULL" or _is_disk_full(error):
        return Failed(
            job=job,
            reason="DISK_FULL",
            message="The server's disk became full while the layers were written.",
            hint="Delete old jobs or free some space, then submit again.",
            last=False,
        )
    if reason:
        message = without_paths(str(getattr(error, "message", error)))
        hint = without_paths(str(getattr(error, "hint", "")))
        # After it ran out of memory a process is not trusted with another job.
        last = reason == "OUT_OF_MEMORY"
        return Failed(job=job, reason=reason, message=message, hint=hint, last=last)
    _log.error("job=%s unexpected engine error", job, exc_info=error)
    if isinstance(error, MemoryError):
        reason, message = "OUT_OF_MEMORY", "The request did not fit into the worker's memory."
        hint = "Ask for fewer frames or a smaller size."
    else:
        reason, message = "ENGINE_CRASHED", "The engine stopped with an unexpected error."
        hint = "The server's log has the details."
    return Failed(job=job, reason=reason, message=message, hint=hint, last=True)


def without_paths(text: str) -> str:
    """Text for a caller, who must not learn where things lie here: of each path the last name."""
    return _ABSOLUTE_PATH.sub(r"\1", text)


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if os.strerror(errno.ENOSPC) in str(error):  # libraries in Rust and C++ give the text alone
            return True
        error = error.__cause__ or error.__context__
    return False


class _Reporter:
    """Passes progress on, but no faster than anybody can look."""

    def __init__(self, run: Run, send: Callable[[Progressed], None]) -> None:
        self._run = run
        self._send = send
        self._stage = ""
        self._next_s = 0.0
        self._shown: tuple[Path, int] | None = None

    def report(self, progress: EngineProgress) -> None:
        preview = progress.preview is not None and self._show(progress.preview)
        now = time.monotonic()
        if not (preview or progress.stage != self._stage or now >= self._next_s):
            return
        self._stage, self._next_s = progress.stage, now + MIN_REPORT_INTERVAL_S
        self._send(
            Progressed(
                job=self._run.job,
                stage=progress.stage,
                done=progress.done,
                total=progress.total,
                message=progress.message,
                fraction=progress.fraction,
                eta_s=progress.eta_s,
                preview=preview,
            )
        )

    def _show(self, picture: Path) -> bool:
        """Pass a picture on unless it is the one that was passed on last."""
        try:
            version = (picture, picture.stat().st_mtime_ns)
        except OSError:
            return False
        if version == self._shown:
            return False
        self._shown = version
        return offer_preview(picture, Path(self._run.preview))
