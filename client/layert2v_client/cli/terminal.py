"""Progress in a terminal: a bar, or a line now and then where the output is no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TextIO

from layert2v.plain_text import plain_line, plain_text
from layert2v.status_text import duration, progress_text, queue_text, state_text
from layert2v_client.types import JobState, JobStatus

BAR_CELLS = 24
QUIET_S = 5.0  # between two lines of a log that say nothing new but a number


class ProgressLine(AbstractContextManager["ProgressLine"]):
    """One line on ``stream`` that shows progress; ``clock`` gives seconds.

    A terminal also shows the seconds since this object was made. In a ``with`` block they run on
    while nothing is reported.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._began = clock()
        self._text = ""
        self._shown = ""
        self._stage = ""
        self._said_at = float("-inf")
        self._drawing = threading.RLock()
        self._ended = threading.Event()

    def __enter__(self) -> ProgressLine:
        if self._is_terminal:
            threading.Thread(target=self._tick, name="progress", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self.clear()

    def show(self, stage: str, text: str, fraction: float | None = None) -> None:
        """Show ``text`` about ``stage``; ``fraction`` from 0 to 1 draws a bar."""
        text = plain_line(text)
        if self._is_terminal:
            bar = "" if fraction is None else f"  {_bar(fraction)} {fraction:4.0%}"
            with self._drawing:
                self._text = f"{text}{bar}"
                self._draw()
        elif stage != self._stage or self._clock() - self._said_at >= QUIET_S:
            percent = "" if fraction is None else f" ({fraction:.0%})"
            self._stream.write(f"{text}{percent}\n")
            self._stream.flush()
            self._said_at = self._clock()
        self._stage = stage

    def say(self, text: str) -> None:
        """Print a line that stays, above the bar."""
        with self._drawing:
            text_of_bar = self._text
            self.clear()
            self._stream.write(f"{plain_text(text)}\n")
            self._stream.flush()
            self._text = text_of_bar

    def clear(self) -> None:
        """Remove the bar."""
        with self._drawing:
            self._text = ""
            if self._shown:
                self._stream.write(f"\r{'':<{len(self._shown)}}\r")
                self._stream.flush()
                self._shown = ""

    def _draw(self) -> None:
        line = f"{self._text}  {duration(self._clock() - self._began)}"
        self._stream.write(f"\r{line:<{len(self._shown)}}")
        self._stream.flush()
        self._shown = line

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            with self._drawing:
                if self._text:
                    self._draw()


def show_status(line: ProgressLine, status: JobStatus) -> None:
    """Show one job's state on the progress line."""
    progress = status.progress
    if status.state is JobState.queued:
        line.show("queued", queue_text(status.queue_position, status.start_eta_s), 0.0)
    elif status.state is JobState.cancelling:
        line.show("cancelling", state_text("cancelling"))
    elif status.state is JobState.running and progress is not None and progress.stage:
        text = progress_text(progress.stage, progress.done, progress.total, progress.eta_s)
        message = f" {progress.message}" if progress.message else ""
        line.show(progress.stage, f"{text}{message}", progress.fraction)
    elif status.state is JobState.running:
        show_start(line)


def show_start(line: ProgressLine) -> None:
    """Show that the engine is starting: nothing has been reported yet."""
    line.show("start", "starting the engine", 0.0)


def _bar(fraction: float) -> str:
    full = round(min(max(fraction, 0.0), 1.0) * BAR_CELLS)
    return "[" + "#" * full + "." * (BAR_CELLS - full) + "]"
