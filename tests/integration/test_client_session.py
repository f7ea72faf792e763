"""Sessions and real servers: what hosts see when things go well, and when they do not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, environment, live_server, wait_until
from fakes.recorded_session import RecordedSession, fake_server_config
from layert2v import stack
from layert2v.spec import GenerateSpec
from layert2v.v1 import jobs_pb2
from layert2v_client.session import (
    AccountUpdated,
    Connected,
    Disconnected,
    PreviewUpdated,
    RequestCancelled,
    RequestFailed,
    RequestLost,
    RequestSucceeded,
    RequestUpdated,
    SessionSettings,
)


@pytest.fixture
def recorded(live: LiveServer, tmp_path: Path) -> Iterator[RecordedSession]:
    with RecordedSession(settings(live, tmp_path)) as session:
        yield session


def settings(live: LiveServer, tmp_path: Path, **more: object) -> SessionSettings:
    return SessionSettings(server=live.ready["address"], cache=tmp_path / "cache", **more)


def spec(behaviour: Behaviour | None = None, **more: object) -> GenerateSpec:
    """Return a request that the fake engine answers as told."""
    instructions = (behaviour or Behaviour()).to_prompt()
    return GenerateSpec(**{"prompt": "a fox", "negative_prompt": instructions, "seed": 7, **more})


SLOW = Behaviour(step_s=0.05)


def test_a_request_becomes_a_stack(recorded: RecordedSession, tmp_path: Path) -> None:
    request = recorded.session.generate(
        spec(Behaviour(step_s=0.1, frame_s=0.05)), folder=tmp_path / "fox"
    )
    preview = recorded.wait(PreviewUpdated)
    assert Path(preview.path).read_bytes().startswith(b"\x89PNG")
    done = recorded.wait(RequestSucceeded)
    assert (done.request_id, done.state, done.folder) == (request, 1, str(tmp_path / "fox"))
    assert Path(done.stack) == tmp_path / "fox" / "stack.json"
    assert any(isinstance(event, Connected) for event in recorded.events)
    assert {e.state for e in recorded.events if isinstance(e, RequestUpdated)} >= {"running"}


def test_a_priority_reaches_the_job_and_the_account_follows(
    recorded: RecordedSession, live: LiveServer
) -> None:
    recorded.session.generate(spec(SLOW, steps=1000), priority="high")
    running = recorded.wait(RequestUpdated, lambda event: event.state == "running")
    assert live.get(running.job).priority == jobs_pb2.JOB_PRIORITY_HIGH
    # What the server says of the account may come before the job runs.
    accounts = [event for event in recorded.events if isinstance(event, AccountUpdated)]
    account = accounts[-1] if accounts else recorded.wait(AccountUpdated)
    assert (account.user, account.max_open_jobs, account.max_bytes) == ("local", 100, 0)
    assert account.priorities == ("low", "normal", "high")
    recorded.session.cancel(running.request_id)
    recorded.wait(RequestCancelled)


def test_a_result_without_a_folder_goes_into_the_cache(
    recorded: RecordedSession, tmp_path: Path
) -> None:
    recorded.session.generate(spec())
    done = recorded.wait(RequestSucceeded)
    assert Path(done.folder).parent == tmp_path / "cache" / "stacks"
    assert Path(done.folder).name.startswith("a_fox_")
    # On the same disk the cache has the server's own files, not second ones.
    assert Path(done.folder, "bg/v001/bg_v001.1001.exr").stat().st_nlink == 2


def test_a_wrong_request_names_its_fields(recorded: RecordedSession, tmp_path: Path) -> None:
    recorded.session.generate(spec(width=33, frames=3), folder=tmp_path / "x")
    failed = recorded.wait(RequestFailed)
    assert {violation.field for violation in failed.violations} == {"width", "frames"}
    assert not (tmp_path / "x").exists()


def test_a_folder_with_something_in_it_is_refused(
    recorded: RecordedSession, tmp_path: Path
) -> None:
    (tmp_path / "notes").touch()
    recorded.session.generate(spec(), folder=tmp_path)
    assert recorded.wait(RequestFailed).reason == "OUTPUT_NOT_EMPTY"


def test_a_failed_job_says_why(recorded: RecordedSession) -> None:
    request = recorded.session.generate(spec(Behaviour(fault="engine_error")))
    failed = recorded.wait(RequestFailed)
    assert (failed.request_id, failed.reason) == (request, "NO_SUCH_WORD")
    assert failed.hint == "Use another word."


def test_cancel_while_it_runs(recorded: RecordedSession, live: LiveServer) -> None:
    request = recorded.session.generate(spec(SLOW, steps=1000))
    job = recorded.state("running").job
    recorded.session.cancel(request)
    assert recorded.wait(RequestCancelled) == RequestCancelled(request, job)


def test_cancel_while_it_waits_in_the_queue(recorded: RecordedSession) -> None:
    first = recorded.session.generate(spec(SLOW, steps=1000))
    recorded.state("running")
    second = recorded.session.generate(spec(SLOW, steps=1000))
    place = recorded.wait(
        RequestUpdated, lambda event: event.request_id == second and event.job != ""
    )
    assert (place.state, place.queue_position) == ("queued", 0)
    recorded.session.cancel(second)
    assert recorded.wait(RequestCancelled).request_id == second
    recorded.session.cancel(first)
    assert recorded.wait(RequestCancelled).request_id == first


def test_cancel_while_the_result_is_downloaded(
    live: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layert2v_client.transfer.download._shared_folder", lambda *_: None)
    with RecordedSession(settings(live, tmp_path)) as recorded:
        many = spec(Behaviour(frame_bytes=2_500_000), frames=17)  # takes longer than a cancel
        request = recorded.session.generate(many, folder=tmp_path / "fox")
        recorded.state("fetching")
        recorded.session.cancel(request)
        assert recorded.wait(RequestCancelled).request_id == request
    assert not (tmp_path / "fox").exists()


def test_cancel_without_a_server(tmp_path: Path) -> None:
    nobody = SessionSettings(server="127.0.0.1:9", cache=tmp_path)
    with RecordedSession(nobody) as recorded:
        request = recorded.session.generate(spec())
        away = recorded.wait(Disconnected)
        assert away.reason == "SERVER_UNAVAILABLE"
        assert away.retry_in_s == 0.5
        assert "127.0.0.1:9" in away.message
        recorded.session.cancel(request)
        assert recorded.wait(RequestCancelled) == RequestCancelled(request, "")


def test_settings_that_cannot_work_are_not_tried_again(live: LiveServer, tmp_path: Path) -> None:
    with RecordedSession(SessionSettings(server="nowhere", cache=tmp_path)) as recorded:
        recorded.session.connect()
        away = recorded.wait(Disconnected)
        assert (away.reason, away.retry_in_s) == ("ADDRESS_INVALID", None)


def test_a_session_goes_and_the_next_attaches(live: LiveServer, tmp_path: Path) -> None:
    with RecordedSession(settings(live, tmp_path)) as before:
        request = before.session.generate(spec(SLOW, steps=60), folder=tmp_path / "fox")
        job = before.state("running").job
    with RecordedSession(settings(live, tmp_path)) as after:
        after.session.attach(request, job, tmp_path / "fox")
        assert after.wait(RequestSucceeded).request_id == request
        after.session.attach("x", job, tmp_path / "fox")  # again: it is there
        assert after.wait(RequestSucceeded).request_id == "x"
        after.session.attach(request, "jobs/nobody-knows", tmp_path / "owl")
        assert after.wait(RequestLost) == RequestLost(request, "jobs/nobody-knows")


def test_the_same_request_again_is_the_same_job(live: LiveServer, tmp_path: Path) -> None:
    with RecordedSession(settings(live, tmp_path)) as before:
        request = before.session.generate(spec(SLOW, steps=40), folder=tmp_path / "fox")
        job = before.state("running").job
    with RecordedSession(settings(live, tmp_path)) as after:
        again = spec(SLOW, steps=40)
        after.session.generate(again, folder=tmp_path / "fox", request_id=request)
        assert after.wait(RequestSucceeded).job == job


def test_the_server_is_restarted_in_mid_job(tmp_path: Path) -> None:
    """kill -9: the artist sees it go and come back, and the job is made all the same."""
    server = LiveServer(tmp_path / "data")
    with RecordedSession(settings(server, tmp_path)) as recorded:
        recorded.session.generate(spec(SLOW, steps=80), folder=tmp_path / "fox")
        recorded.wait(RequestUpdated, lambda event: event.done > 3)
        server.kill()
        away = recorded.wait(Disconnected)
        assert away.retry_in_s is not None
        server = LiveServer(tmp_path / "data", address=server.ready["address"])
        recorded.wait(Connected)
        assert recorded.wait(RequestSucceeded).state == 1
    assert server.stop() == 0


def test_two_sessions_do_not_meet(live: LiveServer, tmp_path: Path) -> None:
    with (
        RecordedSession(settings(live, tmp_path)) as one,
        RecordedSession(settings(live, tmp_path)) as other,
    ):
        first = one.session.generate(spec(seed=1), folder=tmp_path / "one")
        second = other.session.generate(spec(seed=2), folder=tmp_path / "other")
        assert one.wait(RequestSucceeded).request_id == first
        assert other.wait(RequestSucceeded).request_id == second
    assert stack.read(tmp_path / "one").seed != stack.read(tmp_path / "other").seed


def test_shared_storage_under_another_name(tmp_path: Path) -> None:
    """The server's disk is seen elsewhere here: files are copied, none is asked for."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").symlink_to(tmp_path / "here")
    with live_server(tmp_path / "here" / "data") as server:
        path = {"path_map": (("/nowhere", "/x"), (str(tmp_path / "here"), str(tmp_path / "there")))}
        with RecordedSession(settings(server, tmp_path, **path)) as recorded:
            recorded.session.generate(spec(), folder=tmp_path / "fox")
            recorded.wait(RequestSucceeded)
    assert stack.read(tmp_path / "fox").frames == 5


