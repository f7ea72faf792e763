"""Stacks that are changed by a client, a session and a bridge, on a real server."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest
from PIL import Image

from fakes.bridge_process import BridgeProcess
from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer
from fakes.recorded_session import RecordedSession
from fakes.stack_folders import assert_complete, file_hashes, regenerate
from layert2v import stack
from layert2v.rerender import Plate, RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.wire import CHUNK_BYTES
from layert2v_client import Cancelled, Client, NotPossible, TransferOptions, stack_history
from layert2v_client.session import (
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    SessionSettings,
)
from layert2v_client.transfer import upload
from layert2v_client.transfer.shared_disk import SharedInbox


def test_states_made_at_once_get_numbers_of_their_own(client: Client, fox: Path) -> None:
    """Two changes of one state, and a third of the same layer: all land, in any order."""
    jobs = [client.rerender(fox, regenerate(seed=k)) for k in (1, 2)]
    jobs.append(client.rerender(fox, regenerate(layers=("bg",))))
    for job in jobs:
        job.wait()
    landed = [job.merge_into(fox).state for job in reversed(jobs)]
    assert landed == [2, 3, 4]
    assert stack.read_state(fox, 2).layer("fg_01").version == 1
    assert stack.read_state(fox, 3).layer("fg_01").version == 2
    assert stack.read(fox).layer("fg_01").version == 3
    assert stack.read(fox).history[-1].versions["fg_01"] == 3
    assert [entry.parent for entry in stack.read(fox).history] == [0, 1, 1, 1]
    assert_complete(fox, 4)
    before = file_hashes(fox)
    assert [job.merge_into(fox).state for job in reversed(jobs)] == [2, 3, 4]  # they are there
    assert file_hashes(fox) == before


def test_a_renumbered_state_is_changed_again(client: Client, fox: Path) -> None:
    first, second = (client.rerender(fox, regenerate(seed=k)) for k in (1, 2))
    for job in (first, second):
        job.wait()
        job.merge_into(fox)
    third = client.rerender(fox, regenerate(seed=3))
    third.wait()
    assert third.merge_into(fox).layer("fg_01").version == 4
    assert_complete(fox, 4)


def test_a_state_is_merged_only_into_its_stack(client: Client, fox: Path, tmp_path: Path) -> None:
    job = client.rerender(fox, regenerate())
    job.wait()
    other = client.submit(GenerateSpec(prompt="an owl", seed=1))
    other.wait()
    other.download(tmp_path / "owl")
    before = file_hashes(tmp_path / "owl")
    with pytest.raises(NotPossible, match="does not hold the stack"):
        job.merge_into(tmp_path / "owl")
    assert file_hashes(tmp_path / "owl") == before


def test_only_what_is_missing_travels(client: Client, fox: Path, tmp_path: Path) -> None:
    sent: list[int] = []
    options = TransferOptions(report=lambda done, total: sent.append(total))
    job = client.rerender(fox, regenerate(), options=options)
    assert sent == []  # the server has made these files
    job.wait()
    made = job.merge_into(fox, options)
    new = [f.size_bytes for f in made.files() if "/v002/" in f.path or "_v002." in f.path]
    assert sent[-1] == sum(new)


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with one picture that travels in several parts."""
    monkeypatch.setattr("layert2v_client.transfer.upload.SEGMENT_S", 0.0)
    monkeypatch.setattr(SharedInbox, "link", lambda *_: None)
    (tmp_path / "plate").mkdir()
    Image.effect_noise((2200, 2200), uuid.uuid4().int % 90 + 10).save(tmp_path / "plate/a.png")
    return tmp_path / "plate"


SKY = RerenderSpec("replace", ("bg",), plate=Plate("plate", "sRGB - Texture", "opaque", "fit"))


