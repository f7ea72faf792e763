"""One request whose connection breaks at a bad moment."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.scripted_server import Script, ScriptedServer, update
from layert2v.spec import GenerateSpec
from layert2v.v1 import jobs_pb2
from layert2v_client import Client, ServerUnavailable, TransferOptions, connect
from layert2v_client.session import RequestCancelled
from layert2v_client.session.events import TERMINAL
from layert2v_client.session.operations import Generate
from layert2v_client.session.reconnect import ReconnectingClient
from layert2v_client.session.request import RequestThread

REQUEST_ID = str(uuid.UUID(int=7))
CANCELLED = jobs_pb2.JOB_STATE_CANCELLED


class LostResponse(Generate):
    """Makes its job, but loses the first response, and calls ``on_loss`` then."""

    on_loss: Callable[[], None] | None = None

    def submit(self, client: Client, request_id: str) -> str:
        job = super().submit(client, request_id)
        if self.on_loss is not None:
            on_loss, self.on_loss = self.on_loss, None
            on_loss()
            raise ServerUnavailable("SERVER_UNAVAILABLE", "The server does not answer.")
        return job


def test_cancel_after_a_lost_response_cancels_the_job(
    script: Script, server: ScriptedServer, tmp_path: Path
) -> None:
    script.cancelled_update = update("jobs/1", 2, CANCELLED)
    events: queue.Queue[Any] = queue.Queue()
    connection = ReconnectingClient(None, lambda _: connect(server.address), events.put)
    operation = LostResponse(GenerateSpec("a fox"), tmp_path / "fox", is_retry=False)
    request = RequestThread(
        REQUEST_ID,
        operation,
        connection=connection,
        options=TransferOptions(),
        emit=events.put,
        on_preview=lambda *_: None,
    )
    operation.on_loss = request.cancel
    request.start()
    connection.start()
    try:
        end = next(event for event in iter(lambda: events.get(timeout=20), None)
                   if isinstance(event, TERMINAL))  # fmt: skip
    finally:
        connection.close()
    assert end == RequestCancelled(REQUEST_ID, "jobs/1")
    assert script.cancelled == ["jobs/1"]