def test_closing_ends_every_thread(live: LiveServer, tmp_path: Path) -> None:
    with RecordedSession(settings(live, tmp_path)) as recorded:
        recorded.session.generate(spec(SLOW, steps=1000))
        job = recorded.state("running").job
        names = {thread.name for thread in threading.enumerate()}
        assert {"layert2v-connection", "layert2v-request"} <= names
    assert not {t.name for t in threading.enumerate()} & {"layert2v-connection", "layert2v-request"}
    live.cancel(job)


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionSettings:
    """Return settings with which sessions start servers with the engine of the tests."""
    monkeypatch.setenv("LAYERT2V_CONFIG", str(fake_server_config(tmp_path)))
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    return SessionSettings(cache=tmp_path / "cache")


def servers() -> list[psutil.Process]:
    """Return the local servers that this process has started."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended meanwhile
            if "--until-stdin-ends" in child.cmdline():
                found.append(child)
    return found


def test_a_local_server_comes_when_it_is_needed_and_goes(own_server: SessionSettings) -> None:
    with RecordedSession(own_server) as recorded:
        assert servers() == []
        recorded.session.connect()
        known = recorded.wait(Connected, lambda event: event.models != ())
        assert known.models[0].title == "Fake Mini"
        assert len(servers()) == 1
        recorded.session.generate(spec())
        done = recorded.wait(RequestSucceeded)
    wait_until(lambda: servers() == [])
    assert Path(done.stack).exists()


def test_two_sessions_share_one_local_server(own_server: SessionSettings, tmp_path: Path) -> None:
    with RecordedSession(own_server) as other:
        with RecordedSession(own_server) as first:
            first.session.connect()
            address = first.wait(Connected).server
            other.session.connect()
            assert other.wait(Connected).server == address
            assert len(servers()) == 1
        # It was the first one's child, and stays for the other.
        other.session.generate(spec(), folder=tmp_path / "fox")
        other.wait(RequestSucceeded)
        assert len(servers()) == 1
    wait_until(lambda: servers() == [])


def test_a_local_server_that_dies_is_replaced(own_server: SessionSettings, tmp_path: Path) -> None:
    with RecordedSession(own_server) as recorded:
        recorded.session.generate(spec(SLOW, steps=80), folder=tmp_path / "fox")
        recorded.wait(RequestUpdated, lambda event: event.done > 3)
        servers()[0].kill()
        recorded.wait(Disconnected)
        recorded.wait(Connected)
        assert recorded.wait(RequestSucceeded).state == 1
    wait_until(lambda: servers() == [])


def test_a_job_of_a_local_server_survives_its_session(
    own_server: SessionSettings, tmp_path: Path
) -> None:
    with RecordedSession(own_server) as before:
        request = before.session.generate(spec(SLOW, steps=60), folder=tmp_path / "fox")
        job = before.state("running").job
    with RecordedSession(own_server) as after:
        after.session.attach(request, job, tmp_path / "fox")
        assert after.wait(RequestSucceeded).job == job


def _request_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "layert2v-request"]


def test_the_cache_keeps_its_limit(
    own_server: SessionSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes, here and on the server; not what this session made, nor what was placed."""
    monkeypatch.setattr("layert2v_client.session.session.KEEP_JOBS_S", 0.0)
    big = Behaviour(frame_bytes=100_000)
    with RecordedSession(own_server) as before:
        before.session.generate(spec(big))
        old = Path(before.wait(RequestSucceeded).folder)
        before.session.generate(spec(big), folder=tmp_path / "mine")
        before.wait(RequestSucceeded)
    os.utime(old / "stack.json", (1, 1))
    limited = SessionSettings(cache=own_server.cache, cache_limit_bytes=1_000_000)
    with RecordedSession(limited) as after:
        after.session.generate(spec(big, seed=8))
        done = after.wait(RequestSucceeded)
        new = Path(done.folder)
        wait_until(lambda: not _request_threads())  # the last thing they do is to remove
    jobs = (tmp_path / "cache").glob("server-*/jobs/*")
    assert [f"jobs/{path.name}" for path in jobs] == [done.job]
    assert not old.exists()
    assert (new / "stack.json").exists()
    assert (tmp_path / "mine" / "stack.json").exists()