def test_an_upload_continues_where_it_stopped(client: Client, fox: Path, plate: Path) -> None:
    request_id, stop, reported = uuid.uuid4(), threading.Event(), []

    def cut(done: int, total: int) -> None:
        reported.append(done)
        stop.set()

    with pytest.raises(Cancelled):
        client.prepare(
            fox, SKY, {"plate": plate}, request_id, TransferOptions(report=cut, stop=stop)
        )
    options = TransferOptions(report=lambda done, total: reported.append(done))
    client.prepare(fox, SKY, {"plate": plate}, request_id, options)
    assert reported[:2] == [CHUNK_BYTES, 2 * CHUNK_BYTES]
    reported.clear()
    client.prepare(fox, SKY, {"plate": plate}, uuid.uuid4(), options)
    assert reported == []  # another request finds it by its content


def settings(live: LiveServer, tmp_path: Path) -> SessionSettings:
    return SessionSettings(server=live.ready["address"], cache=tmp_path / "cache")


def test_a_session_changes_a_stack(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    with RecordedSession(settings(live, tmp_path)) as recorded:
        request = recorded.session.rerender(fox, regenerate(), {})
        done = recorded.wait(RequestSucceeded)
        assert (done.request_id, done.folder, done.state) == (request, str(fox), 2)
        recorded.session.attach(request, done.job, fox)
        assert recorded.wait(RequestSucceeded).state == 2
        recorded.session.rerender(fox, regenerate(layers=("fg_09",)), {})
        assert recorded.wait(RequestFailed).violations[0].field == "layers"
        recorded.session.rerender(tmp_path, regenerate(), {})
        assert recorded.wait(RequestFailed).reason == "MANIFEST_NOT_FOUND"
    assert_complete(fox, 2)


def test_cancel_while_a_plate_is_uploaded(
    live: LiveServer, fox: Path, plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, cancelled, send = file_hashes(fox), threading.Event(), upload._Upload._send_segment

    def hold(self: upload._Upload, offset: int) -> object:
        if offset:
            cancelled.wait(20)
        return send(self, offset)

    monkeypatch.setattr(upload._Upload, "_send_segment", hold)
    with RecordedSession(settings(live, tmp_path)) as recorded:
        request = recorded.session.rerender(fox, SKY, {"plate": [str(plate)]})
        recorded.state("uploading")
        recorded.session.cancel(request)
        cancelled.set()
        assert recorded.wait(RequestCancelled) == RequestCancelled(request, "")
    assert file_hashes(fox) == before


def test_cancel_while_a_new_state_is_merged(
    live: LiveServer, fox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the new state stays, and nothing of the old ones goes."""
    before = file_hashes(fox)
    with RecordedSession(settings(live, tmp_path)) as recorded:
        download_files = stack_history.download_files

        def slow(*arguments: object) -> None:
            if len(arguments[3]) > 1:  # type: ignore[arg-type]  # not the manifest alone
                monkeypatch.setattr(stack_history, "download_files", download_files)
                download_files(*arguments[:3], arguments[3][:4], arguments[4])  # type: ignore
                recorded.session.cancel(request)
            download_files(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(stack_history, "download_files", slow)
        request = recorded.session.rerender(fox, regenerate(), {})
        assert recorded.wait(RequestCancelled).request_id == request
    assert file_hashes(fox) == before


def test_the_bridge_is_killed_while_a_layer_is_generated(
    live: LiveServer, fox: Path, tmp_path: Path
) -> None:
    address = {"server": live.ready["address"], "cache": str(tmp_path / "cache")}
    prompts = {"fg_01": Behaviour(step_s=0.3).to_prompt()}
    spec = {"action": "regenerate", "layers": ["fg_01"], "prompts": prompts, "steps": 20}
    with BridgeProcess(log=tmp_path / "log") as before:
        before.call("connect", settings=address)
        before.call("rerender", folder=str(fox), spec=spec)
        running = before.event("RequestUpdated", state="running")
        before.kill()
    with BridgeProcess(log=tmp_path / "log") as after:
        after.call("connect", settings=address)
        known = {key: running[key] for key in ("request_id", "job")}
        after.call("attach", folder=str(fox), **known)
        assert after.event("RequestSucceeded", **known)["state"] == 2
        assert after.call("restore", folder=str(fox), state=1) == {"state": 3}
        assert len(after.call("history", folder=str(fox))["history"]) == 3
    assert_complete(fox, 3)
