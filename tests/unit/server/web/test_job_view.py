"""Jobs in words for the page."""

from __future__ import annotations

import dataclasses

from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.state import JobState
from layert2v_server.web.job_view import view_job

JOB = Job(
    id="0" * 32,
    owner="anna",
    spec=GenerateSpec(prompt="a fox\x1b[2J\nruns", seed=1),
    state=JobState.QUEUED,
    revision=1,
    attempt=0,
    queue_position=2,
    created=1000.0,
    started=None,
    finished=None,
    worker="",
    lease_until=0.0,
    progress=Progress(),
    preview_revision=0,
    failure=None,
    artifact_count=0,
    artifact_bytes=0,
)


def test_a_queued_job_says_its_place_and_waits() -> None:
    view = view_job(JOB, 1065.0)
    assert (view.detail, view.took, view.can_cancel) == ("queued, 2 ahead", "waits 1:05", True)
    assert view.percent is None
    assert "\x1b" not in view.title
    assert "\n" not in view.title


def test_a_queued_job_says_when_it_may_start() -> None:
    next_one = dataclasses.replace(JOB, queue_position=0)
    assert view_job(next_one).detail == ""
    assert (
        view_job(dataclasses.replace(next_one, start_eta_s=9.0)).detail == "queued, starts in 9 s"
    )


def test_a_running_job_says_its_progress() -> None:
    progress = Progress(stage="denoise", done=3, total=20, fraction=0.256, eta_s=70.0)
    job = dataclasses.replace(JOB, state=JobState.RUNNING, started=1010.0, progress=progress)
    view = view_job(job, 1052.0)
    assert (view.percent, view.took) == (26, "runs 42 s")
    assert view.detail == "denoising 3/20, 1:10 left"


def test_a_failed_job_says_why() -> None:
    failure = Failure(reason="X", message="It did not fit.", hint="Ask for less.")
    job = dataclasses.replace(
        JOB, state=JobState.FAILED, started=1010.0, finished=1011.0, failure=failure
    )
    view = view_job(job)
    assert (view.detail, view.hint, view.can_cancel) == ("It did not fit.", "Ask for less.", False)


def test_a_change_is_named_by_what_it_says() -> None:
    spec = RerenderSpec("regenerate", ("fg_01",), prompts={"fg_01": "a bear"}, seed=1)
    assert view_job(dataclasses.replace(JOB, spec=spec)).title == "fg_01: a bear"
    assert (
        view_job(dataclasses.replace(JOB, spec=RerenderSpec("remove", (), seed=1))).title
        == "Re-render"
    )
