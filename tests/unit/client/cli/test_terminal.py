"""Progress on a terminal and in a log."""

from __future__ import annotations

import io
import re
import time

import pytest

from layert2v.spec import GenerateSpec
from layert2v_client.cli.terminal import ProgressLine, show_start, show_status
from layert2v_client.types import JobState, JobStatus, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def status(
    state: JobState, progress: Progress | None = None, ahead: int | None = None
) -> JobStatus:
    rest = (None, 1, 2, None, None, None, 0, 0, "", "")
    return JobStatus("jobs/1", state, 1, GenerateSpec("a fox"), progress, ahead, *rest)


def test_a_terminal_has_one_line_that_changes() -> None:
    terminal, clock = Terminal(), Clock()
    line = ProgressLine(terminal, clock)
    clock.now = 65.0
    line.show("denoise", "denoise 1/2", 0.5)
    line.show("fetch", "short")
    line.say("done")
    bar, short = "denoise 1/2  [############............]  50%  1:05", "short  1:05"
    assert terminal.getvalue() == f"\r{bar}\r{short:<{len(bar)}}\r{'':<{len(short)}}\rdone\n"


def test_the_seconds_run_on_while_nothing_is_reported() -> None:
    terminal = Terminal()
    with ProgressLine(terminal) as line:
        show_start(line)
        while not re.search(r"0%  [1-9]", terminal.getvalue()):
            time.sleep(0.05)
    assert terminal.getvalue().endswith(" \r")


def test_a_log_gets_a_line_for_each_stage_and_one_now_and_then() -> None:
    log, clock = io.StringIO(), Clock()
    line = ProgressLine(log, clock)
    for second in range(7):
        clock.now = float(second)
        line.show("denoise", f"denoise {second}/9", second / 9)
    line.show("decode", "decode")
    line.clear()
    assert log.getvalue() == "denoise 0/9 (0%)\ndenoise 5/9 (56%)\ndecode\n"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (status(JobState.queued, ahead=3), "queued, 3 ahead (0%)"),
        (status(JobState.queued, ahead=0), "queued (0%)"),
        (status(JobState.cancelling), "cancelling"),
        (status(JobState.running), "starting the engine (0%)"),
        (status(JobState.running, Progress("", 0, 0, 0.0, None, "")), "starting the engine (0%)"),
        (
            status(JobState.running, Progress("load", 0, 0, 0.0, None, "Mini")),
            "loading the model Mini (0%)",
        ),
        (
            status(JobState.running, Progress("decode", 3, 9, 0.75, 61.0, "")),
            "decoding frames 3/9, 1:01 left (75%)",
        ),
    ],
)
def test_job_states_in_words(job: JobStatus, words: str) -> None:
    log = io.StringIO()
    show_status(ProgressLine(log), job)
    assert log.getvalue().strip() == words
