from __future__ import annotations

import pytest

from layert2v_blender import status_text
from layert2v_client.session import (
    Event,
    RequestCancelled,
    RequestFailed,
    RequestLost,
    RequestSucceeded,
    RequestUpdated,
)


def update(state: str, **values: object) -> RequestUpdated:
    return RequestUpdated("r", "jobs/1", state, **values)  # type: ignore[arg-type]


RUNNING = update("running", stage="denoise", done=3, total=20, eta_s=70.0)
FAILED = RequestFailed("r", "jobs/1", "OUT_OF_MEMORY", "No memory.", "Ask for less.")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (None, "sending"),
        (update("queued", queue_position=2), "queued, 2 ahead"),
        (update("queued", queue_position=2, eta_s=70), "queued, 2 ahead, starts in 1:10"),
        (update("uploading", done=1_400_000, total=3_000_000), "uploading 1.4 MB of 3.0 MB"),
        (RUNNING, "denoising 3/20, 1:10 left"),
        (update("waiting", message="No server at render01:7433."), "No server at render01:7433."),
        (update("waiting"), "waiting for the server"),
        (update("cancelling"), "cancelling"),
    ],
)
def test_the_progress_bar_says_where_a_request_is(event: RequestUpdated | None, text: str) -> None:
    assert status_text.progress_text(event) == text


def test_the_progress_bar_follows_a_transfer_by_bytes_and_a_job_by_its_fraction() -> None:
    assert status_text.progress_factor(None) == 0.0
    assert status_text.progress_factor(update("fetching", done=1, total=4)) == 0.25
    assert status_text.progress_factor(update("fetching")) == 0.0
    assert status_text.progress_factor(update("running", fraction=0.5)) == 0.5


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (None, ""),
        (RequestSucceeded("r", "jobs/1", "/shots/fox", "fox", 1), "Done"),
        (RequestCancelled("r", "jobs/1"), "Cancelled"),
        (FAILED, "No memory. Ask for less."),
        (RequestLost("r", "jobs/1"), "The server does not know this job, or it is another server."),
    ],
)
def test_the_end_of_a_request_says_what_to_do(event: Event | None, text: str) -> None:
    assert status_text.end_text(event) == text
